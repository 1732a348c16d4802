package protocol

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// adoptNodes rebuilds a registry that was lost, or came back from an old copy, from
// what its nodes say. It is the one command that changes the cluster id, and the one
// that may leap in epochs and versions; neither ever goes back.
func (g Registry) adoptNodes(c Adopt, at time.Time) (Registry, *Refusal) {
	if no := g.checkAdopt(c); no != nil {
		return g, no
	}
	if c.Cluster != g.Cluster { // whoever joined the new, empty cluster meanwhile is of another one now
		g.Cluster, g.Nodes, g.Groups, g.Removed = c.Cluster, nil, nil, nil
	}
	g = g.withAdopted(c.Nodes)
	groups := map[GroupID]GroupRecord{}
	for _, a := range c.Groups {
		r := GroupRecord{
			Group: a.Group, Version: a.Version, Epoch: a.Epoch, Primary: c.Primary, InSync: []UUID{c.Primary.UUID},
			Members: slices.Clone(a.Members), OverrideEpoch: g.Groups[a.Group].OverrideEpoch,
		}
		if c.Loss != "" {
			r.OverrideEpoch = r.Epoch
		}
		groups[a.Group] = g.withHeldOut(r)
		g.Adopted = max(g.Adopted, a.Epoch)
	}
	g.Groups = groups
	node, _ := g.NodeOf(c.Primary.UUID)
	first := c.Groups[0]
	return g.countFrom(at).note(HistoryEvent{
		Kind: KindAdopted, Group: first.Group, Epoch: first.Epoch, Version: first.Version, Node: node.Name, Detail: c.describe(node.Name),
	}, at), nil
}

func (g Registry) checkAdopt(c Adopt) *Refusal {
	for _, a := range c.Groups {
		r := g.Groups[a.Group]
		switch {
		case r.Version != a.Over:
			return refuse(RefuseStaleVersion, "group %d is at version %d, and the adoption was decided on version %d", a.Group, r.Version, a.Over)
		case c.Cluster != g.Cluster && r.Epoch > 0:
			return refuse(RefuseWouldLoseData, "group %d of this registry has a primary: it cannot become the one of another cluster any more", a.Group)
		case a.Epoch <= r.Epoch || a.Version <= r.Version:
			return refuse(RefuseBadRequest, "an adoption does not go back: group %d is at epoch %d, version %d", a.Group, r.Epoch, r.Version)
		case !slices.Contains(a.Members, c.Primary.UUID):
			return refuse(RefuseBadRequest, "the primary of group %d must be a member of it", a.Group)
		}
	}
	primary := slices.IndexFunc(c.Nodes, func(n NodeEntry) bool { return ReplicaBoot{n.UUID, n.Boot} == c.Primary })
	switch {
	case c.Over != g.Cluster:
		return refuse(RefuseStaleVersion, "the registry is of cluster %s, and the adoption was decided on one of cluster %q", g.Cluster, c.Over)
	case c.Cluster == "" || len(c.Groups) == 0 || len(c.Groups) < len(g.Groups) || primary < 0:
		return refuse(RefuseBadRequest, "an adoption names the nodes' cluster, every group, and the next primary among the nodes")
	case strings.TrimSpace(c.Reason) == "":
		return refuse(RefuseBadRequest, "an adoption needs a reason, for the history")
	}
	return nil
}

// withAdopted enters the nodes that were heard. One of a known name takes the place
// of what the registry had under it.
func (g Registry) withAdopted(nodes []NodeEntry) Registry {
	entries := make(map[string]NodeEntry, len(nodes)+len(g.Nodes))
	maps.Copy(entries, g.Nodes)
	for _, n := range nodes {
		old, known := entries[n.Name]
		n.Maintenance, n.Replaced = old.Maintenance, slices.Clip(old.Replaced)
		if was := (ReplicaBoot{old.UUID, old.Boot}); known && was != (ReplicaBoot{n.UUID, n.Boot}) {
			n.Replaced = append(n.Replaced, was)
			n.Replaced = n.Replaced[max(0, len(n.Replaced)-MaxReplaced):]
		}
		entries[n.Name] = n
	}
	g.Nodes = entries
	return g
}

// describe tells an adoption for the history.
func (c Adopt) describe(name string) string {
	text := "the registry was rebuilt from the nodes by " + cmp.Or(c.By, "an operator") + ", with " + name + " as primary (" + c.Reason + "); heard: " + c.Heard
	if c.Loss != "" {
		return text + "; what may be lost: " + c.Loss
	}
	return text + "; nothing acknowledged is lost"
}

// mayBring tells whether a data directory may be registered with what it holds: it is
// empty, it is known, or it was written before the registry was lost and rebuilt, when
// nobody told of it. An empty registry takes only empty ones.
func (g Registry) mayBring(c Register) bool {
	return c.Empty || g.Knows(c.Node.UUID) || c.Cluster == g.Cluster && c.Journal > 0 && c.Journal < g.Adopted
}
