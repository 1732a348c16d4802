// Package sse writes and reads server-sent events (WHATWG HTML, section 9.2):
// blocks of lines, each ended by an empty line, that a browser's EventSource
// understands.
//
// A block with an id and without data is no event for the reader's program, but
// moves the id from which the reader goes on when it connects again. A line that
// begins with a colon is a comment, which only shows that the writer lives.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Names of the header by which a reader that connects again says what it has
// seen, and of the media type.
const (
	HeaderLastID = "Last-Event-Id"
	ContentType  = "text/event-stream"
)

// Event is one block.
type Event struct {
	// ID is where a reader goes on after this event. HasID tells it from a block
	// without one: the id of an event before it stays.
	ID    string
	HasID bool
	Name  string // "" reads as message
	Data  []byte // lines are parted by \n; nil for a block without data
	// Raw is the whole block as it was read, the empty line included.
	Raw []byte
}

// Append appends an event to dst. An empty id is left out. Neither id nor name
// may hold a line break; data may hold \n.
func Append(dst []byte, id, name string, data []byte) []byte {
	if strings.ContainsAny(id+name, "\r\n\x00") {
		panic(fmt.Sprintf("sse: id %q or name %q holds a line break", id, name)) // they are this program's own words
	}
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	if name != "" {
		dst = append(append(append(dst, "event: "...), name...), '\n')
	}
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		dst = append(append(append(dst, "data: "...), line...), '\n')
		data = rest
	}
	return append(dst, '\n')
}

// AppendComment appends a comment to dst, which a reader overlooks.
func AppendComment(dst []byte, text string) []byte {
	return append(append(append(dst, ": "...), text...), "\n\n"...)
}

// ErrTooLong is returned for a block beyond the reader's limit.
var ErrTooLong = errors.New("a server-sent event is too long")

// Reader reads the blocks of a stream. It is not for use by several goroutines.
type Reader struct {
	in    *bufio.Reader
	limit int
	raw   []byte
}

// NewReader reads from r. A block has at most limit bytes.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{in: bufio.NewReader(r), limit: limit}
}

// Next returns the next whole block, also one that holds only a comment, an id
// or a retry. What it returns is good until the next call. The error is io.EOF
// where the stream ends between two blocks, io.ErrUnexpectedEOF inside one.
func (r *Reader) Next() (Event, error) {
	r.raw = r.raw[:0]
	for {
		begin := len(r.raw)
		if err := r.line(); err != nil {
			if errors.Is(err, io.EOF) && len(r.raw) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Event{}, err
		}
		if len(trimBreak(r.raw[begin:])) > 0 {
			continue
		}
		if begin > 0 {
			return parse(r.raw), nil
		}
		r.raw = r.raw[:0] // an empty line before a block means nothing
	}
}

// Buffered tells whether a whole further block is here already.
func (r *Reader) Buffered() bool {
	here, _ := r.in.Peek(r.in.Buffered()) // cannot fail: it is buffered
	here = bytes.TrimLeft(here, "\r\n")   // an empty line before a block means nothing
	return bytes.Contains(here, []byte("\n\n")) || bytes.Contains(here, []byte("\n\r\n"))
}

// line appends the next line to raw, its break included.
func (r *Reader) line() error {
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.raw)+len(part) > r.limit {
			return fmt.Errorf("%w: at most %d bytes are taken", ErrTooLong, r.limit)
		}
		r.raw = append(r.raw, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func trimBreak(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}

// parse reads the fields of a block. Unknown ones are overlooked, as the
// standard has it.
func parse(raw []byte) Event {
	e := Event{Raw: raw}
	for line := range bytes.Lines(raw) {
		name, value, _ := bytes.Cut(trimBreak(line), []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				e.ID, e.HasID = string(value), true
			}
		case "event":
			e.Name = string(value)
		case "data":
			if e.Data != nil {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
			if e.Data == nil {
				e.Data = []byte{}
			}
		}
	}
	return e
}
