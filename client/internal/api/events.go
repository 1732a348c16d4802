package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

const (
	// keepAlive is how often a monitor with nothing to tell shows that it lives.
	keepAlive = time.Second
	// silence is how long it may show nothing.
	silence  = 3 * time.Second
	maxEvent = 1 << 20 // bytes
)

// Event is what a monitor tells: who the primary is, or what has happened.
// Exactly one of the two is set.
type Event struct {
	Primary *wire.PrimaryEvent     `json:"primary,omitempty"`
	History *protocol.HistoryEvent `json:"history,omitempty"`
}

// Events hands on who the primary is, and then what happens, until ctx ends or
// take returns an error. When a monitor falls silent it goes on with the next,
// where it was. The error is Unreachable if none answers within the timeout.
func (c *Client) Events(ctx context.Context, take func(Event) error) error {
	f := &eventFollower{Client: c, take: take, heard: time.Now()}
	for attempt := 0; ; attempt++ {
		err := f.follow(ctx, c.monitors[attempt%len(c.monitors)])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.failed != nil:
			return f.failed
		case time.Since(f.heard) >= c.timeout:
			return &Unreachable{Monitors: c.monitors, Cause: err}
		}
		select {
		case <-ctx.Done():
		case <-time.After(firstBackoff):
		}
	}
}

// eventFollower is where a reader of events stands.
type eventFollower struct {
	*Client
	take    func(Event) error
	failed  error     // for which to ask again would change nothing
	heard   time.Time // the last sign of life of any monitor
	last    string    // id to go on behind
	primary wire.PrimaryEvent
}

var errSilent = errors.New("the monitor has fallen silent")

// errNoAnswer is why a request is given up that nobody has answered in time.
var errNoAnswer = errors.New("no answer came in time")

// follow hands on the events of one monitor until they end.
func (f *eventFollower) follow(ctx context.Context, monitor string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(min(silence, f.timeout), func() { cancel(errSilent) })
	defer alarm.Stop()
	query := url.Values{wire.QueryKeepAlive: {keepAlive.String()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+wire.PathEvents+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if f.last != "" {
		req.Header.Set(sse.HeaderLastID, f.last)
	}
	res, err := f.http.Do(req)
	if err != nil {
		return cause(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxEvent)) // the status tells enough
		err := problem.Parse(res.StatusCode, res.Header, body)
		if res.StatusCode < http.StatusInternalServerError {
			f.failed = err
		}
		return err
	}
	in := sse.NewReader(res.Body, maxEvent)
	for {
		e, err := in.Next()
		if err != nil {
			return cause(ctx, err)
		}
		alarm.Reset(silence)
		f.heard = time.Now()
		if f.failed = f.hand(e); f.failed != nil {
			return f.failed
		}
	}
}

// cause tells why a request failed, in as few words as possible.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// hand passes one event on. What another monitor says once more is left out.
func (f *eventFollower) hand(e sse.Event) error {
	var event Event
	var into any
	switch e.Name {
	case wire.EventPrimary:
		event.Primary = new(wire.PrimaryEvent)
		into = event.Primary
	case wire.EventHistory:
		event.History = new(protocol.HistoryEvent)
		into = event.History
	default:
		return nil
	}
	if err := json.Unmarshal(e.Data, into); err != nil {
		return fmt.Errorf("an event is not the expected JSON (is this a monitor of the same release?): %w", err)
	}
	if e.HasID {
		f.last = e.ID
	}
	if event.Primary != nil {
		if *event.Primary == f.primary {
			return nil
		}
		f.primary = *event.Primary
	}
	return f.take(event)
}
