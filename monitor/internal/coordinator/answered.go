package coordinator

import (
	"time"

	"understudy.example/pkg/courier"
)

// Reopened tells that the proxy has an answer of a primary after a stretch
// without one. It does not wait for the loop.
func (c *Coordinator) Reopened(r courier.Reopening) {
	c.spawn(func() {
		c.tell(func(now time.Time) { c.monitor.Answered(0, r.Target.Epoch, r.First, r.Held, now) })
	})
}
