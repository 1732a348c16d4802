package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// NodeEntry is what the registry holds of one node, by its configured name.
type NodeEntry struct {
	Name        string `json:"name"`
	UUID        UUID   `json:"uuid"`
	Boot        Boot   `json:"boot"`
	Address     string `json:"address"`
	Priority    int    `json:"priority"`
	Maintenance bool   `json:"maintenance,omitempty"`
	// Removed tells that the node leaves the cluster for good.
	Removed bool `json:"removed,omitempty"`
	// Replaced lists earlier boots and uuids that this entry took the place
	// of, newest last, at most MaxReplaced. A late word of one changes nothing.
	Replaced []ReplicaBoot `json:"replaced,omitempty"`
}

// MaxReplaced bounds the replaced boots that a node entry remembers. A boot of
// the same uuid with a lower count is known for old without being listed.
const MaxReplaced = 32

// DefaultPriority is a node's priority as a candidate unless it says otherwise.
const DefaultPriority = 50

// HistoryEvent is one line of the cluster's history.
type HistoryEvent struct {
	ID      uint64    `json:"id"`
	At      time.Time `json:"at"` // the proposing monitor's wall clock; for people only
	Kind    string    `json:"kind"`
	Group   GroupID   `json:"group"`
	Epoch   Epoch     `json:"epoch,omitempty"`
	Version Version   `json:"version,omitempty"`
	Node    string    `json:"node,omitempty"`
	Detail  string    `json:"detail"`
	// TimelineMS gives, for a failover, the milliseconds from the last sign of
	// life of the old primary to each named step.
	TimelineMS map[string]float64 `json:"timeline_ms,omitempty"`
	// Held is how many requests waited for the new primary at the monitor that led.
	Held int `json:"held,omitempty"`
}

// MaxHistory bounds the history that the registry keeps.
const MaxHistory = 1000

// Registry is the monitors' replicated record of nodes, groups and settings.
// Apply makes a new one; a value once published is never changed, so readers
// share it without a lock.
type Registry struct {
	Cluster  string                  `json:"cluster"`
	Settings Settings                `json:"settings"`
	Nodes    map[string]NodeEntry    `json:"nodes"`
	Groups   map[GroupID]GroupRecord `json:"groups"`
	History  []HistoryEvent          `json:"history"`
	NextID   uint64                  `json:"next_event_id"`
	// Removed lists the data directories that were removed for good, newest last, at
	// most MaxRemoved.
	Removed []UUID `json:"removed,omitempty"`
	// Adopted is the highest epoch that began by an adoption, 0 for none: a journal of
	// this cluster that ends before it was written under the registry that was lost.
	Adopted Epoch `json:"adopted,omitempty"`
}

// Apply returns the registry after c. A refused command returns g itself and
// the reason. Every accepted group command raises the group's version, even
// one that changes nothing, so that an older request still under way is dead.
func (g Registry) Apply(c Command) (Registry, *Refusal) {
	switch {
	case c.Found != nil:
		return g.found(*c.Found, c.At)
	case c.Register != nil:
		return g.register(*c.Register, c.At)
	case c.Promote != nil:
		return g.promote(*c.Promote, c.At)
	case c.ChangeInSync != nil:
		return g.changeInSync(*c.ChangeInSync, c.At)
	case c.SetMembers != nil:
		return g.setMembers(*c.SetMembers, c.At)
	case c.SetMaintained != nil:
		return g.setMaintenance(*c.SetMaintained, c.At)
	case c.Leave != nil:
		return g.leave(*c.Leave, c.At)
	case c.Override != nil:
		return g.override(*c.Override, c.At)
	case c.Remove != nil:
		return g.remove(*c.Remove, c.At)
	case c.Forget != nil:
		return g.forget(*c.Forget, c.At)
	case c.Adopt != nil:
		return g.adoptNodes(*c.Adopt, c.At)
	case c.SetConfig != nil:
		return g.setConfig(*c.SetConfig, c.At)
	case c.Note != nil:
		return g.note(*c.Note, c.At), nil
	}
	return g, refuse(RefuseBadRequest, "the command is empty")
}

func (g Registry) found(c Found, at time.Time) (Registry, *Refusal) {
	if g.Cluster != "" {
		return g, refuse(RefuseWrongCluster, "the registry already belongs to cluster %s", g.Cluster)
	}
	if c.Cluster == "" {
		return g, refuse(RefuseBadRequest, "a registry is founded with a cluster id")
	}
	if err := c.Settings.Validate(); err != nil {
		return g, refuse(RefuseBadRequest, "a registry is founded with valid settings: %v", err)
	}
	g.Cluster, g.Settings = c.Cluster, c.Settings
	return g.note(HistoryEvent{Kind: "founded", Detail: "cluster " + c.Cluster + " founded"}, at), nil
}

