package call

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"understudy.example/deploy/bench/internal/rawhttp"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// HTTP calls on one kept connection. It is not safe for concurrent use.
type HTTP struct {
	target  func(ctx context.Context) (address string, err error)
	timeout time.Duration
	conn    *rawhttp.Client // nil: not connected
}

// NewHTTP returns a caller of whoever target names when a connection is needed,
// host:port. The timeout bounds the connection and the answer, each.
func NewHTTP(target func(ctx context.Context) (string, error), timeout time.Duration) *HTTP {
	return &HTTP{target: target, timeout: timeout}
}

// At is a target that never changes.
func At(address string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return address, nil }
}

// Close closes the connection.
func (h *HTTP) Close() {
	if h.conn != nil {
		_ = h.conn.Close() // it is of no further use, whatever is said
		h.conn = nil
	}
}

// Call sends a request once.
func (h *HTTP) Call(ctx context.Context, req Request) Answer {
	if err := h.connect(ctx); err != nil {
		return Answer{Code: NoConnection, Detail: err.Error()}
	}
	res, err := h.conn.Do(encode(req), h.timeout)
	if err != nil {
		h.Close()
		return Answer{Code: NoAnswer, Detail: err.Error(), Sent: true}
	}
	a := Answer{Status: res.Status, ETag: string(res.ETag), Node: res.Node, Body: res.Body, Sent: true}
	if !a.Success() {
		explain(&a)
	}
	if res.Last || res.Status == http.StatusServiceUnavailable || res.Status == http.StatusTemporaryRedirect {
		h.Close() // the next request may belong to another node
	}
	return a
}

func (h *HTTP) connect(ctx context.Context) error {
	if h.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	address, err := h.target(ctx)
	if err != nil {
		return err
	}
	conn, err := rawhttp.Dial(ctx, address)
	if err != nil {
		return err
	}
	h.conn = conn
	return nil
}

func encode(req Request) rawhttp.Request {
	header := ""
	add := func(name, value string) { header += name + ": " + value + "\r\n" }
	if req.Match != "" {
		add("If-Match", req.Match)
	}
	if req.Absent {
		add("If-None-Match", "*")
	}
	if req.Stale {
		add(wire.HeaderConsistency, wire.Stale)
	}
	if req.ID != "" {
		add(wire.HeaderKey, req.ID)
	}
	if req.Hop != "" {
		add(wire.HeaderRequest, req.Hop)
	}
	return rawhttp.Request{Method: req.Method, Path: "/v1/kv/" + url.PathEscape(req.Key), Header: header, Body: req.Body}
}

// explain takes from an answer why it is no success, and whether the request may
// have been carried out all the same.
func explain(a *Answer) {
	if a.Status == http.StatusTemporaryRedirect {
		a.Code, a.Detail, a.Sent = string(problem.NotPrimary), "the node is a standby", false
		return
	}
	e := problem.Parse(a.Status, http.Header{}, a.Body)
	a.Code, a.Detail, a.Key = string(e.Code), e.Detail, e.Key
	a.Sent = e.Code == problem.OutcomeUnknown || a.Status >= http.StatusInternalServerError && !e.Code.Meaning().Retryable
}
