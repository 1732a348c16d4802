package call

import (
	"context"
	"net/http"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/understudy"
)

// Store is what is called of the client library. Many callers share one.
type Store interface {
	Get(ctx context.Context, key string, options ...understudy.Option) (understudy.Entry, error)
	Put(ctx context.Context, key string, value []byte, options ...understudy.Option) (etag string, err error)
}

// Library calls by the client library.
type Library struct {
	store   Store
	timeout time.Duration
}

// NewLibrary returns a caller that uses the store. The timeout bounds each call.
func NewLibrary(store Store, timeout time.Duration) *Library {
	return &Library{store, timeout}
}

// Close leaves the store to its owner.
func (l *Library) Close() {}

// Call sends a request once, as far as its sender can tell.
func (l *Library) Call(ctx context.Context, req Request) Answer {
	// A deadline and nothing else: what became of a write that was begun matters.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	if req.Method == http.MethodGet {
		entry, err := l.store.Get(ctx, req.Key, options(req)...)
		if err != nil {
			return failure(err)
		}
		return Answer{Status: http.StatusOK, ETag: entry.ETag, Body: entry.Value, Sent: true}
	}
	etag, err := l.store.Put(ctx, req.Key, req.Body, options(req)...)
	if err != nil {
		return failure(err)
	}
	return Answer{Status: http.StatusNoContent, ETag: etag, Sent: true}
}

func options(req Request) (all []understudy.Option) {
	if req.Match != "" {
		all = append(all, understudy.IfMatch(req.Match))
	}
	if req.Absent {
		all = append(all, understudy.IfAbsent())
	}
	if req.Stale {
		all = append(all, understudy.Stale())
	}
	if req.ID != "" {
		all = append(all, understudy.IdempotencyKey(req.ID))
	}
	return all
}

// failure tells an error as the answer that it stands for. One without a code is
// an attempt that nobody knows anything of.
func failure(err error) Answer {
	code := problem.CodeOf(err)
	if code == "" {
		return Answer{Code: NoAnswer, Detail: err.Error(), Sent: true}
	}
	return Answer{
		Status: code.Meaning().Status, Code: string(code), Detail: err.Error(),
		Key: understudy.RetryKey(err), Sent: code == problem.OutcomeUnknown,
	}
}
