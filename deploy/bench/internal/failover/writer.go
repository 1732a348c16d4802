package failover

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"understudy.example/deploy/bench/internal/rawhttp"
)

const (
	requestTimeout = 5 * time.Second
	retryPause     = 5 * time.Millisecond
)

// writer writes one write after the other and repeats each until it is
// acknowledged. It takes turns between a chain, one key whose every value is
// conditional on the one before, and keys that it writes but once.
type writer struct {
	prefix string
	target func(ctx context.Context) (string, error)
	conn   *rawhttp.Client // nil: not connected

	newest atomic.Int64 // time of the newest acknowledgement, Unix ns; read by others
	acks   []time.Time

	step    int    // the next; everything before is acknowledged
	chained int    // the newest value of the chain that is acknowledged; -1: none
	etag    string // of that value

	refused, broken int
	lost, doubled   []string
}

func newWriter(prefix string, target func(context.Context) (string, error)) *writer {
	return &writer{prefix: prefix, target: target, chained: -1}
}

func (w *writer) lastAck() time.Time { return time.Unix(0, w.newest.Load()) }

func (w *writer) acknowledged() {
	now := time.Now()
	w.acks = append(w.acks, now)
	w.newest.Store(now.UnixNano())
}

func (w *writer) hangUp() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// run writes until ctx ends, which is no error.
func (w *writer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.chain(ctx, w.step); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		res, err := w.insist(ctx, w.put(w.onceKey(w.step), w.step, ""), http.StatusOK)
		if err != nil || res.status == 0 {
			return err
		}
		w.acknowledged()
		w.step++
	}
	return nil
}

func (w *writer) chainKey() string        { return w.prefix + "chain" }
func (w *writer) onceKey(n int) string    { return w.prefix + "once/" + strconv.Itoa(n) }
func path(key string) string              { return "/v1/kv/" + url.PathEscape(key) }
func get(key string) rawhttp.Request      { return rawhttp.Request{Method: "GET", Path: path(key)} }
func ifMatch(etag string) (header string) { return "If-Match: " + etag + "\r\n" }

func (w *writer) put(key string, value int, header string) rawhttp.Request {
	return rawhttp.Request{Method: "PUT", Path: path(key), Header: header, Body: strconv.AppendInt(nil, int64(value), 10)}
}

// chain writes value n on the condition that n-1 is still the newest.
func (w *writer) chain(ctx context.Context, n int) error {
	for {
		condition := "If-None-Match: *\r\n"
		if w.etag != "" {
			condition = ifMatch(w.etag)
		}
		res, err := w.insist(ctx, w.put(w.chainKey(), n, condition), http.StatusOK, http.StatusPreconditionFailed)
		switch {
		case err != nil || res.status == 0:
			return err
		case res.status != http.StatusPreconditionFailed:
			w.chained, w.etag = n, res.etag
			w.acknowledged()
			return nil
		}
		again, err := w.settle(ctx, n, res.unsure)
		if err != nil || !again {
			return err
		}
	}
}

// settle finds out why the condition for value n did not hold: an earlier copy
// of the request has arrived, or something has happened that must not.
func (w *writer) settle(ctx context.Context, n int, unsure bool) (again bool, err error) {
	res, err := w.insist(ctx, get(w.chainKey()), http.StatusOK, http.StatusNotFound)
	if err != nil || res.status == 0 {
		return false, err
	}
	w.etag = res.etag
	value, err := strconv.Atoi(res.body)
	switch {
	case res.status == http.StatusNotFound:
		w.etag = ""
		w.lost = append(w.lost, fmt.Sprintf("%s: value %d is gone", w.chainKey(), w.chained))
	case err != nil:
		return false, fmt.Errorf("%s holds %q, which nobody wrote", w.chainKey(), res.body)
	case value == n && unsure:
		w.chained = n
		w.acknowledged()
		return false, nil
	case value >= w.chained:
		w.doubled = append(w.doubled, fmt.Sprintf("%s: value %d was written once more, or in spite of a refusal", w.chainKey(), value))
	default:
		w.lost = append(w.lost, fmt.Sprintf("%s: value %d is back to %d", w.chainKey(), w.chained, value))
	}
	return true, nil
}

// outcome is an answer, or with status 0 the end of the context.
type outcome struct {
	status int
	etag   string
	body   string
	unsure bool // an earlier attempt may have been carried out
}

// insist repeats a request until it is answered by success or one of the
// statuses that are wanted. Other answers than a refusal that says to come back
// are errors.
func (w *writer) insist(ctx context.Context, req rawhttp.Request, wanted ...int) (outcome, error) {
	var out outcome
	for ctx.Err() == nil {
		res, sent, err := w.once(ctx, req)
		switch {
		case err != nil:
			w.hangUp()
			if sent {
				w.broken++
				out.unsure = true
			} else {
				w.refused++
			}
		case res.Status == http.StatusGatewayTimeout:
			w.broken++
			out.unsure = true
		case res.Status == http.StatusServiceUnavailable || res.Status == http.StatusTemporaryRedirect:
			w.refused++
			w.hangUp() // in a direct run another node is the target now
		case res.Status < 300 || slices.Contains(wanted, res.Status):
			out.status, out.etag, out.body = res.Status, string(res.ETag), string(res.Body)
			if res.Last {
				w.hangUp()
			}
			return out, nil
		default:
			return out, fmt.Errorf("%s %s: the server answered %d: %s", req.Method, req.Path, res.Status, res.Body)
		}
		_ = pause(ctx, retryPause)
	}
	return out, nil
}

// once sends a request once; sent tells whether it may have arrived.
func (w *writer) once(ctx context.Context, req rawhttp.Request) (res rawhttp.Response, sent bool, err error) {
	if w.conn == nil {
		address, err := w.target(ctx)
		if err != nil {
			return res, false, err
		}
		if w.conn, err = rawhttp.Dial(ctx, address); err != nil {
			w.conn = nil
			return res, false, err
		}
	}
	res, err = w.conn.Do(req, requestTimeout)
	return res, true, err
}
