package coordinator

import (
	"time"

	"understudy.example/pkg/wire"
)

// word is what a node is told in answer to a heartbeat. This monitor may know only
// a state of the past, replayed from its log or from before it was cut off: nodes
// must not hear of that. It speaks while it leads, or hears a leader and has kept up
// with it; that word may be a moment old, and says so.
func (c *Coordinator) word() *wire.Assignment {
	a := c.assignment.Load()
	switch {
	case c.opts.Registry.Leader() && a.Leads:
		return a
	case c.opts.Registry.Informed() && a.Cluster != "":
		return c.passed.Load()
	}
	return c.nothing
}

// Hears returns how long ago this monitor heard each node that it hears, in
// milliseconds.
func (c *Coordinator) Hears() map[string]int64 {
	heard := map[string]int64{}
	// A stopping monitor hears nobody.
	_ = c.ask(func(now time.Time) {
		for _, n := range c.monitor.Nodes() {
			if !n.Down && !n.Heard.IsZero() {
				heard[n.Entry.Name] = now.Sub(n.Heard).Milliseconds()
			}
		}
	})
	return heard
}
