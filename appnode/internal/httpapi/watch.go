package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
)

// Watcher is one reader of a replica's committed changes. Only one goroutine
// uses it.
type Watcher interface {
	// Next returns the changes that came after those it has returned, each once,
	// in order, and the position up to which they are all. It waits for any at
	// most quiet, and may then return none. more tells that others are there
	// already.
	Next(ctx context.Context, quiet time.Duration) (changes []store.Change, upTo protocol.Position, more bool, err error)
	// Newest returns the position of the newest committed record.
	Newest() protocol.Position
	Close()
}

// watchFrom is where a watch begins: behind since, or with the state.
type watchFrom struct {
	prefix string
	since  protocol.Position
	resume bool
}

// watchOf reads the query of a watch. Last-Event-ID, which a browser sends of
// itself when it connects again, counts more than the since of its first address.
func watchOf(r *http.Request) (watchFrom, error) {
	var from watchFrom
	q, err := query(r, "prefix", "since")
	if err != nil {
		return from, err
	}
	from.prefix = q["prefix"]
	if len(from.prefix) > store.MaxKey || !utf8.ValidString(from.prefix) {
		return from, problem.Errorf(problem.BadRequest, "prefix is not UTF-8 of at most %d bytes", store.MaxKey)
	}
	name, text := "since", q["since"]
	_, from.resume = q["since"]
	if values, ok := r.Header[sse.HeaderLastID]; ok && len(values) > 0 && values[0] != "" {
		name, text, from.resume = "Last-Event-ID", single(values), true
	}
	if from.resume {
		if from.since, err = protocol.ParsePosition(text); err != nil {
			return from, problem.Errorf(problem.BadRequest, "%s: %s", name, err)
		}
	}
	return from, nil
}

// watch answers GET /v1/watch.
func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	from, err := watchOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var view *store.View // of the state, where the watch begins with it
	if !from.resume {
		if view, err = a.read(r); err != nil {
			a.fail(w, r, err)
			return
		}
		from.since = view.Position()
	}
	source, err := a.Replica.Watch(r.Context(), from.since, from.prefix)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer source.Close()
	a.beginStream(w, from.since)
	if r.Method == http.MethodHead {
		return
	}
	s := newEventStream(w, source, from.since)
	if view != nil {
		err = s.snapshot(view, from.prefix)
	}
	if err == nil {
		err = s.follow(r.Context())
	}
	a.endStream(s, err)
}

// beginStream sends the head of the answer.
func (a *api) beginStream(w http.ResponseWriter, at protocol.Position) {
	h := w.Header()
	a.stamp(h, at)
	h.Set("Content-Type", sse.ContentType)
	h["Cache-Control"] = noCache
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not hold events back
	// The deadline of the last write stays on the connection.
	h.Set("Connection", "close")
	w.WriteHeader(http.StatusOK)
}

// endStream tells a reader that is still there why its watch ends.
func (a *api) endStream(s *eventStream, err error) {
	switch {
	case errors.Is(err, errReaderGone), errors.Is(err, context.Canceled):
		a.Log.Debug().Err(err).Stringer("position", s.at).Msg("watch ended")
		return
	case problem.CodeOf(err) != "":
		a.Log.Info().Err(err).Stringer("position", s.at).Msg("watch cut")
	default:
		a.Log.Error().Err(err).Stringer("position", s.at).Msg("watch failed")
	}
	s.sendError(err)
}
