package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

const (
	// maxWatchEvent bounds an event: the changes of one request of 8 MiB, as
	// JSON.
	maxWatchEvent = 64 << 20
	// watchPiece is about how many bytes are sent to a caller at a time.
	watchPiece = 64 << 10
	// pieceTimeout bounds the sending of them.
	pieceTimeout = 10 * time.Second
	// lastWordTimeout bounds the sending of the reason why a watch ends.
	lastWordTimeout = 100 * time.Millisecond
)

// watchStream is one node's stream of events.
type watchStream struct {
	answer *http.Response
	alarm  *time.Timer
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when follow has returned
}

// Why a stream is given up.
var (
	errDeposed  = errors.New("it is no longer the primary")
	errNoAnswer = errors.New("it did not answer in time")
	errSilent   = errors.New("it has been silent for " + watchSilence.String())
)

// follow ends the stream when somebody else is named the primary.
func (s *watchStream) follow(ctx context.Context, d courier.Directory, target courier.Target) {
	defer close(s.ended)
	for {
		now, changed := d.Primary()
		if now != target {
			s.cancel(errDeposed)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (s *watchStream) close() {
	s.alarm.Stop()
	s.cancel(nil)
	if s.answer != nil {
		_ = s.answer.Body.Close() // it was read to its end, or given up
	}
	<-s.ended
}

// refusal is a node's answer that is no stream.
type refusal struct {
	status int
	header http.Header
	body   []byte
}

// Error implements error.
func (r *refusal) Error() string { return r.problem().Error() }

func (r *refusal) problem() error { return problem.Parse(r.status, r.header, r.body) }

// retryable tells whether another node, or this one a moment later, may take the
// watch.
func (r *refusal) retryable() bool {
	return r.status == http.StatusTemporaryRedirect || r.status >= http.StatusInternalServerError
}

// pass hands the refusal to the caller.
func (r *refusal) pass(w http.ResponseWriter) (status int) {
	for name, values := range r.header {
		if name != "Connection" && name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // the caller may be gone: there is nobody left to tell
	return r.status
}

// worthAnother tells whether a node's last word is about the node, not about the
// caller or the history: then another one may go on.
func worthAnother(text []byte) bool {
	var body problem.Body
	return json.Unmarshal(text, &body) == nil &&
		(body.Code == problem.NoPrimary || body.Code == problem.NotPrimary || body.Code == problem.Fenced)
}

// watchOutlet sends events to a caller.
type watchOutlet struct {
	w     http.ResponseWriter
	to    *http.ResponseController
	begun bool // the head was sent
	buf   []byte
}

func newWatchOutlet(w http.ResponseWriter) *watchOutlet {
	return &watchOutlet{w: w, to: http.NewResponseController(w)}
}

// begin sends the head of the answer, as the first node gave it.
func (o *watchOutlet) begin(answer *http.Response, headOnly bool) error {
	if o.begun {
		return nil
	}
	o.begun = true
	h := o.w.Header()
	for _, name := range []string{"Content-Type", "Cache-Control", "X-Accel-Buffering", wire.HeaderNode, wire.HeaderPosition} {
		if values := answer.Header.Values(name); len(values) > 0 {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	h.Set("Connection", "close") // the deadline of the last write stays on it
	o.w.WriteHeader(http.StatusOK)
	if headOnly {
		return errWatchOver
	}
	return nil
}

func (o *watchOutlet) add(raw []byte) { o.buf = append(o.buf, raw...) }

func (o *watchOutlet) full() bool { return len(o.buf) >= watchPiece }

// flush sends what was added. An error says that the caller is lost.
func (o *watchOutlet) flush() error { return o.send(pieceTimeout) }

func (o *watchOutlet) send(limit time.Duration) error {
	if len(o.buf) == 0 {
		return nil
	}
	err := o.to.SetWriteDeadline(time.Now().Add(limit))
	if err == nil {
		_, err = o.w.Write(o.buf)
	}
	if err == nil {
		err = o.to.Flush()
	}
	if o.buf = o.buf[:0]; cap(o.buf) > 2*watchPiece {
		o.buf = nil // a rare large event does not stay in memory
	}
	if err != nil {
		return fmt.Errorf("%w: the caller is gone, or reads nothing: %w", errWatchOver, err)
	}
	return nil
}

// fail sends the reason why the watch ends.
func (o *watchOutlet) fail(err error) {
	text, encodeErr := json.Marshal(problem.BodyOf(err))
	if errors.Join(encodeErr, o.send(lastWordTimeout)) != nil {
		return // there is nobody to tell
	}
	o.buf = sse.Append(o.buf, "", wire.EventError, text)
	_ = o.send(lastWordTimeout) // the caller may be gone
}
