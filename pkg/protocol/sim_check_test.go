package protocol_test

import (
	"fmt"
	"slices"

	"understudy.example/pkg/protocol"
)

// checker asserts what must hold after every step of a world. What it knows is
// more than any process of the cluster knows.
type checker struct {
	broken string // the first thing that was wrong

	// byPosition is every record that ever was in a journal, with the position of
	// the one before it: two journals that agree on a position agree up to it.
	byPosition map[protocol.Position]known
	starts     map[protocol.Epoch]protocol.ReplicaBoot
	// settled is the committed history: what was applied anywhere.
	settled []protocol.Position
	// led is the highest commit seq of any primary.
	led protocol.Seq
	// top is the highest position that was acknowledged, and tops that of each epoch.
	top  protocol.Position
	tops map[protocol.Epoch]protocol.Position

	// readTop is the highest seq that a read showed.
	readTop protocol.Seq

	// clients is what clients asked and were told, judged when the world ends. blind
	// leaves everything to that.
	clients clients
	// requests is what is known of those that have ids.
	requests requestCheck
	blind    bool

	acks, failovers, serves, reads int
	switchovers, handOffs          int
	replacements, adoptions        int
}

type known struct {
	id     int
	before protocol.Position
}

func newChecker() checker {
	return checker{byPosition: map[protocol.Position]known{}, starts: map[protocol.Epoch]protocol.ReplicaBoot{}, tops: map[protocol.Epoch]protocol.Position{}, clients: newClients(), requests: newRequestCheck()}
}

func (c *checker) fail(w *world, format string, args ...any) {
	if c.broken == "" && !c.blind {
		c.broken = fmt.Sprintf(format, args...)
		w.tell("BROKEN: %s", c.broken)
	}
}

// appended: log matching, and one boot for one epoch. The record is not in the
// directory yet.
func (c *checker) appended(w *world, p *process, e entry) {
	k := known{e.id, p.dir.last()}
	if have, ok := c.byPosition[e.at]; ok && have != k {
		c.fail(w, "%s appends record %d at %s after %s, and record %d after %s was there", p.n.name, e.id, e.at, k.before, have.id, have.before)
	}
	c.byPosition[e.at] = k
	if p.lead != nil && e.by != p.me {
		c.clients.write(e)
	}
	if p.lead == nil || e.by != p.me {
		return
	}
	if by, ok := c.starts[e.at.Epoch]; ok {
		c.fail(w, "%s and %s begin epoch %d", by, p.me, e.at.Epoch)
	}
	c.starts[e.at.Epoch] = p.me
	if top := c.topBefore(e.at.Epoch); !holds(p.dir, top, len(p.dir.records)) {
		c.fail(w, "%s becomes primary of epoch %d with %s, and %s was acknowledged", p.n.name, e.at.Epoch, p.dir.last(), top)
	}
}

// topBefore is the highest position that was acknowledged in an epoch before one. A
// node may be so late that a later epoch has begun: its own will acknowledge nothing.
func (c *checker) topBefore(e protocol.Epoch) (top protocol.Position) {
	for epoch, at := range c.tops {
		if epoch < e && at.Compare(top) > 0 {
			top = at
		}
	}
	return top
}

// holds tells whether the first n records of a journal have the position.
func holds(d *directory, at protocol.Position, n int) bool {
	return at.Seq == 0 || int(at.Seq) <= n && d.records[at.Seq-1].at == at
}

// committed: what one replica takes for committed, every other does.
func (c *checker) committed(w *world, p *process, from, to protocol.Seq) {
	if to < from {
		c.fail(w, "%s: the commit seq goes from %d back to %d", p.n.name, from, to)
		return
	}
	if int(to) > p.dir.durable {
		c.fail(w, "%s takes %d for committed, and its disk has %d", p.n.name, to, p.dir.durable)
		return
	}
	if p.core.Role() == protocol.RolePrimary {
		c.led = max(c.led, to)
	}
	if to > c.led {
		c.fail(w, "%s takes %d for committed, and no primary more than %d", p.n.name, to, c.led)
	}
	for seq := from + 1; seq <= to; seq++ {
		at := p.dir.records[seq-1].at
		if int(seq) <= len(c.settled) {
			if c.settled[seq-1] != at {
				c.fail(w, "%s applies %s, and %s was applied elsewhere", p.n.name, at, c.settled[seq-1])
			}
			continue
		}
		c.settled = append(c.settled, at)
		c.settleRequest(w, p.dir.records[seq-1])
	}
}

// acknowledged: a write is told to a client.
func (c *checker) acknowledged(w *world, p *process, e entry) {
	c.acks++
	c.clients.acknowledge(e)
	for _, u := range w.reg.Groups[0].InSync {
		if d := w.directory(u); d != nil && !holds(d, e.at, d.durable) {
			c.fail(w, "%s acknowledges %s, and %s of the in-sync set has %s (%d durable)", p.n.name, e.at, u, d.last(), d.durable)
		}
	}
	if e.at.Compare(c.top) > 0 {
		c.top = e.at
	}
	c.tops[e.at.Epoch] = e.at
}

func (c *checker) accepts(w *world, d *directory, e protocol.Epoch) {
	if e < d.accepted {
		c.fail(w, "%s accepts epoch %d after %d", d.uuid, e, d.accepted)
	}
}

func (c *checker) registry(w *world, before, now protocol.GroupRecord) {
	if now.Version < before.Version || now.Epoch < before.Epoch {
		c.fail(w, "the record goes from v%d epoch %d back to v%d epoch %d", before.Version, before.Epoch, now.Version, now.Epoch)
	}
	if now.Epoch > before.Epoch && before.Epoch > 0 && !slices.Equal(now.InSync, before.InSync) {
		c.fail(w, "a promotion changes the in-sync set from %v to %v", before.InSync, now.InSync)
	}
	if now.Epoch == before.Epoch && now.Primary != before.Primary {
		c.fail(w, "epoch %d goes from %s to %s", now.Epoch, before.Primary, now.Primary)
	}
}

func (c *checker) prospect(w *world, p protocol.Prospect) {
	if (p.Candidate == "") == (p.Reason == "") {
		c.fail(w, "a prospect with candidate %q and reason %q", p.Candidate, p.Reason)
	}
}

// always holds after every event.
func (c *checker) always(w *world) {
	rec := w.reg.Groups[0]
	for _, u := range rec.InSync {
		if d := w.directory(u); d != nil && !holds(d, c.top, d.durable) {
			c.fail(w, "%s was acknowledged, and %s of the in-sync set %v has %s (%d durable)", c.top, u, rec.InSync, d.last(), d.durable)
		}
	}
	for _, n := range w.nodes {
		p := n.process
		if p == nil || p.dead {
			continue
		}
		if p.core.Serving() {
			c.serves++
			if start := c.starts[p.core.Accepted()]; start != p.me {
				c.fail(w, "%s serves epoch %d of %s", p.n.name, p.core.Accepted(), start)
			}
			if at := p.dir.records[p.core.Commit()-1].at; at.Epoch != p.core.Accepted() {
				c.fail(w, "%s serves epoch %d before its start is committed: %s is", p.n.name, p.core.Accepted(), at)
			}
		}
		if view := p.core.View(); view != nil && rec.Primary == p.me && rec.Epoch == p.core.Accepted() {
			for _, u := range rec.InSync {
				if !slices.Contains(view, u) {
					c.fail(w, "the view of %s %v lacks %s of the in-sync set %v", p.n.name, view, u, rec.InSync)
				}
			}
		}
	}
}
