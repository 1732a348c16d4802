package coordinator

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// picture is what the proxy needs to know, drawn anew after every event.
type picture struct {
	primary   courier.Target
	serving   bool
	standby   string
	inSync    []courier.Target // standbys that stay, and are heard
	addresses map[string]string
	// changed is closed when another picture takes this one's place.
	changed chan struct{}
}

// Primary implements [courier.Directory].
func (c *Coordinator) Primary() (courier.Target, <-chan struct{}) {
	p := c.picture.Load()
	return p.primary, p.changed
}

// Standby returns the most advanced in-sync standby, else any that is heard.
func (c *Coordinator) Standby(protocol.GroupID) (name, address string, ok bool) {
	p := c.picture.Load()
	address, ok = p.addresses[p.standby]
	return p.standby, address, ok
}

// InSync returns the standbys of the in-sync set that may be read from.
func (c *Coordinator) InSync(protocol.GroupID) ([]courier.Target, <-chan struct{}) {
	p := c.picture.Load()
	return p.inSync, p.changed
}

// Replica returns the address of a node.
func (c *Coordinator) Replica(name string) (address string, ok bool) {
	address, ok = c.picture.Load().addresses[name]
	return address, ok
}

// Nodes returns the names of all nodes.
func (c *Coordinator) Nodes() []string {
	return slices.Sorted(maps.Keys(c.picture.Load().addresses))
}

// redraw publishes a new picture if it differs from the last. c.mu is held.
func (c *Coordinator) redraw() {
	c.stale = false
	next := c.draw()
	c.announce(next)
	last := c.picture.Load()
	if next.primary == last.primary && next.serving == last.serving && next.standby == last.standby &&
		slices.Equal(next.inSync, last.inSync) &&
		maps.Equal(next.addresses, last.addresses) {
		return
	}
	c.picture.Store(next)
	close(last.changed)
}

func (c *Coordinator) draw() *picture {
	p := &picture{addresses: make(map[string]string, len(c.reg.Nodes)), changed: make(chan struct{})}
	rec := c.reg.Groups[0]
	var standby protocol.NodeState
	for _, n := range c.monitor.Nodes() {
		p.addresses[n.Entry.Name] = n.Entry.Address
		g := groupOf(n.Report, 0)
		switch {
		case n.Entry.UUID == rec.Primary.UUID:
			p.primary = courier.Target{Name: n.Entry.Name, Address: n.Entry.Address, Epoch: rec.Epoch}
			p.serving = n.Entry.Boot == rec.Primary.Boot && g.Serving && g.Epoch == rec.Epoch && !n.Down
			continue
		case n.Down || n.Heard.IsZero():
			continue
		case p.standby == "" || better(rec, n, standby):
			p.standby, standby = n.Entry.Name, n
		}
		if rec.IsInSync(n.Entry.UUID) && !rec.IsLeaving(n.Entry.UUID) {
			p.inSync = append(p.inSync, courier.Target{Name: n.Entry.Name, Address: n.Entry.Address, Epoch: rec.Epoch})
		}
	}
	return p
}

// better tells whether a is the better standby to read from: in sync first,
// then by position.
func better(rec protocol.GroupRecord, a, b protocol.NodeState) bool {
	rank := func(n protocol.NodeState) int {
		if rec.IsInSync(n.Entry.UUID) {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), groupOf(a.Report, 0).Position.Compare(groupOf(b.Report, 0).Position)) > 0
}

func groupOf(n protocol.NodeReport, id protocol.GroupID) protocol.GroupReport {
	for _, g := range n.Groups {
		if g.Group == id {
			return g
		}
	}
	return protocol.GroupReport{Group: id}
}

