package understudy

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

const (
	// watchSilence is how long a stream of changes may say nothing: a node sends
	// a comment every ten seconds.
	watchSilence = 15 * time.Second
	// maxWatchEvent bounds an event: the changes of one request of 8 MiB, as
	// JSON.
	maxWatchEvent = 64 << 20
	// watchDetour is how many attempts at a primary that serves come to nothing
	// until the watch goes through a monitor.
	watchDetour = 3
)

// watchPauses is how long a watch waits before its n-th attempt in a row; the
// last one is repeated.
var watchPauses = []time.Duration{0, 0, 5, 10, 20, 40, 50, 100, 200}

var errQuiet = errors.New("the stream of changes has been silent for " + watchSilence.String())

// Change is what happened to one key.
type Change struct {
	Key     string
	Value   []byte
	ETag    string
	Deleted bool // and there is no value
}

// Event is a part of the state with which a watch begins, or what one write
// changed, all of it at once. Who applies the changes of every event to a map,
// and empties the map where Reset says so, has a copy of the state.
type Event struct {
	// Snapshot: the changes are entries of the state from which the watch goes
	// on. Such a part has no position, but the last.
	Snapshot bool
	// Reset: the snapshot begins, or begins anew because it was cut: what earlier
	// events brought is to be forgotten.
	Reset bool
	// Complete: the snapshot ends with this event.
	Complete bool
	Position Position // pass it to Since to go on behind this event later
	Changes  []Change // in order
}

// Since has a watch begin behind a position, without the state. It is no option
// of other calls.
func Since(at Position) Option { return header(sse.HeaderLastID, at.String()) }

// Watch yields the keys that begin with the prefix as they are, and then every
// change of them that is committed, in order, each once. It goes on through
// failovers, for as long as it takes: only ctx, Close, and a refusal end it,
// with an error that is yielded last. With [Since] the refusal may have the
// code compacted, if the changes behind the position are no longer kept, or
// history_lost. So it may without, where the caller was too slow for too long.
//
// Whoever stops reading holds up nothing but this watch.
func (c *Client) Watch(ctx context.Context, prefix string, options ...Option) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watch{client: c, prefix: prefix, header: headersOf(options), yield: yield}
		if at, err := protocol.ParsePosition(w.header.Get(sse.HeaderLastID)); err == nil {
			w.at, w.resume = at, true
		}
		if err := w.run(ctx); err != nil && !errors.Is(err, errEnough) {
			yield(Event{}, err)
		}
	}
}

// errEnough ends a watch whose reader has left the loop.
var errEnough = errors.New("the reader has had enough")

// watch is one loop over changes.
type watch struct {
	client *Client
	prefix string
	header http.Header
	yield  func(Event, error) bool

	at     Position // everything up to here was yielded
	resume bool     // go on behind at; else begin with the state
	// failures counts the attempts in a row that have brought nothing.
	failures int
}

// run watches one node after the other, until there is an error for good.
func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.client.ctx, cancel)()
	for {
		err := w.attempt(ctx)
		switch {
		case errors.Is(err, errEnough):
			return err
		case w.client.ctx.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case final(err):
			return err
		}
		w.client.log.Debug().Err(err).Msg("watch interrupted")
		if !wait(ctx, watchPauses[min(w.failures, len(watchPauses)-1)]*time.Millisecond) {
			continue // the cases above say why
		}
		w.failures++
	}
}

// final tells whether to ask again would change nothing.
func final(err error) bool {
	if r, ok := errors.AsType[*refused](err); ok {
		return r.status >= http.StatusBadRequest && r.status < http.StatusInternalServerError
	}
	e, ok := errors.AsType[*problem.Error](err)
	return ok && !e.Code.Meaning().Retryable
}

