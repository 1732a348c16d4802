// Package api asks the monitors: one request, sent again while that is safe and
// may help, to one monitor after the other.
package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	firstBackoff = 20 * time.Millisecond
	maxBackoff   = 200 * time.Millisecond
	dialTimeout  = time.Second
	// maxAnswer bounds an answer. A map is smaller than its node's memory, and
	// the client prints it whole.
	maxAnswer = 1 << 30
	// noticeAfter is how long the client tries in silence.
	noticeAfter = 500 * time.Millisecond
)

// Client asks a list of monitors. It is safe for concurrent use.
type Client struct {
	monitors []string
	timeout  time.Duration
	notice   func(string)
	http     *http.Client
}

// New returns a client of the monitors, each host:port. A request is tried for
// the timeout at most; notice is told, once per request, what it waits for.
func New(monitors []string, timeout time.Duration, notice func(string)) *Client {
	return &Client{monitors: monitors, timeout: timeout, notice: notice, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxIdleConnsPerHost: 4,
			DisableCompression:  true,
		},
	}}
}

// Close gives the idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one call. Path is escaped and may have a query.
type Request struct {
	Method string
	Path   string
	Header map[string]string
	Body   []byte
}

// changes tells whether sending the request twice could apply it twice. The
// group applies a write with a key once, however often it comes.
func (r Request) changes() bool { return r.Method != http.MethodGet && r.key() == "" }

func (r Request) key() string { return r.Header[wire.HeaderKey] }

// Answer is a successful answer.
type Answer struct {
	Header http.Header
	Body   []byte
}

// Unreachable says that no monitor could be asked.
type Unreachable struct {
	Monitors []string
	Cause    error
}

// Error implements error.
func (u *Unreachable) Error() string {
	return fmt.Sprintf("no monitor answered at %s: %v: is one running? start one with go run ./deploy/local, or name another with -monitor",
		strings.Join(u.Monitors, ", "), u.Cause)
}

// Unwrap returns the last attempt's error.
func (u *Unreachable) Unwrap() error { return u.Cause }

// Do sends the request until it is answered for good or the timeout is over. It
// is sent again after a refused connection and after a refusal that says that
// asking again can help; a read, and a write with a key, also after a connection
// that broke. Another that may have arrived is never sent again: its error has
// the code outcome_unknown.
func (c *Client) Do(parent context.Context, req Request) (*Answer, error) {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	defer cancel()
	backoff, noticed, began := firstBackoff, false, time.Now()
	uncertain := false  // an attempt may have been carried out
	var again *tryAgain // why the newest attempt that was not merely cut short failed
	for attempt := 0; ; attempt++ {
		answer, err := c.once(ctx, c.monitors[attempt%len(c.monitors)], req)
		why, ok := errors.AsType[*tryAgain](err)
		if !ok {
			return answer, err
		}
		if again == nil || ctx.Err() == nil {
			again = why
		}
		uncertain = uncertain || why.arrived && req.key() != ""
		if !noticed && time.Since(began) >= noticeAfter {
			noticed = true
			c.notice(fmt.Sprintf("%v; trying again until %s are over", again.error, c.timeout))
		}
		select {
		case <-ctx.Done():
			if parent.Err() != nil {
				if uncertain {
					return nil, unknown(req, parent.Err())
				}
				return nil, fmt.Errorf("interrupted: %w", parent.Err())
			}
			return nil, c.givenUp(again, req, uncertain)
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// tryAgain marks an error after which the request may be sent again.
type tryAgain struct {
	error
	arrived bool // the attempt may have been carried out
}

func (t *tryAgain) Unwrap() error { return t.error }

func (c *Client) givenUp(last *tryAgain, req Request, uncertain bool) error {
	if uncertain {
		return unknown(req, last.error)
	}
	if refusal, ok := errors.AsType[*problem.Error](last.error); ok {
		return problem.Errorf(refusal.Code, "%s (asked for %s)", refusal.Detail, c.timeout)
	}
	return &Unreachable{Monitors: c.monitors, Cause: last.error}
}

// unknown is the error of a write that may have been applied.
func unknown(req Request, why error) error {
	if problem.CodeOf(why) == problem.OutcomeUnknown {
		return why // the monitor's own words
	}
	e := problem.Errorf(problem.OutcomeUnknown, "the write may or may not have been applied (%v): look before you send it again; its Idempotency-Key was %s", why, req.key())
	e.Key = req.key()
	return e
}

// once sends the request to one monitor.
func (c *Client) once(ctx context.Context, monitor string, req Request) (*Answer, error) {
	if !req.changes() && len(c.monitors) > 1 {
		// A monitor that hangs must leave time to ask the others.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout/time.Duration(len(c.monitors)))
		defer cancel()
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	hreq, err := http.NewRequestWithContext(ctx, req.Method, "http://"+monitor+req.Path, bytes.NewReader(req.Body))
	if err != nil {
		return nil, err
	}
	for k, v := range req.Header {
		hreq.Header.Set(k, v)
	}
	res, err := c.http.Do(hreq)
	if err != nil {
		return nil, broken(req, monitor, err, connected.Load())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, broken(req, monitor, err, true)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", monitor, maxAnswer)
	case res.StatusCode >= 300:
		return nil, refused(req, res, body)
	}
	return &Answer{res.Header, body}, nil
}

// broken judges a failed attempt: without a connection nothing was sent.
func broken(req Request, monitor string, err error, connected bool) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if !connected || !req.changes() {
		return &tryAgain{err, connected}
	}
	return problem.Errorf(problem.OutcomeUnknown, "the connection to %s broke after the request was sent (%v): it may or may not have been carried out; look before you send it again", monitor, err)
}

// refused judges an answer that is no success.
func refused(req Request, res *http.Response, body []byte) error {
	err := problem.Parse(res.StatusCode, res.Header, body)
	transient := res.StatusCode == http.StatusBadGateway || res.StatusCode == http.StatusGatewayTimeout
	if retryable := err.Code.Meaning().Retryable && res.StatusCode == http.StatusServiceUnavailable; retryable || (transient && !req.changes()) {
		return &tryAgain{err, transient}
	}
	return err
}
