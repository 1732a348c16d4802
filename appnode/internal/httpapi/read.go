package httpapi

import (
	"context"
	"net/http"
	"time"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// staleWait is how long a stale read waits for the position that it names,
// before it answers the state as it is.
const staleWait = 200 * time.Millisecond

// want is how fresh a request wants its answer.
type want struct {
	level store.Level
	at    protocol.Position
	given bool // the request names its level
}

// wanted reads the headers that say how fresh the answer must be.
func wanted(h http.Header) (want, error) {
	var w want
	if values, ok := h[wire.HeaderConsistency]; ok {
		w.given = true
		switch single(values) {
		case wire.Linearizable:
		case wire.Session:
			w.level = store.Session
		case wire.Stale:
			w.level = store.Stale
		default:
			return w, problem.Errorf(problem.BadRequest, "%s is %q: it is %s, %s or %s", wire.HeaderConsistency, values, wire.Linearizable, wire.Session, wire.Stale)
		}
	}
	if values, ok := h[wire.HeaderPosition]; ok {
		var err error
		if w.at, err = protocol.ParsePosition(single(values)); err != nil {
			return w, problem.Errorf(problem.BadRequest, "%s: %s", wire.HeaderPosition, err)
		}
	}
	return w, nil
}

// single returns the value of a header that may stand only once, "" if it
// stands more often.
func single(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// read returns the state to answer r from.
func (a *api) read(r *http.Request) (*store.View, error) {
	w, err := wanted(r.Header)
	if err != nil {
		return nil, err
	}
	return a.readAt(r.Context(), w)
}

func (a *api) readAt(ctx context.Context, w want) (*store.View, error) {
	if w.level == store.Stale && w.at != (protocol.Position{}) {
		waiting, cancel := context.WithTimeout(ctx, staleWait)
		view, err := a.Replica.Read(waiting, store.Session, w.at)
		cancel()
		if err == nil {
			return view, nil
		}
	}
	return a.Replica.Read(ctx, w.level, w.at)
}
