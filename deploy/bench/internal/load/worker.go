package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/histogram"
)

// worker is one client in its own goroutine.
type worker struct {
	caller      call.Caller
	op          string
	keys        int
	value       []byte
	random      *rand.Rand
	from, until time.Time

	times  histogram.Histogram
	errors int
	last   error
}

// run sends requests until the end; those begun before from are not counted.
func (w *worker) run(ctx context.Context) {
	defer w.caller.Close()
	for ctx.Err() == nil {
		began := time.Now()
		if began.After(w.until) {
			return
		}
		err := w.once(ctx)
		switch {
		case began.Before(w.from):
		case err != nil:
			w.errors++
		default:
			w.times.Record(time.Since(began))
		}
		if err != nil {
			w.last = err
			select {
			case <-ctx.Done():
			case <-time.After(afterError):
			}
		}
	}
}

func (w *worker) once(ctx context.Context) error {
	req := call.Request{Method: http.MethodGet, Key: key(w.random.IntN(w.keys))}
	switch w.op {
	case Write:
		req.Method, req.Body = http.MethodPut, w.value
	case StaleRead:
		req.Stale = true
	}
	if res := w.caller.Call(ctx, req); !res.Success() {
		return errors.New(res.Detail)
	}
	return nil
}
