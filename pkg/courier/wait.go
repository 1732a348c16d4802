package courier

import (
	"container/list"
	"context"
	"time"
)

// waiters are the requests that wait for a primary, in the order in which they
// came.
type waiters struct {
	queue list.List // of chan struct{}
}

func (w *waiters) len() int { return w.queue.Len() }

// release lets everybody go, the first first.
func (w *waiters) release() {
	for e := w.queue.Front(); e != nil; e = e.Next() {
		close(e.Value.(chan struct{}))
	}
	w.queue.Init()
}

// pauses is how long a request waits before its n-th attempt on a route that is
// open; the last one is repeated. The first two are at once: a broken connection
// says nothing about the next.
var pauses = []time.Duration{0, 0, 5, 10, 20, 40, 50}

const pauseUnit = time.Millisecond

// await returns the route as soon as there is one. attempt counts from 0.
func (c *Courier) await(ctx context.Context, attempt int) (*route, error) {
	if d := pauses[min(attempt, len(pauses)-1)] * pauseUnit; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for {
		if r := c.route.Load(); r != nil {
			return r, nil
		}
		if err := c.join(ctx); err != nil {
			return nil, err
		}
	}
}

// join waits in the queue until the next opening.
func (c *Courier) join(ctx context.Context) error {
	turn := make(chan struct{})
	c.mu.Lock()
	if c.route.Load() != nil {
		c.mu.Unlock()
		return nil
	}
	if c.stopped {
		c.mu.Unlock()
		return errStopped
	}
	place := c.waiting.queue.PushBack(turn)
	c.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		select {
		case <-turn: // released meanwhile: the place is gone
		default:
			c.waiting.queue.Remove(place)
		}
		c.mu.Unlock()
		return ctx.Err()
	}
}

// Await returns the primary as soon as one is known to serve, for a caller that
// goes there by itself. attempt counts from 0 and paces one who comes again. The
// error is that of ctx, or says that the courier is stopping.
func (c *Courier) Await(ctx context.Context, attempt int) (Target, error) {
	r, err := c.await(ctx, attempt)
	if err != nil {
		return Target{}, err
	}
	return r.target, nil
}
