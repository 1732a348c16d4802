package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"understudy.example/deploy/bench/internal/call"
)

// maxExamples bounds how many failures of a worker are told in full.
const maxExamples = 2

// retryPause is how long a worker waits after a failure.
const retryPause = 5 * time.Millisecond

// worker is what writers and readers have in common: a way to the cluster, and a
// record of what it was told. It belongs to one goroutine but for the atomics.
type worker struct {
	caller call.Caller
	named  bool

	newest  atomic.Int64           // time of the newest success, Unix ns
	failure atomic.Pointer[string] // the newest

	successes []time.Time
	repeats   int
	codes     map[string]int
	examples  []string

	lost, doubled, stale []string
}

func (w *worker) lastSuccess() time.Time { return time.Unix(0, w.newest.Load()) }

func (w *worker) lastFailure() string {
	if s := w.failure.Load(); s != nil {
		return *s
	}
	return "nothing"
}

func (w *worker) succeeded() {
	now := time.Now()
	w.successes = append(w.successes, now)
	w.newest.Store(now.UnixNano())
}

func (w *worker) failed(req call.Request, a call.Answer) {
	code := a.Code
	if code == "" {
		code = "http_" + strconv.Itoa(a.Status)
	}
	w.codes[code]++
	text := fmt.Sprintf("%s %s %s: %s: %s", time.Now().Format("15:04:05.000"), req.Method, req.Key, code, a.Detail)
	w.failure.Store(&text)
	if len(w.examples) < maxExamples {
		w.examples = append(w.examples, text)
	}
}

// outcome is the answer that ended a request.
type outcome struct {
	call.Answer
	unsure bool // an earlier attempt may have been carried out
}

// insist sends a request until its answer is a success or has one of the
// statuses that tell something of the data, and counts every other attempt as
// failed. An answer that names a key has the request asked again with it. The
// error is the end of ctx.
func (w *worker) insist(ctx context.Context, req call.Request, telling ...int) (outcome, error) {
	unsure := false
	for {
		if err := ctx.Err(); err != nil {
			return outcome{}, err
		}
		a := w.caller.Call(ctx, req)
		if a.Success() || slices.Contains(telling, a.Status) {
			return outcome{a, unsure}, nil
		}
		if err := ctx.Err(); err != nil {
			return outcome{}, err // the trial has failed, not the request
		}
		w.failed(req, a)
		unsure = unsure || a.Sent
		if a.Key != "" && w.named {
			req.ID = a.Key
		}
		_ = pause(ctx, retryPause)
	}
}

// id returns a key for a request of the worker's own, or "" where there is none.
func (w *worker) id() string {
	if !w.named {
		return ""
	}
	return fmt.Sprintf("bench-%016x%016x", rand.Uint64(), rand.Uint64())
}

// repeat sends an acknowledged write once more, with its key: the answer must be
// the first one.
func (w *worker) repeat(ctx context.Context, req call.Request, etag string) error {
	out, err := w.insist(ctx, req, http.StatusPreconditionFailed)
	if err != nil {
		return err
	}
	w.repeats++
	switch {
	case out.Status == http.StatusPreconditionFailed:
		w.failed(req, out.Answer)
		w.doubled = append(w.doubled, fmt.Sprintf("%s: the repeat of %s was judged anew, and refused", req.Key, etag))
	case out.ETag != etag:
		w.doubled = append(w.doubled, fmt.Sprintf("%s: the repeat of %s was applied as %s", req.Key, etag, out.ETag))
	default:
		w.succeeded()
	}
	return nil
}

func put(key string, value int) call.Request {
	return call.Request{Method: http.MethodPut, Key: key, Body: strconv.AppendInt(nil, int64(value), 10)}
}

func get(key string) call.Request { return call.Request{Method: http.MethodGet, Key: key} }

// oneIn is true once in n times, at random.
func oneIn(n int) bool { return rand.IntN(n) == 0 }
