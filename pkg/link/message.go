package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"understudy.example/pkg/frame"
)

// The frames. All but those without a number begin with it.
const (
	// From the first hop.
	frameRequest frame.Type = iota + 1 // a request with its body, or with as much as will do to begin
	frameBody                          // a part of the body
	frameCancel                        // nobody waits for the answer
	frameCredit                        // so many more bytes of the answer may be sent
	frameVoid                          // a request that was taken back before it left: not to be read

	// From the node.
	frameAnswer // the head of an answer, and its first bytes
	frameWhole  // the same, and it is all: final
	framePart   // a part of the answer
	frameLast   // its last part: final
	frameAbort  // the answer ends unfinished, for the reason given: final
	frameRefuse // the request was not read, for the reason given: final
	frameLeave  // without a number: begin no more requests here

	// From either, without a number.
	framePing
	framePong
	frameBye // the connection is cut, for the reason given
)

const (
	numberSize = 8
	partHeader = frame.HeaderSize + numberSize // bytes of a part's frame before the part
)

// errGarbled tells that a frame's payload is not what its type promises.
var errGarbled = errors.New("frame is garbled")

// begin reserves the room of a frame's header, a number and the length of a
// head in dst, which is empty.
func begin(dst []byte) []byte {
	return append(dst, make([]byte, frame.HeaderSize+numberSize+4)...)
}

// headAt is where the head lies in a frame that began with begin.
const headAt = frame.HeaderSize + numberSize + 4

// seal fills in what begin has reserved. The head ends at headEnd.
func seal(b []byte, t frame.Type, number uint64, headEnd int) {
	frame.AppendHeader(b[:0], t, 0, len(b)-frame.HeaderSize)
	binary.LittleEndian.PutUint64(b[frame.HeaderSize:], number)
	binary.LittleEndian.PutUint32(b[frame.HeaderSize+numberSize:], uint32(headEnd-headAt))
}

// appendPart appends a frame that is a number and bytes.
func appendPart(dst []byte, t frame.Type, number uint64, data []byte) []byte {
	dst = frame.AppendHeader(dst, t, 0, numberSize+len(data))
	dst = binary.LittleEndian.AppendUint64(dst, number)
	return append(dst, data...)
}

// reasonFrame is a frame that is a number and a sentence.
func reasonFrame(t frame.Type, number uint64, reason string) []byte {
	return appendPart(nil, t, number, []byte(reason[:min(len(reason), maxReason)]))
}

// creditFrame lets so many more bytes of an answer come.
func creditFrame(number uint64, bytes int) []byte {
	return appendPart(nil, frameCredit, number, binary.LittleEndian.AppendUint32(nil, uint32(bytes)))
}

// creditOf reads what creditFrame has put after the number.
func creditOf(payload []byte) (int, error) {
	if len(payload) != 4 {
		return 0, errGarbled
	}
	bytes := binary.LittleEndian.Uint32(payload)
	if bytes > restWindow {
		return 0, violation("a credit over the window")
	}
	return int(bytes), nil
}

// cutNumber takes the number off a payload.
func cutNumber(payload []byte) (number uint64, rest []byte, err error) {
	if len(payload) < numberSize {
		return 0, nil, errGarbled
	}
	return binary.LittleEndian.Uint64(payload), payload[numberSize:], nil
}

// cutHead takes the head off a payload from which the number was cut. The body
// is valid until the buffer is used again.
func cutHead(payload []byte) (head cursor, body []byte, err error) {
	if len(payload) < 4 {
		return cursor{}, nil, errGarbled
	}
	length := binary.LittleEndian.Uint32(payload)
	payload = payload[4:]
	if uint64(length) > uint64(min(len(payload), MaxHead)) {
		return cursor{}, nil, errGarbled
	}
	return cursor{rest: string(payload[:length])}, payload[length:], nil
}

// requestHead is a request without its body.
type requestHead struct {
	method string
	target string
	header http.Header
	within time.Duration // from its arrival: the caller's deadline; 0: none
	length int           // of the body
}

// appendRequest appends the head of a request.
func appendRequest(dst []byte, r *Request, within time.Duration) ([]byte, error) {
	switch {
	case len(r.Body) > MaxBody:
		return nil, fmt.Errorf("the body has %d bytes: at most %d can be sent", len(r.Body), MaxBody)
	case len(r.Target) > MaxTarget:
		return nil, fmt.Errorf("the target has %d bytes: at most %d can be sent", len(r.Target), MaxTarget)
	}
	before := len(dst)
	dst = binary.AppendUvarint(dst, uint64(within/time.Microsecond))
	dst = binary.AppendUvarint(dst, uint64(len(r.Body)))
	dst = appendText(dst, r.Method)
	dst = appendText(dst, r.Target)
	dst, ok := appendRequestHeader(dst, r.Header)
	if !ok || len(dst)-before > MaxHead {
		return nil, fmt.Errorf("the headers are over %d values or %d bytes", maxHeaders, MaxHead)
	}
	return dst, nil
}

// requestHead reads the head of a request.
func (c cursor) requestHead() (requestHead, error) {
	// A duration that does not fit would become a deadline in the past.
	within := time.Duration(c.number(uint64(maxWithin/time.Microsecond))) * time.Microsecond
	r := requestHead{within: within, length: int(c.number(MaxBody)), method: c.text(), target: c.text()}
	r.header = c.header(RequestHeaders[:], false)
	if c.bad || c.rest != "" || len(r.target) > MaxTarget {
		return requestHead{}, errGarbled
	}
	return r, nil
}

// maxWithin is the longest deadline that travels.
const maxWithin = 24 * time.Hour

// answer reads the head of an answer.
func (c cursor) answer() (*Response, error) {
	res := &Response{Status: int(c.number(999))}
	res.Header = c.header(answerHeaders[:], true)
	if c.bad || c.rest != "" || res.Status < 200 {
		return nil, errGarbled
	}
	return res, nil
}

// cursor reads a head. What is not there reads as nothing, and is noted.
type cursor struct {
	rest string
	bad  bool
}

func (c *cursor) byte() byte {
	if c.rest == "" {
		c.bad = true
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

// number reads a uvarint of at most limit.
func (c *cursor) number(limit uint64) uint64 {
	var n uint64
	for shift := 0; shift < 63; shift += 7 {
		b := c.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			c.bad = c.bad || n > limit
			return min(n, limit)
		}
	}
	c.bad = true
	return 0
}

func (c *cursor) text() string {
	n := c.number(MaxHead)
	if n > uint64(len(c.rest)) {
		c.bad = true
		return ""
	}
	s := c.rest[:n]
	c.rest = c.rest[n:]
	return s
}
