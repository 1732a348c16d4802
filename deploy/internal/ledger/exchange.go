package ledger

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"understudy.example/pkg/history"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	// requestTimeout is longer than a cluster holds a request.
	requestTimeout = 15 * time.Second
	retryPause     = 5 * time.Millisecond
	maxAnswer      = 16 << 20
)

// verdict is what an attempt says about its request.
type verdict uint8

const (
	done    verdict = iota // applied, or read
	refused                // certainly not applied: it may be sent again
	unsure                 // nobody knows
	failed                 // a condition does not hold, or there is no such key
	strange                // an answer that should not be
)

// answer is how one attempt ended.
type answer struct {
	verdict verdict
	status  int // 0: none came
	etag    string
	body    string
	why     string
}

// request is one call.
type request struct {
	method, path string
	header       map[string]string
	body         string
	ops          []history.Operation // what it does, as the history has it
}

// once sends a request once.
func (l *Ledger) once(req request) answer {
	// A request that has been begun is waited for: what became of it matters.
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	r, err := http.NewRequestWithContext(ctx, req.method, l.opts.Target+req.path, strings.NewReader(req.body))
	if err != nil {
		return answer{verdict: strange, why: err.Error()}
	}
	for k, v := range req.header {
		r.Header.Set(k, v)
	}
	res, err := l.http.Do(r)
	if err != nil {
		return l.broken(connected.Load(), err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return l.broken(true, err)
	}
	a := answer{status: res.StatusCode, etag: res.Header.Get("ETag"), body: string(body), why: res.Status + ": " + string(body)}
	a.verdict = judge(res, body)
	if a.verdict == done && req.method != http.MethodGet {
		l.acknowledged(res.Header.Get(wire.HeaderNode), res.Header.Get(wire.HeaderPosition))
	}
	return a
}

func (l *Ledger) broken(sent bool, err error) answer {
	if sent {
		return answer{verdict: unsure, why: err.Error()}
	}
	return answer{verdict: refused, why: err.Error()}
}

func judge(res *http.Response, body []byte) verdict {
	switch res.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		return done
	case http.StatusPreconditionFailed, http.StatusNotFound:
		return failed
	case http.StatusTemporaryRedirect:
		return refused
	}
	switch code := problem.Parse(res.StatusCode, res.Header, body).Code; {
	case code == problem.OutcomeUnknown:
		return unsure
	case code.Meaning().Retryable:
		return refused
	}
	return strange
}

// insist repeats a request while it is refused, until ctx ends; then the last
// refusal is returned.
func (l *Ledger) insist(ctx context.Context, req request) answer {
	for {
		calls := l.begin(req)
		a := l.once(req)
		settle(calls, a)
		if a.verdict == strange {
			l.violate("%s %s: %s", req.method, req.path, a.why)
		}
		if a.verdict == unsure && req.method == http.MethodGet {
			a.verdict = refused // a read may be repeated
		}
		if a.verdict == refused || a.verdict == unsure {
			l.told(a.verdict == unsure)
		}
		if a.verdict != refused {
			return a
		}
		select {
		case <-ctx.Done():
			return a
		case <-time.After(retryPause):
		}
	}
}
