package courier

import (
	"context"
	"net/http"
	"sync"
	"time"

	"understudy.example/pkg/link"
)

// probePauses is how long the pilot waits between two probes of the same
// target; the last one is repeated. A new primary serves a few milliseconds
// after it was named.
var probePauses = []time.Duration{0, 1, 2, 2, 3, 5, 5, 10, 20, 40, 50}

// probeTimeout bounds one probe, with the connection that it may need.
const probeTimeout = 500 * time.Millisecond

// pilot is the one who finds the way. Its fields belong to Run's goroutine.
type pilot struct {
	*Courier
	target   Target
	node     Node // nil: nobody to go to
	probes   int  // since the target was named, or the route was lost
	probing  bool
	cancel   context.CancelFunc // of the probe under way
	results  chan result        // capacity 1
	retiring sync.WaitGroup     // nodes that were left
}

// result is the outcome of one probe.
type result struct {
	node    Node // whom it asked
	serving bool
}

// Run finds the way to the primary until ctx ends. Whoever waits then is told.
func (c *Courier) Run(ctx context.Context) error {
	p := &pilot{Courier: c, results: make(chan result, 1), cancel: func() {}}
	defer p.stop(ctx)
	for {
		target, changed := c.directory.Primary()
		p.aim(ctx, target)
		if p.node != nil && !p.probing && c.route.Load() == nil {
			p.probe(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			p.probes = 0
		case <-c.doubts:
			p.probes = 0
		case r := <-p.results:
			p.probing = false
			p.landed(r)
		}
	}
}

// aim turns to another target. What is under way to the old one is given up: it
// is sent again. An answer that has begun goes on: it was confirmed before, and
// is of one snapshot, whatever the old target is now.
func (p *pilot) aim(ctx context.Context, t Target) {
	if t == p.target {
		return
	}
	p.leave(ctx)
	p.target, p.node, p.probes = t, nil, 0
	if t.Address != "" {
		p.node = p.connect(t.Address)
	}
}

// leave gives up the present target. What is left of it ends with ctx.
func (p *pilot) leave(ctx context.Context) {
	p.cancel()
	if p.node == nil {
		return
	}
	p.shut(p.route.Load())
	node := p.node
	p.retiring.Go(func() { node.Retire(ctx) })
}

// probe asks the target whether it serves, after the pause that is due.
func (p *pilot) probe(ctx context.Context) {
	pause := probePauses[min(p.probes, len(probePauses)-1)] * time.Millisecond
	p.probes++
	p.probing = true
	ctx, p.cancel = context.WithTimeout(ctx, pause+probeTimeout)
	node, cancel := p.node, p.cancel
	go func() {
		defer cancel()
		p.results <- result{node, p.serves(ctx, node, pause)}
	}()
}

func (p *pilot) serves(ctx context.Context, node Node, pause time.Duration) bool {
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	res, err := node.Do(ctx, &link.Request{Method: http.MethodGet, Target: "/primary"})
	if err != nil {
		return false
	}
	if res.Rest != nil {
		_ = res.Rest.Close() // the status says it all
	}
	return res.Status == http.StatusOK
}

// landed opens the way if the present target serves.
func (p *pilot) landed(r result) {
	if !r.serving || r.node != p.node || p.route.Load() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	next := &route{target: p.target, node: p.node}
	p.probes = 0
	// Before the route is seen: its first answer tells of the reopening.
	next.reopening.Store(&Reopening{Target: p.target, Closed: p.closed, Opened: now, Held: p.waiting.len()})
	p.route.Store(next)
	p.waiting.release()
	p.closed = time.Time{}
}

// shut closes a route, if it is still the one in use.
func (c *Courier) shut(r *route) {
	if r == nil {
		return
	}
	c.mu.Lock()
	if c.route.CompareAndSwap(r, nil) {
		c.closed = time.Now()
	}
	c.mu.Unlock()
}

// doubt closes a route that a request has lost: the pilot looks whether it still
// leads to a primary.
func (c *Courier) doubt(r *route) {
	c.shut(r)
	select {
	case c.doubts <- struct{}{}:
	default:
	}
}

// Drain has nobody wait for a primary from now on: whoever does is told. What is
// under way goes on.
func (c *Courier) Drain() {
	c.mu.Lock()
	c.stopped = true
	c.waiting.release()
	c.mu.Unlock()
}

// stop ends the courier, whose context has ended: nobody waits any more, and
// neither a probe nor an answer is left.
func (p *pilot) stop(ctx context.Context) {
	p.leave(ctx)
	p.Drain()
	p.retiring.Wait()
	if p.probing {
		<-p.results
	}
}
