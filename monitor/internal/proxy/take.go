package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
)

// take reads a request to its end, so that it can be sent more than once. The
// caller releases what it holds.
func (p *Proxy) take(w http.ResponseWriter, r *http.Request) (req *link.Request, release func(), err error) {
	size := r.ContentLength
	switch {
	case size > MaxRequest:
		return nil, nil, tooLarge()
	case size < 0:
		size = MaxRequest // it does not say: room for as much as may come
	}
	began := time.Now()
	release, err = p.admit(r, size)
	if err != nil {
		return nil, nil, err
	}
	if time.Since(began) > time.Second {
		caller.Renew(w) // it had to wait for room
	}
	req = &link.Request{Method: r.Method, Target: targetOf(r), Header: r.Header}
	if size > 0 {
		if req.Body, err = readBody(w, r); err != nil {
			release()
			return nil, nil, err
		}
	}
	return req, release, nil
}

// targetOf returns path and query, byte for byte as they came.
func targetOf(r *http.Request) string {
	if len(r.RequestURI) > 0 && r.RequestURI[0] == '/' {
		return r.RequestURI
	}
	return r.URL.RequestURI() // the absolute form
}

// readBody reads a body for which there is room.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body []byte
	var err error
	in := caller.Body(w, r, MaxRequest)
	if n := r.ContentLength; n >= 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(in, body)
	} else {
		var buf bytes.Buffer
		_, err = buf.ReadFrom(http.MaxBytesReader(w, io.NopCloser(in), MaxRequest))
		body = buf.Bytes()
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, problem.Errorf(problem.BadRequest, "the body could not be read to its end: %v", err)
	}
	return body, nil
}

func tooLarge() error {
	return problem.Errorf(problem.TooLarge, "the request is over %d bytes", MaxRequest)
}

// clientOf names the caller for the purpose of fairness: its address.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
