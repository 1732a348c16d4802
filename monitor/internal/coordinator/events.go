package coordinator

import (
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// news is what subscribers are told of the present. It is never changed: what
// comes next is another value.
type news struct {
	primary wire.PrimaryEvent
	history []protocol.HistoryEvent // shared with the registry
	// changed is closed when there is something newer; nil: there never will be.
	changed chan struct{}
}

// News returns who the primary is and the history, oldest event first, which is
// shared and must not be changed. The channel is closed as soon as either is
// another, and is nil once this monitor judges no more. Whoever comes late may
// miss what was true for a moment, but never what is true now. Any number of
// subscribers costs it no more than the closing of a channel.
func (c *Coordinator) News() (wire.PrimaryEvent, []protocol.HistoryEvent, <-chan struct{}) {
	n := c.news.Load()
	return n.primary, n.history, n.changed
}

// announce publishes what a new picture says, if it is news. c.mu is held.
func (c *Coordinator) announce(p *picture) {
	rec := c.reg.Groups[0]
	next := &news{
		primary: wire.PrimaryEvent{
			Cluster: c.reg.Cluster, Group: rec.Group, Name: p.primary.Name, Address: p.primary.Address,
			Epoch: rec.Epoch, Version: rec.Version, Serving: p.serving,
		},
		history: c.reg.History,
	}
	last := c.news.Load()
	if next.primary == last.primary && newestID(next.history) == newestID(last.history) {
		return
	}
	next.changed = make(chan struct{})
	c.news.Store(next)
	close(last.changed)
}

// announceEnd tells the subscribers that no news will come. c.mu is held.
func (c *Coordinator) announceEnd() {
	last := c.news.Load()
	c.news.Store(&news{primary: last.primary, history: last.history})
	close(last.changed)
}

func newestID(history []protocol.HistoryEvent) uint64 {
	if len(history) == 0 {
		return 0
	}
	return history[len(history)-1].ID
}
