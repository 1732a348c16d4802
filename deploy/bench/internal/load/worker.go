package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"understudy.example/deploy/bench/internal/histogram"
	"understudy.example/deploy/bench/internal/rawhttp"
	"understudy.example/pkg/wire"
)

// worker is one client in its own goroutine.
type worker struct {
	address     string
	op          string
	keys        int
	value       []byte
	random      *rand.Rand
	from, until time.Time

	conn   *rawhttp.Client // nil: not connected
	times  histogram.Histogram
	errors int
	last   error
}

// run sends requests until the end; those begun before from are not counted.
func (w *worker) run(ctx context.Context) {
	defer w.hangUp()
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
			w.hangUp()
			select {
			case <-ctx.Done():
			case <-time.After(afterError):
			}
		}
	}
}

func (w *worker) hangUp() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

func (w *worker) once(ctx context.Context) (err error) {
	if w.conn == nil {
		if w.conn, err = rawhttp.Dial(ctx, w.address); err != nil {
			w.conn = nil
			return err
		}
	}
	req := rawhttp.Request{Method: "GET", Path: key(w.random.IntN(w.keys))}
	switch w.op {
	case Write:
		req.Method, req.Body = "PUT", w.value
	case StaleRead:
		req.Header = wire.HeaderConsistency + ": " + wire.Stale + "\r\n"
	}
	res, err := w.conn.Do(req, requestTimeout)
	switch {
	case err != nil:
		return err
	case res.Status >= 300:
		return fmt.Errorf("the server answered %d: %s", res.Status, res.Body)
	case res.Last:
		w.hangUp()
	}
	return nil
}
