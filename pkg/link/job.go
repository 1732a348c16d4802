package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"understudy.example/pkg/problem"
)

// job is a request at the node. The reader fills it in; once it is started it
// belongs to the goroutine that runs it.
type job struct {
	conn    *serverConn
	number  uint64
	head    requestHead
	body    []byte
	refused bool
	started bool // the reader's

	arrived time.Time
	context context.Context
	cancel  context.CancelFunc
	bulk    bulk // what follows the first part of the answer
	reader  bytes.Reader
}

func (c *serverConn) newJob(number uint64, head requestHead) *job {
	j := &job{conn: c, number: number, head: head}
	j.bulk = bulk{number: number, part: framePart, last: frameLast, credit: FirstPart - maxPart, taken: make(chan struct{}, 1)}
	if head.within > 0 {
		j.arrived = time.Now()
	}
	return j
}

// bind makes the context of the handler.
func (j *job) bind(ctx context.Context) {
	if j.head.within > 0 {
		j.context, j.cancel = context.WithDeadline(ctx, j.arrived.Add(j.head.within))
		return
	}
	j.context, j.cancel = context.WithCancel(ctx)
}

// run calls the handler and ends the answer.
func (j *job) run() {
	defer j.cancel()
	a := j.conn.server.blank(j)
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v) // and the process ends
			}
			a.broken = "its handler ended it"
		}
		a.finish()
		j.conn.server.reuse(a)
	}()
	r, err := j.request()
	if err != nil {
		problem.Write(a, err)
		return
	}
	j.conn.server.handler.ServeHTTP(a, r)
}

// request makes the request that the handler sees.
func (j *job) request() (*http.Request, error) {
	u, err := parseTarget(j.head.target)
	if err != nil {
		return nil, problem.Errorf(problem.BadRequest, "the target is not valid: %s", err)
	}
	up := j.conn.upgrade
	r := (&http.Request{}).WithContext(j.context)
	r.Method, r.URL, r.RequestURI = j.head.method, u, j.head.target
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Header, r.Host, r.RemoteAddr, r.TLS = j.head.header, up.Host, up.RemoteAddr, up.TLS
	r.Body, r.ContentLength = http.NoBody, int64(len(j.body))
	if len(j.body) > 0 {
		j.reader.Reset(j.body)
		r.Body = io.NopCloser(&j.reader)
	}
	return r, nil
}

// parseTarget is [url.ParseRequestURI], which takes longer than all else that a
// node does for a small request where nothing is to be unescaped.
func parseTarget(target string) (*url.URL, error) {
	if isPlainPath(target) {
		return &url.URL{Path: target}, nil
	}
	return url.ParseRequestURI(target)
}

// isPlainPath tells whether a target is a path of characters that stand for
// themselves, escaped or not.
func isPlainPath(target string) bool {
	for i := range len(target) {
		c := target[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '/' || c == '-' || c == '_' || c == '.' || c == '~' {
			continue
		}
		return false
	}
	return target != "" && target[0] == '/'
}
