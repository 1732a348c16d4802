// Package caller bounds how long a server waits for whoever called it: for a body
// that does not come, and for an answer that nobody takes. A caller may be gone
// without a word.
//
// It relies on net/http, which lifts the deadline for reading at the end of the body,
// and the one for writing at the end of the answer. What knows no deadlines, as a link
// whose requests have come as a whole, is left as it is.
package caller

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

const (
	// BodyPatience is how long the next bytes of a body may take. A server has it for
	// its ReadTimeout: a small body, nearly every one, is to be there by then, and
	// costs nothing more.
	BodyPatience = 10 * time.Second
	// BodyRate is how many bytes of a larger one have to come in a second, beside
	// that.
	BodyRate = 64 << 10
	// AnswerPiece is how many bytes of an answer are sent at a time.
	AnswerPiece = 64 << 10
	// AnswerPatience is how long they may take to be taken.
	AnswerPatience = time.Minute
)

// Body returns the body of r for reading, of which at most limit bytes are taken. A
// read that waits for too long ends with an error.
func Body(w http.ResponseWriter, r *http.Request, limit int64) io.Reader {
	size := r.ContentLength
	switch _, here := r.Body.(whole); {
	case here, size >= 0 && size <= BodyRate:
		return r.Body // in one second, beside the patience
	case size < 0 || size > limit:
		size = limit
	}
	a := &arriving{from: r.Body, to: http.NewResponseController(w)}
	a.last = time.Now().Add(BodyPatience + time.Duration(size)*time.Second/BodyRate)
	return a
}

// Renew has the time for a small body begin anew, where the server did not read at
// once. The body has not been read yet.
func Renew(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyPatience)) // an error shows at the read
}

// Whole returns what has been read of a body for a request's Body: whoever reads it
// once more waits for nobody.
func Whole(body []byte) io.ReadCloser { return whole{bytes.NewReader(body)} }

type whole struct{ *bytes.Reader }

// Close implements [io.Closer].
func (whole) Close() error { return nil }

// arriving reads a body that may take a while.
type arriving struct {
	from  io.Reader
	to    *http.ResponseController
	last  time.Time // by which all of it is to be here
	ended bool      // from then on the connection is read for another reason
}

// Read implements [io.Reader].
func (a *arriving) Read(p []byte) (n int, err error) {
	if !a.ended {
		by := time.Now().Add(BodyPatience)
		if a.last.Before(by) {
			by = a.last
		}
		_ = a.to.SetReadDeadline(by) // an error shows at the read
	}
	n, err = a.from.Read(p)
	a.ended = err != nil
	return n, err
}

// Answer returns where an answer with so many bytes is to be written; a negative size
// is not known. A write that waits for too long ends with an error.
func Answer(w http.ResponseWriter, size int) io.Writer {
	if size >= 0 && size <= AnswerPiece {
		return w
	}
	o := outlet{w, http.NewResponseController(w)}
	if o.to.SetWriteDeadline(time.Now().Add(AnswerPatience)) != nil {
		return w
	}
	return o
}

// outlet sends a long answer, in pieces.
type outlet struct {
	w  io.Writer
	to *http.ResponseController
}

// Write implements [io.Writer].
func (o outlet) Write(b []byte) (int, error) { return send(o, b) }

// WriteString implements [io.StringWriter].
func (o outlet) WriteString(s string) (int, error) { return send(o, s) }

func send[T string | []byte](o outlet, data T) (sent int, err error) {
	for sent < len(data) && err == nil {
		_ = o.to.SetWriteDeadline(time.Now().Add(AnswerPatience)) // an error shows at the write
		var n int
		n, err = o.w.Write([]byte(data[sent:min(len(data), sent+AnswerPiece)]))
		sent += n
	}
	return sent, err
}
