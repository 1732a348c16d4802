package protocol

import (
	"maps"
	"slices"
	"time"
)

// MaxRemoved bounds the data directories that the registry remembers as removed.
const MaxRemoved = 256

// remove marks a node that is to leave the cluster for good. The rules take it out
// of its groups, and forget it when it is gone.
func (g Registry) remove(c Remove, at time.Time) (Registry, *Refusal) {
	n, ok := g.Nodes[c.Node]
	switch {
	case !ok:
		return g, refuse(RefuseNotFound, "no node is named %q", c.Node)
	case n.Removed:
		return g, nil
	}
	for id, r := range g.Groups {
		switch {
		case r.Epoch == 0 && r.IsMember(n.UUID):
			return g, refuse(RefuseStaleVersion, "group %d has no primary yet, and %s may become it: wait until it has one", id, c.Node)
		case r.Epoch > 0 && r.Primary.UUID == n.UUID:
			return g, refuse(RefuseStaleVersion, "%s is the primary of group %d: change that with client -switchover first", c.Node, id)
		case len(r.InSync) == 1 && r.IsInSync(n.UUID), len(r.Members) == 1 && r.IsMember(n.UUID):
			return g, refuse(RefuseWouldLoseData, "%s holds the only copy of group %d: without it, every write is lost", c.Node, id)
		case r.IsMember(n.UUID) && !g.staysWithout(r, n.UUID):
			return g, refuse(RefuseWouldLoseData, "%s is the last member of group %d that is to stay: start another node first", c.Node, id)
		}
	}
	n.Removed = true
	g.Nodes = maps.Clone(g.Nodes)
	g.Nodes[c.Node] = n
	detail := c.Node + " is removed from the cluster"
	if c.By != "" {
		detail += ", by " + c.By
	}
	return g.note(HistoryEvent{Kind: "removed", Node: c.Node, Detail: detail}, at), nil
}

// staysWithout tells whether a group has a member beside u that is not to be removed.
// Where none is, each of the members would wait for another one to take over.
func (g Registry) staysWithout(r GroupRecord, u UUID) bool {
	return slices.ContainsFunc(r.Members, func(other UUID) bool {
		n, ok := g.NodeOf(other)
		return other != u && ok && !n.Removed
	})
}

// forget drops the entry of a removed node that is in no group any more. Its data
// directory is remembered: it does not come back by itself.
func (g Registry) forget(c Forget, at time.Time) (Registry, *Refusal) {
	n, ok := g.Nodes[c.Node]
	switch {
	case !ok || n.UUID != c.UUID || n.Boot != c.Boot:
		return g, refuse(RefuseStaleVersion, "boot %s of %s is not the one that is registered", c.Boot, c.Node)
	case !n.Removed:
		return g, refuse(RefuseStaleVersion, "%s is not to be removed", c.Node)
	case g.isUsed(n.UUID):
		return g, refuse(RefuseStaleVersion, "%s is still in a group", c.Node)
	}
	g.Nodes = maps.Clone(g.Nodes)
	delete(g.Nodes, c.Node)
	g.Removed = append(slices.Clip(g.Removed), n.UUID)
	if len(g.Removed) > MaxRemoved {
		g.Removed = slices.Clone(g.Removed[len(g.Removed)-MaxRemoved:])
	}
	return g.note(HistoryEvent{Kind: "forgotten", Node: c.Node, Detail: c.Node + " is gone and forgotten"}, at), nil
}

// isUsed tells whether a group record counts on a data directory.
func (g Registry) isUsed(u UUID) bool {
	for _, r := range g.Groups {
		if r.IsMember(u) || r.IsInSync(u) || r.Primary.UUID == u {
			return true
		}
	}
	return false
}

// refuseRemoved says that a data directory was removed, or returns nil.
func (g Registry) refuseRemoved(name string, u UUID) *Refusal {
	if !slices.Contains(g.Removed, u) {
		return nil
	}
	return refuse(RefuseForbidden, "the data directory of %s was removed from the cluster: start it with an empty one to have it join again", name)
}

// MayRemove says why a node cannot be removed now, as far as only the monitor knows
// it, or returns nil: what is in sync must be heard without it.
func (m *Monitor) MayRemove(name string, now time.Time) *Refusal {
	n, ok := m.reg.Nodes[name]
	if !ok {
		return nil // the registry says so
	}
	for _, id := range sortedKeys(m.reg.Groups) {
		s := m.situation(id, now)
		if !s.rec.IsInSync(n.UUID) || slices.ContainsFunc(s.rec.InSync, func(u UUID) bool {
			w := m.byUUID(u)
			return u != n.UUID && w != nil && s.ailment(w) == ""
		}) {
			continue
		}
		return refuse(RefuseWouldLoseData, "%s is the only replica of group %d in sync that is well: start another one first", name, id)
	}
	return nil
}

// forgetRemoved drops the removed nodes that are gone.
func (m *Monitor) forgetRemoved(now time.Time) {
	if !m.leader || m.Learning(now) {
		return
	}
	for _, name := range sortedKeys(m.nodes) {
		w := m.nodes[name]
		if !w.entry.Removed || !w.down || m.reg.isUsed(w.entry.UUID) || now.Sub(w.forgetAt) < m.cfg.ProposeAgain {
			continue
		}
		w.forgetAt = now
		m.emit(MonitorEffect{Kind: MonitorPropose, Node: name, Command: Command{Forget: &Forget{Node: name, UUID: w.entry.UUID, Boot: w.entry.Boot}}})
	}
}
