package protocol

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// withHeldOut returns r with HeldOut as the nodes' maintenance has it, and with
// whoever of them is in the in-sync set marked as leaving.
func (g Registry) withHeldOut(r GroupRecord) GroupRecord {
	held := g.maintained(r)
	leaving := r.Leaving
	for _, u := range held {
		if r.IsInSync(u) && !slices.Contains(leaving, u) {
			leaving = append(slices.Clip(leaving), u)
		}
	}
	r.HeldOut, r.Leaving = held, leaving
	return r
}

// maintained lists the replicas of a group whose nodes are in maintenance.
func (g Registry) maintained(r GroupRecord) []UUID {
	var out []UUID
	for _, u := range slices.Concat(r.Members, r.InSync) {
		if n, ok := g.NodeOf(u); ok && n.Maintenance && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

func (g Registry) setMaintenance(c SetMaintenance, at time.Time) (Registry, *Refusal) {
	n, ok := g.Nodes[c.Node]
	if !ok {
		return g, refuse(RefuseNotFound, "no node is named %q", c.Node)
	}
	n.Maintenance = c.On
	g.Nodes = maps.Clone(g.Nodes)
	g.Nodes[c.Node] = n
	for id, r := range g.Groups {
		switch {
		case c.On && !r.IsHeldOut(n.UUID) && (r.IsMember(n.UUID) || r.IsInSync(n.UUID)):
			g = g.withGroup(id, r)
		case !c.On && r.IsHeldOut(n.UUID):
			g = g.withGroup(id, r.withoutLeaving(n.UUID))
		}
	}
	detail := c.Node + " taken out for maintenance"
	if !c.On {
		detail = c.Node + " back from maintenance"
	}
	return g.note(HistoryEvent{Kind: "maintenance", Node: c.Node, Detail: detail}, at), nil
}

// withoutLeaving returns the record without the mark of a replica that stays after
// all. Who is no member any more goes on leaving.
func (r GroupRecord) withoutLeaving(u UUID) GroupRecord {
	r = r.clone()
	if r.IsMember(u) {
		r.Leaving = slices.DeleteFunc(r.Leaving, func(l UUID) bool { return l == u })
	}
	return r
}

// endLeaving clears the leaving mark of a replica that has started anew, unless it
// is in maintenance.
func (g Registry) endLeaving(u UUID) Registry {
	for id, r := range g.Groups {
		if r.IsLeaving(u) && r.IsMember(u) && !r.IsHeldOut(u) {
			g = g.withGroup(id, r.withoutLeaving(u))
		}
	}
	return g
}

func (g Registry) leave(c Leave, at time.Time) (Registry, *Refusal) {
	n, ok := g.Nodes[c.Node]
	if !ok || n.UUID != c.UUID || n.Boot != c.Boot {
		return g, refuse(RefuseStaleVersion, "boot %s of %s is not the one that is registered: it has stopped already", c.Boot, c.Node)
	}
	marked := false
	for id, r := range g.Groups {
		if r.IsInSync(c.UUID) && r.Primary.UUID != c.UUID && !r.IsLeaving(c.UUID) {
			r = r.clone()
			r.Leaving = append(r.Leaving, c.UUID)
			g, marked = g.withGroup(id, r), true
		}
	}
	if !marked {
		return g, nil
	}
	return g.note(HistoryEvent{Kind: "leaving", Node: c.Node, Detail: c.Node + " is stopping and leaves the in-sync set"}, at), nil
}

// override gives a group to a replica that may lack acknowledged writes. The old
// set goes: none of it may be promoted any more, for its history is another one.
func (g Registry) override(c Override, at time.Time) (Registry, *Refusal) {
	r, no := g.checkVersion(c.Group, c.Version)
	if no != nil {
		return g, no
	}
	u := c.Primary.UUID
	node, ok := g.NodeOf(u)
	switch {
	case r.Epoch == 0:
		return g, refuse(RefuseBadRequest, "group %d has no primary yet: there is nothing to override", c.Group)
	case !ok || node.Boot != c.Primary.Boot:
		return g, refuse(RefuseDuplicateNode, "boot %s of %s is not the one that is registered", c.Primary.Boot, u)
	case strings.TrimSpace(c.Reason) == "":
		return g, refuse(RefuseBadRequest, "an override needs a reason, for the history")
	case r.IsInSync(u):
		return g, refuse(RefuseStaleVersion, "%s is in the in-sync set and holds every acknowledged write: a failover to it loses nothing", node.Name)
	}
	r = r.clone()
	r.Epoch++
	r.OverrideEpoch = r.Epoch
	r.Primary, r.InSync, r.Leaving, r.Down = c.Primary, []UUID{u}, nil, nil
	if !r.IsMember(u) {
		r.Members = append(r.Members, u)
	}
	g = g.withGroup(c.Group, r)
	return g.note(HistoryEvent{
		Kind: "override", Group: c.Group, Epoch: r.Epoch, Version: g.Groups[c.Group].Version, Node: node.Name,
		Detail: c.describe(node.Name),
	}, at), nil
}

// describe tells an override for the history.
func (c Override) describe(name string) string {
	heard := "never heard by the deciding monitor"
	if !c.LastHeard.IsZero() {
		heard = "last heard at " + c.LastHeard.UTC().Format(time.RFC3339)
	}
	by := c.By
	if by == "" {
		by = "an operator"
	}
	return name + " made primary by " + by + " though it is not in sync (" + c.Reason + "); the old primary was " + heard + "; " + c.LossExpected
}
