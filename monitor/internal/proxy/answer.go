package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/link"
)

// pass hands a node's answer to the caller. What of it has been read before is
// sent at once, the rest as it comes.
func (p *Proxy) pass(w http.ResponseWriter, res *link.Response) error {
	p.newest.note(group, res.Header)
	h := w.Header()
	maps.Copy(h, res.Header)
	w.WriteHeader(res.Status)
	size := len(res.Body)
	if res.Rest != nil {
		size = -1
	}
	out := caller.Answer(w, size)
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
