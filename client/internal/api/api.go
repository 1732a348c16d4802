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
	// firstTry is how long each of several monitors is waited for at first, where the
	// next may be asked the same: one that hangs must not cost half the time.
	firstTry = time.Second
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

// held tells whether a monitor holds the request while there is no primary.
func (r Request) held() bool {
	return strings.HasPrefix(r.Path, pathState) || strings.HasPrefix(r.Path, pathKeys)
}

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
	ctx, cancel := context.WithTimeoutCause(parent, c.timeout, errNoAnswer)
	defer cancel()
	backoff, noticed, began := firstBackoff, false, time.Now()
	uncertain := false  // an attempt may have been carried out
	var again *tryAgain // why the newest attempt that was not merely cut short failed
	for attempt := 0; ; attempt++ {
		answer, err := c.once(ctx, attempt, req)
		why, ok := errors.AsType[*tryAgain](err)
		if !ok && uncertain && unremembered(err) {
			why, ok = &tryAgain{err, false}, true
		}
		if !ok {
			return answer, err
		}
		if again == nil || ctx.Err() == nil {
			again = why
		}
		uncertain = uncertain || why.arrived && req.key() != ""
		if spent := time.Since(began); !noticed && spent >= noticeAfter && spent < c.timeout {
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

// unremembered tells whether a refusal says nothing of an attempt before it: it is of
// the node as it is now, and the group does not remember it as its answer.
func unremembered(err error) bool {
	refusal, ok := errors.AsType[*problem.Error](err)
	return ok && refusal.Code.Meaning().Status >= http.StatusInternalServerError && refusal.Code != problem.OutOfMemory
}

func (c *Client) givenUp(last *tryAgain, req Request, uncertain bool) error {
	if uncertain {
		return unknown(req, last.error)
	}
	if refusal, ok := errors.AsType[*problem.Error](last.error); ok {
		return problem.Errorf(refusal.Code, "%s (asked for %s)", refusal.Detail, c.timeout)
	}
	if last.arrived && req.held() {
		return problem.Errorf(problem.NoPrimary, "a monitor took the request and did not answer within %s, as it does while there is no primary: -status tells how things stand", c.timeout)
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

// patience is how long an attempt may bring nothing, so that a monitor that hangs leaves
// time to ask the others the same. An answer that has begun may take longer than that. What may not be sent twice has all the time there is.
func (c *Client) patience(attempt int, req Request) time.Duration {
	share := c.timeout / time.Duration(len(c.monitors))
	switch {
	case req.changes():
		return c.timeout
	case attempt < len(c.monitors) && len(c.monitors) > 1:
		return min(firstTry, share)
	}
	return share
}

// once sends the request to the monitor whose turn it is.
func (c *Client) once(ctx context.Context, attempt int, req Request) (*Answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := c.patience(attempt, req)
	silence := errSilent
	if req.held() {
		silence = errNoAnswer
	}
	alarm := time.AfterFunc(patience, func() { cancel(silence) })
	defer alarm.Stop()
	monitor := c.monitors[attempt%len(c.monitors)]
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
		return nil, broken(req, monitor, cause(ctx, err), connected.Load())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(progress{res.Body, alarm, patience}, maxAnswer+1))
	switch {
	case err != nil:
		return nil, broken(req, monitor, cause(ctx, err), true)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", monitor, maxAnswer)
	case res.StatusCode >= 300:
		return nil, refused(req, res, body)
	}
	return &Answer{res.Header, body}, nil
}

// progress reads an answer, and puts the alarm off with each piece that comes.
type progress struct {
	from     io.Reader
	alarm    *time.Timer
	patience time.Duration
}

func (p progress) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	if n > 0 {
		p.alarm.Reset(p.patience)
	}
	return n, err
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
