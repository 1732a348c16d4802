package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// Limits of watches.
const (
	maxWatches = 5_000
	// watchSilence is how long a node may say nothing: it sends a comment every
	// ten seconds.
	watchSilence = 15 * time.Second
	// watchDial bounds the way to a node.
	watchDial = time.Second
	// maxRefusal bounds the body of a node's refusal, in bytes.
	maxRefusal = 64 << 10
)

// watches are what all watches share.
type watches struct {
	transport *http.Transport
	open      *atomic.Int64
	ending    context.Context // ends every watch
	end       context.CancelFunc
}

func newWatches(dial func(ctx context.Context, network, address string) (net.Conn, error)) watches {
	ending, end := context.WithCancel(context.Background())
	return watches{
		transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, watchDial)
				defer cancel()
				return dial(ctx, network, address)
			},
			DisableCompression: true, DisableKeepAlives: true, // a stream has its connection to itself
		},
		open: new(atomic.Int64), ending: ending, end: end,
	}
}

// watching is one caller's watch, on its way through one primary after another.
type watching struct {
	*Proxy
	in  *http.Request
	out *watchOutlet
	// last is the id of the newest event that was passed on, "" before the first:
	// the next node goes on behind it, or as the caller asked.
	last string
	// vain counts the streams in a row that brought nothing.
	vain int
}

// serveWatch passes the primary's stream of events on, whole events only, and
// goes on at the next primary behind the last one passed, so that the caller
// misses nothing and sees nothing twice. A state that was cut begins anew.
func (p *Proxy) serveWatch(w http.ResponseWriter, r *http.Request) (status int, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0, problem.Errorf(problem.BadRequest, "a watch is begun with GET, not with %s", r.Method)
	}
	defer p.watches.open.Add(-1)
	if p.watches.open.Add(1) > maxWatches {
		return 0, overloaded("%d watches are open", maxWatches)
	}
	x := &watching{Proxy: p, in: r, out: newWatchOutlet(w)}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.watches.ending, cancel)()
	for err == nil {
		err = x.oneStream(ctx)
	}
	answer, refused := errors.AsType[*refusal](err)
	switch {
	case !x.out.begun && refused:
		return answer.pass(w), nil
	case !x.out.begun:
		return 0, err
	case refused:
		x.out.fail(answer.problem())
	case !errors.Is(err, errWatchOver) && ctx.Err() == nil:
		x.out.fail(err)
	}
	return http.StatusOK, nil // an end without a word has the caller connect again
}

// errWatchOver ends a watch about which there is nothing more to say.
var errWatchOver = errors.New("the watch is over")

// oneStream passes one node's stream on, to its end. An error ends the watch.
func (x *watching) oneStream(ctx context.Context) error {
	s, err := x.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	x.newest.note(group, s.answer.Header)
	if err := x.out.begin(s.answer, x.in.Method == http.MethodHead); err != nil {
		return err
	}
	in := sse.NewReader(s.answer.Body, maxWatchEvent)
	x.vain++
	for {
		e, err := in.Next()
		if err != nil {
			return x.out.flush() // and goes on at whoever is primary then
		}
		s.alarm.Reset(watchSilence)
		if e.Name == wire.EventError && worthAnother(e.Data) {
			return x.out.flush()
		}
		if err := x.pass(e, in.Buffered()); err != nil {
			return err
		}
	}
}

// pass passes one event on. more tells that another is about to be.
func (x *watching) pass(e sse.Event, more bool) error {
	x.out.add(e.Raw)
	if e.HasID || e.Data != nil {
		x.vain = 0
	}
	if e.HasID {
		x.last = e.ID
	}
	if e.Name == wire.EventError {
		_ = x.out.flush() // it was the last word, whether the caller hears it or not
		return errWatchOver
	}
	if more && !x.out.full() {
		return nil
	}
	if p, err := protocol.ParsePosition(x.last); err == nil {
		x.newest.noteAt(group, p)
	}
	return x.out.flush()
}

// connect opens a stream at whoever is primary, for at most the hold. The error
// is a *refusal where the node's answer is the caller's, else a *problem.Error.
func (x *watching) connect(ctx context.Context) (*watchStream, error) {
	held, cancel := context.WithTimeout(ctx, x.courier.Hold())
	defer cancel()
	var last error
	for attempt := x.vain; ; attempt++ {
		target, err := x.courier.Await(held, attempt)
		if err != nil {
			return nil, x.inVain(ctx, held, last)
		}
		s, err := x.ask(ctx, held, target)
		if err == nil {
			return s, nil
		}
		if r, ok := errors.AsType[*refusal](err); ok && !r.retryable() {
			return nil, err
		}
		if last == nil || held.Err() == nil { // an attempt that the hold cut short says less than one before it
			last = fmt.Errorf("%s: %w", target.Name, err)
		}
	}
}

// inVain says why there is no stream.
func (x *watching) inVain(ctx, held context.Context, last error) error {
	why := "there is no primary now"
	if last != nil {
		why = last.Error()
	}
	switch {
	case x.watches.ending.Err() != nil:
		return noPrimary("this monitor is stopping: go on with the last id at another one")
	case ctx.Err() == nil && held.Err() != nil:
		return noPrimary("waited for %s: %s", x.courier.Hold(), why)
	}
	return noPrimary("%s", why)
}

// ask asks a node for its stream. held bounds the wait for the head of the
// answer; ctx ends the stream, and so do silence and the news of another primary.
func (x *watching) ask(ctx, held context.Context, target courier.Target) (*watchStream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &watchStream{
		cancel: cancel, ended: make(chan struct{}),
		alarm: time.AfterFunc(watchSilence, func() { cancel(errSilent) }),
	}
	go s.follow(ctx, x.directory, target)
	unhold := context.AfterFunc(held, func() { cancel(errNoAnswer) })
	var err error
	s.answer, err = x.watches.transport.RoundTrip(x.request(ctx, target)) //nolint:bodyclose // close does
	if !unhold() && err == nil {
		err = errNoAnswer
	}
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err) // asked before close cancels it, too
		s.close()
		return nil, err
	}
	if s.answer.StatusCode == http.StatusOK {
		return s, nil
	}
	body, err := io.ReadAll(io.LimitReader(s.answer.Body, maxRefusal))
	s.close()
	if err != nil {
		return nil, err
	}
	return nil, &refusal{status: s.answer.StatusCode, header: s.answer.Header, body: body}
}

// request returns the caller's request, to a node.
func (x *watching) request(ctx context.Context, target courier.Target) *http.Request {
	out := x.in.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.Host = "http", target.Address, target.Address
	out.RequestURI, out.Body, out.ContentLength, out.TransferEncoding = "", http.NoBody, 0, nil
	out.Header = http.Header{"User-Agent": {""}} // or the transport names itself
	for _, name := range []string{sse.HeaderLastID, wire.HeaderConsistency, wire.HeaderPosition} {
		if values := x.in.Header.Values(name); len(values) > 0 {
			out.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if x.last != "" {
		out.Header.Set(sse.HeaderLastID, x.last)
	}
	return out
}