func (g Registry) register(c Register, at time.Time) (Registry, *Refusal) {
	n := c.Node
	if g.Cluster == "" {
		return g, refuse(RefuseWrongCluster, "the registry has not been founded yet")
	}
	old, known := g.Nodes[n.Name]
	if r := g.checkRegister(c, old, known); r != nil {
		return g, r
	}
	n.Maintenance = old.Maintenance
	n.Removed = old.Removed && old.UUID == n.UUID // a new directory joins as a new node
	n.Replaced = old.Replaced
	newUUID := known && old.UUID != n.UUID
	newBoot := known && old.Boot != n.Boot
	if newUUID || newBoot {
		n.Replaced = append(slices.Clone(old.Replaced), ReplicaBoot{old.UUID, old.Boot})
		if len(n.Replaced) > MaxReplaced {
			n.Replaced = n.Replaced[len(n.Replaced)-MaxReplaced:]
		}
	}
	g.Nodes = maps.Clone(g.Nodes)
	if g.Nodes == nil {
		g.Nodes = map[string]NodeEntry{}
	}
	g.Nodes[n.Name] = n
	switch {
	case newUUID:
		g = g.replaceMember(old.UUID, n.UUID)
		return g.note(HistoryEvent{Kind: "replaced", Node: n.Name, Detail: fmt.Sprintf("%s came with a new data directory %s in place of %s", n.Name, n.UUID, old.UUID)}, at), nil
	case newBoot:
		g = g.endLeaving(n.UUID)
		return g.note(HistoryEvent{Kind: "restarted", Node: n.Name, Detail: fmt.Sprintf("%s started again (boot %s)", n.Name, n.Boot)}, at), nil
	case !known:
		return g.note(HistoryEvent{Kind: "joined", Node: n.Name, Detail: fmt.Sprintf("%s joined at %s", n.Name, n.Address)}, at), nil
	}
	return g, nil
}

func (g Registry) checkRegister(c Register, old NodeEntry, known bool) *Refusal {
	n := c.Node
	if n.Name == "" || n.UUID == "" || n.Boot.Nonce == "" || n.Address == "" {
		return refuse(RefuseBadRequest, "a node registers with its name, uuid, boot and address")
	}
	for _, o := range g.Nodes {
		if o.Name != n.Name && o.UUID == n.UUID {
			return refuse(RefuseDuplicateNode, "data directory %s is already registered under the name %s: give %s a directory of its own", n.UUID, o.Name, n.Name)
		}
	}
	if no := g.refuseRemoved(n.Name, n.UUID); no != nil {
		return no
	}
	if !g.mayBring(c) {
		return refuse(RefuseRegistryBehind, "%s brings a journal that this registry knows nothing of: the registry is not the one that it was written under", n.Name)
	}
	if have := (ReplicaBoot{old.UUID, old.Boot}); c.Over != nil && *c.Over != have && have != (ReplicaBoot{n.UUID, n.Boot}) {
		return refuse(RefuseStaleVersion, "%s is registered with boot %s, and the request was decided on boot %s", n.Name, have.Boot, c.Over.Boot)
	}
	if !known {
		return nil
	}
	if old.hasReplaced(n.UUID, n.Boot) {
		return refuse(RefuseDuplicateNode, "boot %s of %s has been replaced by boot %s", n.Boot, n.Name, old.Boot)
	}
	if old.UUID == n.UUID && n.Boot.Count == old.Boot.Count && n.Boot != old.Boot {
		return refuse(RefuseDuplicateNode, "two processes use the data directory of %s or a copy of it: stop one", n.Name)
	}
	return nil
}

// hasReplaced tells whether a boot is older than the one of the entry, or than one
// that the entry took the place of: the list is bounded, so that a count below a
// listed one of the same directory says it as well.
func (n NodeEntry) hasReplaced(u UUID, b Boot) bool {
	return n.UUID == u && b.Count < n.Boot.Count ||
		slices.ContainsFunc(n.Replaced, func(r ReplicaBoot) bool {
			return r.UUID == u && b.Count <= r.Boot.Count
		})
}

// Knows tells whether u is, or was, a registered data directory or is still in
// a group record.
func (g Registry) Knows(u UUID) bool {
	for _, n := range g.Nodes {
		if n.UUID == u || slices.ContainsFunc(n.Replaced, func(r ReplicaBoot) bool { return r.UUID == u }) {
			return true
		}
	}
	for _, r := range g.Groups {
		if r.IsMember(u) || r.IsInSync(u) {
			return true
		}
	}
	return false
}

