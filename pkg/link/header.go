package link

import (
	"encoding/binary"
	"net/http"

	"understudy.example/pkg/wire"
)

// RequestHeaders are the headers of a request that travel. What else a client
// sends is for the first hop alone: it judges the origin of a request before it
// passes it on.
var RequestHeaders = [...]string{
	"If-Match",
	"If-None-Match",
	"Content-Type",
	"Content-Range",
	"Prefer",
	wire.HeaderKey,
	wire.HeaderConsistency,
	wire.HeaderPosition,
	wire.HeaderRequest,
	"Accept",
	wire.HeaderGroup,
}

// answerHeaders are the headers of an answer that travel as one byte. Others
// travel by name.
var answerHeaders = [...]string{
	"Content-Type",
	"Content-Length",
	"Etag",
	"Cache-Control",
	"Retry-After",
	"Location",
	wire.HeaderNode,
	wire.HeaderPosition,
	wire.HeaderCopies,
	"Preference-Applied",
	"Vary",
	"Allow",
	wire.HeaderRepeated,
	wire.HeaderKey,
	wire.HeaderGroup,
}

// The names of a table by their index, from 1; 0 announces a name.
var (
	requestIndex = indexOf(RequestHeaders[:])
	answerIndex  = indexOf(answerHeaders[:])
)

// maxHeaders bounds the values of a head.
const maxHeaders = 255

func indexOf(names []string) map[string]byte {
	index := make(map[string]byte, len(names))
	for i, name := range names {
		index[name] = byte(i + 1)
	}
	return index
}

// appendRequestHeader appends the headers that travel: how many values, then
// each with its index. It reports false if they are too many.
func appendRequestHeader(dst []byte, h http.Header) ([]byte, bool) {
	at, count := len(dst), 0
	dst = append(dst, 0)
	for name, values := range h {
		index := requestIndex[name]
		if index == 0 {
			continue
		}
		for _, value := range values {
			dst = appendText(append(dst, index), value)
			count++
		}
	}
	dst[at] = byte(count)
	return dst, count <= maxHeaders
}

// appendAnswerHeader appends all headers: how many values, then each with its
// index, or 0 and its name. It reports false if they are too many.
func appendAnswerHeader(dst []byte, h http.Header) ([]byte, bool) {
	at, count := len(dst), 0
	dst = append(dst, 0)
	for name, values := range h {
		index := answerIndex[name]
		for _, value := range values {
			dst = append(dst, index)
			if index == 0 {
				dst = appendText(dst, name)
			}
			dst = appendText(dst, value)
			count++
		}
	}
	dst[at] = byte(count)
	return dst, count <= maxHeaders
}

// header reads what the functions above have appended. names is the table of the
// indices; named tells whether other names may come.
func (c *cursor) header(names []string, named bool) http.Header {
	count := int(c.byte())
	h := make(http.Header, count)
	values := make([]string, count)
	for i := range count {
		name := ""
		switch index := int(c.byte()); {
		case index == 0 && named:
			name = c.text()
		case index > 0 && index <= len(names):
			name = names[index-1]
		}
		values[i] = c.text()
		if name == "" {
			c.bad = true
			return nil
		}
		if before := h[name]; before != nil {
			h[name] = append(before, values[i])
			continue
		}
		h[name] = values[i : i+1 : i+1] // full: an Add cannot write into the next
	}
	return h
}

// appendText appends a string and its length.
func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
