package coordinator

import (
	"time"

	"understudy.example/pkg/courier"
)

// Reopened tells that the proxy has an answer of a primary after a stretch
// without one. It waits for nothing that happens.
func (c *Coordinator) Reopened(r courier.Reopening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return // Run may not wait for work any more
	}
	c.spawn(func() {
		c.tell(func(now time.Time) { c.monitor.Answered(0, r.Target.Epoch, r.First, r.Held, now) })
	})
}
