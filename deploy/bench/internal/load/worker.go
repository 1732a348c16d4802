package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/histogram"
	"understudy.example/pkg/requestid"
)

// worker is one client in its own goroutine.
type worker struct {
	caller      call.Caller
	op          string
	keys        int
	value       []byte
	ids         *requestid.Source // shared by all, as at a first hop
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
		_, err := w.once(ctx)
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

// once sends one request and returns who answered.
func (w *worker) once(ctx context.Context) (node string, err error) {
	req := call.Request{Method: http.MethodGet, Key: key(w.random.IntN(w.keys))}
	switch w.op {
	case Write:
		req.Method, req.Body = http.MethodPut, w.value
	case HopWrite:
		ticket := w.ids.Next()
		defer ticket.Done()
		req.Method, req.Body, req.Hop = http.MethodPut, w.value, ticket.ID().Header()
	case KeyWrite:
		req.Method, req.Body, req.ID = http.MethodPut, w.value, strconv.FormatUint(w.random.Uint64(), 36)
	case StaleRead:
		req.Stale = true
	}
	res := w.caller.Call(ctx, req)
	if !res.Success() {
		return res.Node, errors.New(res.Detail)
	}
	return res.Node, nil
}
