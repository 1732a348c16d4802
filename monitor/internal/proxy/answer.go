package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"time"

	"understudy.example/pkg/link"
)

// A long answer is sent in pieces, and each must be taken in time: a caller may be
// gone without a word. A node has the same patience with who reads from it.
const (
	answerPiece    = 64 << 10 // bytes
	answerPatience = time.Minute
)

// pass hands a node's answer to the caller. What of it has been read before is
// sent at once, the rest as it comes.
func (p *Proxy) pass(w http.ResponseWriter, res *link.Response) error {
	p.newest.note(group, res.Header)
	h := w.Header()
	maps.Copy(h, res.Header)
	w.WriteHeader(res.Status)
	var out io.Writer = w
	if len(res.Body) > answerPiece {
		out = outlet{w, http.NewResponseController(w)}
	}
	_, err := out.Write(res.Body)
	if res.Rest == nil {
		return nil // a caller that is gone cannot be told anything
	}
	defer res.Rest.Close() //nolint:errcheck // what it says came with the last read
	if err == nil {
		_, err = io.Copy(out, res.Rest)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		// The status has been sent: only a broken connection tells the caller
		// that the answer is not whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// outlet sends a long answer to a caller. At the end of the answer the server lifts
// the deadline.
type outlet struct {
	w  io.Writer
	to *http.ResponseController
}

// Write implements [io.Writer].
func (o outlet) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		_ = o.to.SetWriteDeadline(time.Now().Add(answerPatience)) // an error shows at the write
		var n int
		n, err = o.w.Write(b[written:min(len(b), written+answerPiece)])
		written += n
	}
	return written, err
}