// Cluster describes the cluster as this monitor sees it. A monitor that has
// started again names itself as the leader only once it has applied all that
// was acknowledged: before, it may show an older state.
func (c *Coordinator) Cluster() wire.Cluster {
	leader := c.opts.Registry.LeaderName()
	out := wire.Cluster{Term: c.opts.Registry.Term(), Groups: []wire.GroupView{}, Nodes: []wire.NodeView{}}
	// A stopping monitor still says what the registry holds.
	_ = c.ask(func(now time.Time) {
		if leader == c.opts.Name && !c.leads {
			leader = ""
		}
		out.Cluster, out.Settings = c.reg.Cluster, c.reg.Settings
		for _, id := range slices.Sorted(maps.Keys(c.reg.Groups)) {
			out.Groups = append(out.Groups, c.groupView(id, now))
		}
		for _, n := range c.monitor.Nodes() {
			out.Nodes = append(out.Nodes, c.nodeView(n, now))
		}
		out.Refused = c.refused(now)
	})
	out.Leader = leader
	if c.opts.Peers != nil {
		out.Monitors = c.opts.Peers.Views(leader)
	} else {
		out.Monitors = []wire.MonitorView{{Name: c.opts.Name, Address: c.opts.Address, Leader: leader == c.opts.Name, Reachable: true}}
	}
	return out
}

func (c *Coordinator) groupView(id protocol.GroupID, now time.Time) wire.GroupView {
	rec := c.reg.Groups[id]
	names := func(us []protocol.UUID) []string {
		out := make([]string, 0, len(us))
		for _, u := range us {
			out = append(out, c.reg.NameOf(u))
		}
		slices.Sort(out)
		return out
	}
	prospect := c.monitor.Prospect(id, now)
	v := wire.GroupView{
		Group: id, Epoch: rec.Epoch, Version: rec.Version, Serving: c.draw().serving,
		InSync: names(rec.InSync), Leaving: names(rec.Leaving), Members: names(rec.Members), Spares: c.spares(id, now),
		Failover: wire.FailoverView{Possible: prospect.Candidate != "", Candidate: prospect.Candidate, Reason: prospect.Reason},
	}
	if rec.Epoch > 0 {
		v.Primary = c.reg.NameOf(rec.Primary.UUID)
	}
	return v
}

func (c *Coordinator) spares(id protocol.GroupID, now time.Time) []string {
	if spares := c.monitor.Spares(id, now); spares != nil {
		return spares
	}
	return []string{}
}

func (c *Coordinator) nodeView(n protocol.NodeState, now time.Time) wire.NodeView {
	v := wire.NodeView{
		Name: n.Entry.Name, UUID: n.Entry.UUID, Boot: n.Entry.Boot, Address: n.Entry.Address, State: n.Report.State,
		Maintenance: n.Entry.Maintenance, Removed: n.Entry.Removed, HeartbeatAgeMS: -1, Groups: []wire.NodeGroupView{}, Sees: map[string]string{},
	}
	if n.Down || n.Heard.IsZero() {
		v.State = protocol.StateUnreachable
	}
	if !n.Heard.IsZero() {
		v.HeartbeatAgeMS = now.Sub(n.Heard).Milliseconds()
	}
	hb := c.shown[n.Entry.Name]
	if hb == nil || hb.message.Boot != n.Entry.Boot {
		return v
	}
	v.Disk, v.ClockSkewMS = hb.message.Disk, hb.skew.Milliseconds()
	if hb.message.Sees != nil {
		v.Sees = hb.message.Sees
	}
	for _, g := range hb.message.Groups {
		v.Groups = append(v.Groups, c.nodeGroupView(n, g))
	}
	return v
}

func (c *Coordinator) nodeGroupView(n protocol.NodeState, g wire.GroupStatus) wire.NodeGroupView {
	v := wire.NodeGroupView{Group: g.Group, Role: g.Role, State: g.State, Position: g.Position}
	switch {
	case n.Down:
		v.Role, v.State = protocol.RoleNone, protocol.StateUnreachable // its last word is out of date
	case g.Upstream != "":
		v.Upstream = c.reg.NameOf(g.Upstream)
	}
	rec := c.reg.Groups[g.Group]
	primary := c.shown[c.reg.NameOf(rec.Primary.UUID)]
	if primary == nil || n.Entry.UUID == rec.Primary.UUID {
		return v
	}
	for _, pg := range primary.message.Groups {
		if pg.Group != g.Group {
			continue
		}
		v.LagRecords = max(0, int64(pg.Position.Seq)-int64(g.Position.Seq))
		for _, p := range pg.Peers {
			if p.UUID == n.Entry.UUID {
				v.CopiesBehindMS = p.BehindMS
			}
		}
	}
	return v
}
