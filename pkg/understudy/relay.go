package understudy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"understudy.example/pkg/link"
)

// relay sends requests to a node through a monitor's proxy, over plain HTTP. The
// proxy passes the ids of writes on, so that a write that was sent both ways is
// still applied once.
type relay struct {
	directory *directory
	http      *http.Client
	node      string // its address
}

func (r *relay) serves() bool { return r.directory.serves(r.node) }

// do carries a request. Its errors tell what those of link.Client tell.
func (r *relay) do(ctx context.Context, monitor string, q *link.Request) (*link.Response, error) {
	if q.Target == pathProbe {
		return r.probe(), nil
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, q.Method, "http://"+monitor+q.Target, bytes.NewReader(q.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", link.ErrNotSent, err)
	}
	maps.Copy(req.Header, q.Header)
	res, err := r.http.Do(req)
	if err == nil {
		defer res.Body.Close()
		var body []byte
		if body, err = io.ReadAll(res.Body); err == nil {
			return &link.Response{Status: res.StatusCode, Header: res.Header, Body: body}, nil
		}
	}
	if !connected.Load() {
		return nil, fmt.Errorf("%w through %s: %w", link.ErrNotSent, monitor, err)
	}
	return nil, fmt.Errorf("%w through %s: %w", link.ErrLost, monitor, err)
}

// probe answers for the node what the monitor has heard of it.
func (r *relay) probe() *link.Response {
	if r.serves() {
		return &link.Response{Status: http.StatusOK}
	}
	return &link.Response{Status: http.StatusServiceUnavailable}
}
