// Package frame is the codec of the connections between processes that carry
// more than one HTTP request: length-prefixed, typed messages, each naming its
// epoch, on a connection that began as an HTTP Upgrade.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"understudy.example/pkg/protocol"
)

// Type says what a frame's payload is. Their meaning belongs to the protocol
// that the connection was upgraded to.
type Type uint8

// HeaderSize is the number of bytes before a frame's payload: the length of
// the payload (4), the type (1) and the epoch (8), little-endian.
const HeaderSize = 13

// MaxPayload bounds a frame. A longer one is refused before it is read.
const MaxPayload = 16 << 20

// ErrTooLong tells that a frame's header claims more than a frame may hold: the
// peer does not speak this protocol.
var ErrTooLong = errors.New("frame is longer than its protocol allows")

// Header is the start of a frame.
type Header struct {
	Type   Type
	Epoch  protocol.Epoch
	Length int // of the payload, in bytes
}

// AppendHeader appends a frame's header to dst; length bytes of payload are to
// follow.
func AppendHeader(dst []byte, t Type, epoch protocol.Epoch, length int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(length))
	dst = append(dst, byte(t))
	return binary.LittleEndian.AppendUint64(dst, uint64(epoch))
}

// Append appends a whole frame to dst.
func Append(dst []byte, t Type, epoch protocol.Epoch, payload []byte) []byte {
	return append(AppendHeader(dst, t, epoch, len(payload)), payload...)
}

// AppendNumber appends a frame whose payload is one number.
func AppendNumber(dst []byte, t Type, epoch protocol.Epoch, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(AppendHeader(dst, t, epoch, 8), n)
}

// Number reads the payload of a frame that holds one number.
func Number(payload []byte) (uint64, error) {
	if len(payload) != 8 {
		return 0, fmt.Errorf("frame holds %d bytes where a number of 8 belongs", len(payload))
	}
	return binary.LittleEndian.Uint64(payload), nil
}

// Retype changes the type of the whole frame that b begins with.
func Retype(b []byte, t Type) { b[4] = byte(t) }

// Read reads one frame. The payload is read into buf if it has the room, else
// into a new slice. io.EOF means that the connection ended between frames.
func Read(r *bufio.Reader, buf []byte) (Header, []byte, error) {
	return ReadUpTo(r, buf, MaxPayload)
}

// Buffered tells whether r holds a whole frame, which is read without waiting for the
// connection.
func Buffered(r *bufio.Reader) bool {
	if r.Buffered() < HeaderSize {
		return false
	}
	head, _ := r.Peek(HeaderSize) // cannot fail: it is buffered
	return uint64(r.Buffered()-HeaderSize) >= uint64(binary.LittleEndian.Uint32(head))
}

// ReadUpTo is [Read] for a protocol whose payloads have at most limit bytes. A
// longer one is refused with ErrTooLong before it is read.
func ReadUpTo(r *bufio.Reader, buf []byte, limit int) (Header, []byte, error) {
	head, err := r.Peek(HeaderSize)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, nil, err
	}
	length := binary.LittleEndian.Uint32(head[:4])
	if uint64(length) > uint64(limit) {
		return Header{}, nil, ErrTooLong
	}
	h := Header{Type: Type(head[4]), Epoch: protocol.Epoch(binary.LittleEndian.Uint64(head[5:])), Length: int(length)}
	_, _ = r.Discard(HeaderSize) // cannot fail: it is buffered
	if cap(buf) < h.Length {
		buf = make([]byte, h.Length)
	}
	buf = buf[:h.Length]
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, nil, err
	}
	return h, buf, nil
}