// replaceMember puts a new data directory in the place of an old one among the
// members. The in-sync sets keep the old uuid until the primary removes it: the
// new directory is empty, whatever its name.
func (g Registry) replaceMember(old, now UUID) Registry {
	for id, r := range g.Groups {
		i := slices.Index(r.Members, old)
		if i < 0 && !r.IsHeldOut(old) {
			continue
		}
		r = r.clone()
		if i >= 0 {
			r.Members[i] = now
		}
		g = g.withGroup(id, r)
	}
	return g
}

// withGroup stores r under the next version. Whoever is in maintenance is held out
// of it, and leaves the set where it is in it.
func (g Registry) withGroup(id GroupID, r GroupRecord) Registry {
	g.Groups = maps.Clone(g.Groups)
	if g.Groups == nil {
		g.Groups = map[GroupID]GroupRecord{}
	}
	r.Group = id
	r.Version = g.Groups[id].Version + 1
	g.Groups[id] = g.withHeldOut(r)
	return g
}

func (g Registry) checkVersion(id GroupID, v Version) (GroupRecord, *Refusal) {
	r := g.Groups[id]
	if r.Version != v {
		return r, refuse(RefuseStaleVersion, "group %d is at version %d, and the request was decided on version %d", id, r.Version, v)
	}
	return r, nil
}

func (g Registry) promote(c Promote, at time.Time) (Registry, *Refusal) {
	r, no := g.checkVersion(c.Group, c.Version)
	if no != nil {
		return g, no
	}
	birth := r.Epoch == 0 && len(r.InSync) == 0
	node, ok := g.NodeOf(c.Primary.UUID)
	switch {
	case !ok || node.Boot != c.Primary.Boot:
		return g, refuse(RefuseDuplicateNode, "boot %s of %s is not the one that is registered", c.Primary.Boot, c.Primary.UUID)
	case slices.Contains(c.Down, c.Primary.UUID):
		return g, refuse(RefuseBadRequest, "%s cannot be promoted and held for down at once", node.Name)
	case birth && !r.IsMember(c.Primary.UUID):
		return g, refuse(RefuseWouldLoseData, "%s is not a member of group %d", node.Name, c.Group)
	case !birth && !r.IsInSync(c.Primary.UUID):
		return g, refuse(RefuseWouldLoseData, "%s is not in the in-sync set of group %d: acknowledged writes may be missing from it", node.Name, c.Group)
	case r.IsLeaving(c.Primary.UUID) && c.hasOther(r):
		return g, refuse(RefuseStaleVersion, "%s is leaving group %d and another replica is in sync", node.Name, c.Group)
	}
	r = r.clone()
	r.Epoch++
	r.Primary = c.Primary
	r.Down = slices.Clone(c.Down)
	if birth {
		r.InSync = []UUID{c.Primary.UUID}
	}
	g = g.withGroup(c.Group, r)
	kind := "promoted"
	if birth {
		kind = "born"
	}
	return g.note(HistoryEvent{Kind: kind, Group: c.Group, Epoch: r.Epoch, Version: g.Groups[c.Group].Version, Node: node.Name, Detail: c.Reason}, at), nil
}

// hasOther tells whether a replica that is neither leaving nor held for dead or
// unfit could be promoted instead.
func (c Promote) hasOther(r GroupRecord) bool {
	return slices.ContainsFunc(r.InSync, func(u UUID) bool {
		return u != c.Primary.UUID && !r.IsLeaving(u) && !slices.Contains(c.Down, u) && !slices.Contains(c.Unfit, u)
	})
}

func (g Registry) changeInSync(c ChangeInSync, at time.Time) (Registry, *Refusal) {
	r, no := g.checkVersion(c.Group, c.Version)
	if no != nil {
		return g, no
	}
	switch {
	case r.Epoch != c.Epoch || r.Primary != c.Primary:
		return g, refuse(RefuseNotPrimary, "only the primary of epoch %d may change the in-sync set of group %d", r.Epoch, c.Group)
	case !slices.Contains(c.InSync, c.Primary.UUID):
		return g, refuse(RefuseBadRequest, "the in-sync set must hold the primary itself")
	case repeats(c.InSync):
		return g, refuse(RefuseBadRequest, "the in-sync set names a replica twice")
	}
	for _, u := range c.InSync {
		if !r.IsInSync(u) && !r.MayAdd(u) {
			return g, refuse(RefuseBadRequest, "%s is not a member of group %d, is leaving it or is held out of it", u, c.Group)
		}
	}
	before := r
	r = r.clone()
	r.InSync = slices.Clone(c.InSync)
	r.Leaving = slices.DeleteFunc(r.Leaving, func(u UUID) bool { return !slices.Contains(c.InSync, u) })
	r.Down = slices.DeleteFunc(r.Down, func(u UUID) bool { return !slices.Contains(c.InSync, u) })
	g = g.withGroup(c.Group, r)
	return g.note(HistoryEvent{
		Kind: "in-sync", Group: c.Group, Epoch: r.Epoch, Version: g.Groups[c.Group].Version,
		Node: g.NameOf(c.Primary.UUID), Detail: g.describeChange(before.InSync, r.InSync, c.Reason),
	}, at), nil
}

