package proxy

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"understudy.example/pkg/problem"
)

// What the proxy holds at most.
const (
	maxRequests = 10_000
	maxBodies   = 64 << 20 // bytes
	// clientShare is which part of either one client address may hold while
	// there is no primary.
	clientShare = 4
)

// admission bounds what the requests under way may take. With a primary a body
// waits for room, unread; without one it is refused.
type admission struct {
	requests atomic.Int64
	bytes    atomic.Int64 // of bodies

	mu sync.Mutex // guards the fields below, and every addition to bytes
	// held is what each client address holds of the requests that came while
	// there was no primary.
	held map[string]share
	// room is closed when bytes shrink while somebody waits; nil: nobody does.
	room chan struct{}
}

type share struct {
	requests int
	bytes    int64
}

// admit makes room for a request with a body of size bytes.
func (p *Proxy) admit(r *http.Request, size int64) (release func(), err error) {
	a := &p.admission
	if a.requests.Add(1) > maxRequests {
		a.requests.Add(-1)
		return nil, overloaded("%d requests are under way", maxRequests)
	}
	defer func() {
		if err != nil {
			a.requests.Add(-1)
		}
	}()
	if !p.courier.Open() {
		return a.hold(clientOf(r), size)
	}
	if size == 0 {
		return func() { a.requests.Add(-1) }, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.courier.Hold())
	defer cancel()
	if err := a.reserve(ctx, size); err != nil {
		return nil, err
	}
	return func() {
		a.free(size)
		a.requests.Add(-1)
	}, nil
}

// reserve waits for room for a body.
func (a *admission) reserve(ctx context.Context, size int64) error {
	for {
		a.mu.Lock()
		if a.bytes.Load()+size <= maxBodies {
			a.bytes.Add(size)
			a.mu.Unlock()
			return nil
		}
		if a.room == nil {
			a.room = make(chan struct{})
		}
		room := a.room
		a.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return overloaded("the bodies of the requests under way take %d bytes", maxBodies)
		}
	}
}

func (a *admission) free(size int64) {
	a.mu.Lock()
	a.bytes.Add(-size)
	if a.room != nil {
		close(a.room)
		a.room = nil
	}
	a.mu.Unlock()
}

// hold takes in a request that has to wait for a primary.
func (a *admission) hold(client string, size int64) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.held[client]
	switch {
	case a.bytes.Load()+size > maxBodies:
		return nil, overloaded("there is no primary now, and %d bytes of requests wait for one", a.bytes.Load())
	case s.requests >= maxRequests/clientShare || s.bytes+size > maxBodies/clientShare:
		return nil, overloaded("there is no primary now, and %d requests of %s wait for one, with %d bytes", s.requests, client, s.bytes)
	}
	if a.held == nil {
		a.held = map[string]share{}
	}
	a.held[client] = share{s.requests + 1, s.bytes + size}
	a.bytes.Add(size)
	return func() { a.unhold(client, size) }, nil
}

func (a *admission) unhold(client string, size int64) {
	a.free(size)
	a.mu.Lock()
	s := a.held[client]
	if s.requests == 1 {
		delete(a.held, client)
	} else {
		a.held[client] = share{s.requests - 1, s.bytes - size}
	}
	a.mu.Unlock()
	a.requests.Add(-1)
}

func overloaded(format string, args ...any) error {
	e := problem.Errorf(problem.Overloaded, format, args...)
	e.RetryAfter = retryAfter
	return e
}