// attempt watches one node until its stream ends.
func (w *watch) attempt(ctx context.Context) error {
	address, reign, err := w.source(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(reign, func() { cancel(errEnded) })() // somebody else knows more
	alarm := time.AfterFunc(watchSilence, func() { cancel(errQuiet) })
	defer alarm.Stop()
	if w.resume {
		w.header.Set(sse.HeaderLastID, w.at.String())
	}
	target := wire.PathWatch
	if w.prefix != "" {
		target += "?" + url.Values{"prefix": {w.prefix}}.Encode()
	}
	res, err := getStream(ctx, w.client.http, address, target, w.header)
	if err != nil {
		return reason(ctx, err)
	}
	defer res.Body.Close()
	in := sse.NewReader(res.Body, maxWatchEvent)
	for {
		e, err := in.Next()
		if err != nil {
			return reason(ctx, err)
		}
		alarm.Stop() // the reader may take its time
		if err := w.take(e); err != nil {
			return err
		}
		alarm.Reset(watchSilence)
	}
}

// garbled is the error of what another release may have sent: to ask again would
// bring the same.
func garbled(what string, err error) error {
	return failed(problem.Errorf(problem.UnsupportedVersion, "%s cannot be read (does everybody run the same release?): %v", what, err))
}

// source returns whom to watch, and a context that ends when it is no longer the
// one: the primary, or a monitor while the primary cannot be reached from here.
func (w *watch) source(ctx context.Context) (address string, reign context.Context, err error) {
	d := w.client.directory
	for {
		address, reign, changed := d.primary()
		if w.client.around.Load() || w.failures >= watchDetour && d.serves(address) {
			if monitor, attendance := d.host(); monitor != "" {
				return monitor, attendance, nil
			}
		}
		if address != "" {
			return address, reign, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
}

// take passes one event on.
func (w *watch) take(e sse.Event) error {
	switch e.Name {
	case wire.EventSnapshot:
		return w.snapshot(e)
	case wire.EventBatch:
		return w.batch(e)
	case wire.EventError:
		var body problem.Body
		if err := json.Unmarshal(e.Data, &body); err != nil {
			return garbled("why the watch ends", err)
		}
		return failed(&problem.Error{Code: body.Code, Detail: body.Detail})
	}
	if e.HasID && w.resume { // a position alone: nothing of the prefix has changed up to there
		return w.reach(e.ID)
	}
	return nil
}

// reach notes the id of an event that was passed on.
func (w *watch) reach(id string) error {
	at, err := protocol.ParsePosition(id)
	if err != nil {
		return garbled("the id of an event", err)
	}
	w.at, w.resume = at, true
	return nil
}

func (w *watch) snapshot(e sse.Event) error {
	var page wire.WatchSnapshot
	if err := json.Unmarshal(e.Data, &page); err != nil {
		return garbled("a snapshot", err)
	}
	event := Event{Snapshot: true, Reset: page.First, Complete: page.Last, Changes: make([]Change, 0, len(page.Items))}
	for _, item := range page.Items {
		value, err := bytesOf(item.Value, item.Base64)
		if err != nil {
			return garbled("a value of a snapshot", err)
		}
		event.Changes = append(event.Changes, Change{Key: item.Key, Value: value, ETag: item.ETag})
	}
	if page.Last {
		if err := w.reach(e.ID); err != nil {
			return err
		}
		event.Position = w.at
	}
	return w.hand(event)
}

func (w *watch) batch(e sse.Event) error {
	var batch wire.WatchBatch
	if err := json.Unmarshal(e.Data, &batch); err != nil {
		return garbled("changes", err)
	}
	if batch.Position.Compare(w.at) <= 0 {
		return nil // it was passed on
	}
	event := Event{Position: batch.Position, Changes: make([]Change, 0, len(batch.Changes))}
	for _, k := range batch.Changes {
		change := Change{Key: k.Key, Deleted: k.Deleted}
		if !k.Deleted {
			var err error
			if change.Value, err = bytesOf(k.Value, k.Base64); err != nil {
				return garbled("a changed value", err)
			}
			change.ETag = `"` + batch.Position.String() + `"`
		}
		event.Changes = append(event.Changes, change)
	}
	w.at, w.resume = batch.Position, true
	return w.hand(event)
}

// hand passes an event on to the caller.
func (w *watch) hand(e Event) error {
	w.failures = 0
	if !w.yield(e, nil) {
		return errEnough
	}
	return nil
}
