package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// Limits of a stream of events.
const (
	minKeepAlive = 100 * time.Millisecond
	maxKeepAlive = 10 * time.Second // also where the subscriber names none
	// eventTimeout bounds the sending of what there is to tell. A subscriber that
	// takes longer is cut: it connects again and is told what is true then.
	eventTimeout = 5 * time.Second
)

// subscription is what a subscriber asks for.
type subscription struct {
	since     uint64 // the id of the newest event of the history that it has seen
	resume    bool   // it has named one
	keepAlive time.Duration
}

// subscriptionOf reads the query. Last-Event-ID, which a browser sends of itself
// when it connects again, counts more than the since of its first address.
func subscriptionOf(r *http.Request) (subscription, error) {
	s := subscription{keepAlive: maxKeepAlive}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return s, problem.Errorf(problem.BadRequest, "the query cannot be read: %v", err)
	}
	for name := range query {
		if name != "since" && name != wire.QueryKeepAlive {
			return s, problem.Errorf(problem.BadRequest, "there is no parameter %q here: since and %s are known", name, wire.QueryKeepAlive)
		}
	}
	name, text := "since", query.Get("since")
	if id := r.Header.Get(sse.HeaderLastID); id != "" {
		name, text = "Last-Event-ID", id
	}
	if text != "" {
		s.resume = true
		if s.since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return s, problem.Errorf(problem.BadRequest, "%s is %q: it is the id of an event that was seen, a number", name, text)
		}
	}
	if text := query.Get(wire.QueryKeepAlive); text != "" {
		s.keepAlive, err = time.ParseDuration(text)
		if err != nil || s.keepAlive < minKeepAlive || s.keepAlive > maxKeepAlive {
			return s, problem.Errorf(problem.BadRequest, "%s is %q: it is a duration from %s to %s", wire.QueryKeepAlive, text, minKeepAlive, maxKeepAlive)
		}
	}
	return s, nil
}

// events answers GET /v1/events.
func (a *API) events(w http.ResponseWriter, r *http.Request) {
	sub, err := subscriptionOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not hold events back
	h.Set("Connection", "close")     // the deadline of the last write stays on it
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	t := teller{w: w, to: http.NewResponseController(w), told: sub.since}
	if err := t.run(r.Context(), a.coordinator, sub); err != nil {
		a.log.Debug().Err(err).Str("subscriber", r.RemoteAddr).Msg("subscriber lost")
	}
}

// teller tells one subscriber the news. It looks at them when they have changed:
// whoever is slow is told less often, and what is true then.
type teller struct {
	w       http.ResponseWriter
	to      *http.ResponseController
	primary wire.PrimaryEvent // as it was told
	told    uint64            // id of the newest event of the history that was told
	buf     []byte
}

// run tells until the subscriber leaves or the monitor judges no more.
func (t *teller) run(ctx context.Context, c Coordinator, sub subscription) error {
	primary, history, changed := c.News()
	if !sub.resume && len(history) > 0 {
		t.told = history[len(history)-1].ID
	}
	t.primary = primary
	if err := t.add(wire.EventPrimary, primary); err != nil {
		return err
	}
	quiet := time.NewTicker(sub.keepAlive)
	defer quiet.Stop()
	for {
		if err := t.tell(primary, history); err != nil {
			return err
		}
		if changed == nil {
			return nil
		}
		quiet.Reset(sub.keepAlive)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-quiet.C:
			t.buf = sse.AppendComment(t.buf, "nothing new")
		}
		primary, history, changed = c.News()
	}
}

// tell sends what the subscriber has not been told yet.
func (t *teller) tell(primary wire.PrimaryEvent, history []protocol.HistoryEvent) error {
	from, _ := slices.BinarySearchFunc(history, t.told+1, func(e protocol.HistoryEvent, id uint64) int {
		return cmp.Compare(e.ID, id)
	})
	for _, e := range history[from:] {
		t.told = e.ID
		if err := t.add(wire.EventHistory, e); err != nil {
			return err
		}
	}
	if primary != t.primary {
		t.primary = primary
		if err := t.add(wire.EventPrimary, primary); err != nil {
			return err
		}
	}
	return t.flush()
}

// add appends an event to what is to be sent.
func (t *teller) add(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	t.buf = sse.Append(t.buf, strconv.FormatUint(t.told, 10), name, text)
	return nil
}

func (t *teller) flush() error {
	if len(t.buf) == 0 {
		return nil
	}
	if err := t.to.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("bound the sending of events: %w", err)
	}
	_, err := t.w.Write(t.buf)
	if err == nil {
		err = t.to.Flush()
	}
	if err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	t.buf = t.buf[:0]
	return nil
}