func (g Registry) describeChange(before, after []UUID, reason string) string {
	text := ""
	for _, u := range after {
		if !slices.Contains(before, u) {
			text += "added " + g.NameOf(u) + "; "
		}
	}
	for _, u := range before {
		if !slices.Contains(after, u) {
			text += "removed " + g.NameOf(u) + "; "
		}
	}
	if text == "" {
		text = "unchanged; "
	}
	return text + reason
}

func (g Registry) setMembers(c SetMembers, at time.Time) (Registry, *Refusal) {
	r, no := g.checkVersion(c.Group, c.Version)
	if no != nil {
		return g, no
	}
	for _, u := range c.Members {
		if _, ok := g.NodeOf(u); !ok && !r.IsMember(u) {
			return g, refuse(RefuseBadRequest, "%s is not a registered node", u)
		}
	}
	if len(c.Members) == 0 || repeats(c.Members) {
		return g, refuse(RefuseBadRequest, "a group needs at least one member, and each once")
	}
	r = r.clone()
	r.Members = slices.Clone(c.Members)
	r.Leaving = nil
	for _, u := range r.InSync {
		if !r.IsMember(u) {
			r.Leaving = append(r.Leaving, u)
		}
	}
	g = g.withGroup(c.Group, r)
	return g.note(HistoryEvent{Kind: cmp.Or(c.Kind, KindMembers), Group: c.Group, Epoch: r.Epoch, Version: g.Groups[c.Group].Version, Detail: c.Reason}, at), nil
}

func (g Registry) setConfig(c SetConfig, at time.Time) (Registry, *Refusal) {
	if c.Over != nil && *c.Over != g.Settings {
		return g, refuse(RefuseStaleVersion, "the settings have been changed meanwhile: look at them again")
	}
	if err := c.Settings.Validate(); err != nil {
		return g, refuse(RefuseBadRequest, "%v", err)
	}
	changes := c.Settings.changesOf(g.Settings)
	if changes == "" {
		return g, nil
	}
	g.Settings = c.Settings
	return g.note(HistoryEvent{Kind: "config", Detail: "settings changed: " + changes}, at), nil
}

// countFrom has the ids of events go on from a moment, in milliseconds: so they are
// above those of a registry that was lost, and who has seen events of that one is told
// all that come now.
func (g Registry) countFrom(at time.Time) Registry {
	if ms := at.UnixMilli(); ms > 0 {
		g.NextID = max(g.NextID, uint64(ms))
	}
	return g
}

// note appends a line to the bounded history.
func (g Registry) note(e HistoryEvent, at time.Time) Registry {
	g.NextID++
	e.ID, e.At = g.NextID, at
	h := g.History
	if len(h) >= MaxHistory {
		h = h[len(h)-MaxHistory+1:]
	}
	// Clipping makes append copy: an older registry value that shares the
	// array must not see the new line.
	g.History = append(slices.Clip(h), e)
	return g
}

// NodeOf returns the entry of the node whose present data directory is u.
func (g Registry) NodeOf(u UUID) (NodeEntry, bool) {
	for _, n := range g.Nodes {
		if n.UUID == u {
			return n, true
		}
	}
	return NodeEntry{}, false
}

// NameOf returns the name of the node that has, or last had, directory u; or u
// itself where none is known.
func (g Registry) NameOf(u UUID) string {
	for _, n := range g.Nodes {
		if n.UUID == u {
			return n.Name
		}
	}
	// In the order of names: a directory may have been moved from node to node,
	// and the history must read the same at every monitor.
	for _, name := range slices.Sorted(maps.Keys(g.Nodes)) {
		if slices.ContainsFunc(g.Nodes[name].Replaced, func(r ReplicaBoot) bool { return r.UUID == u }) {
			return name + " (a replaced data directory)"
		}
	}
	return string(u)
}

func repeats(us []UUID) bool {
	for i, u := range us {
		if slices.Contains(us[:i], u) {
			return true
		}
	}
	return false
}
