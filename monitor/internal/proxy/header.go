package proxy

import (
	"net/http"
	"net/textproto"
	"strings"
)

// isHopByHop tells whether a header belongs to one connection only (RFC 9110,
// section 7.6.1), or, like Expect, is answered by each server itself.
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect":
		return true
	}
	return false
}

// copyEndToEnd copies all headers but those of the connection.
func copyEndToEnd(to, from http.Header) {
	for name, values := range from {
		if !isHopByHop(name) {
			to[name] = values
		}
	}
	for _, list := range from["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			delete(to, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
}

// requestHeader returns the headers to send to a node.
func requestHeader(r *http.Request) http.Header {
	h := make(http.Header, len(r.Header)+3)
	copyEndToEnd(h, r.Header)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // or the transport names itself
	}
	if !isRead(r.Method) {
		hideIdempotency(h)
	}
	return h
}

// hideIdempotency writes the names of two headers, which are the same in any
// case of letters, in a way that the transport does not know. It would take
// them for leave to send a write without a body a second time when a connection
// breaks; whether a write may be repeated is not its to judge.
func hideIdempotency(h http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}
