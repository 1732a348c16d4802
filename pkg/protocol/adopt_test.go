package protocol

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lostRegistry puts a monitor to work whose registry is new and empty, while nodes
// beat that belong to a cluster of before: the first is the primary of epoch 3 and
// serves, and all know each other.
func lostRegistry(t *testing.T, names ...string) *desk {
	t.Helper()
	d := unborn(t)
	for i, n := range names {
		d.nodes[n] = &NodeReport{
			Cluster: "c-0", Name: n, UUID: UUID(n), Boot: boot(4), Address: n + ":1", Priority: 50,
			Groups: []GroupReport{{Epoch: 3, Version: 12, Position: Position{3, 100}, Serving: i == 0}},
			Knows:  knowing(n, names...),
		}
	}
	d.passes(time.Second)
	return d
}

// knowing is what a node knows of the others of these names.
func knowing(me string, names ...string) map[string]UUID {
	out := map[string]UUID{}
	for _, n := range names {
		if n != me {
			out[n] = UUID(n)
		}
	}
	return out
}

func adoptA() AdoptOrder { return AdoptOrder{Node: "A", Reason: "disk lost", By: "ann"} }

// adopts requires that an order is taken, carries it out and returns its command.
func (d *desk) adopts(o AdoptOrder) Adopt {
	d.t.Helper()
	c, no := d.m.Adoption(o, d.now)
	require.Nil(d.t, no, "refused: %v", no)
	require.Nil(d.t, d.applies(Command{Adopt: c}))
	d.carryOut()
	return *c
}

func (d *desk) refusesAdoption(o AdoptOrder, code RefusalCode, why string) string {
	d.t.Helper()
	c, no := d.m.Adoption(o, d.now)
	require.NotNil(d.t, no, "not refused")
	require.Nil(d.t, c)
	require.Equal(d.t, code, no.Code, no.Detail)
	require.Contains(d.t, no.Detail, why)
	return no.Detail
}

// follows has every node take the record, as a replica does: not an older one.
func (d *desk) follow() {
	r := d.reg.Groups[0]
	for _, n := range d.nodes {
		g := &n.Groups[0]
		if n.Cluster != d.reg.Cluster || r.Version <= g.Version || r.Epoch < g.Epoch {
			continue
		}
		g.Version, g.Epoch, g.Serving = r.Version, r.Epoch, r.Primary == ReplicaBoot{n.UUID, n.Boot}
		if g.Serving {
			g.Position = Position{r.Epoch, g.Position.Seq + 1}
		}
	}
}

func TestALostRegistryIsRebuilt(t *testing.T) {
	d := lostRegistry(t, "A", "B", "C")
	for _, n := range []string{"A", "B", "C"} {
		no := d.m.Heard(*d.nodes[n], d.now)
		require.Equal(t, RefuseWrongCluster, no.Code)
		require.Contains(t, no.Detail, "client -adopt")
	}
	require.Empty(t, d.reg.Nodes)
	c := d.adopts(adoptA())
	require.Empty(t, c.Loss)
	require.Equal(t, "c-0", d.reg.Cluster, "the registry is the nodes', and not the nodes the registry's")
	require.Equal(t, GroupRecord{
		Version: 13 + adoptLeap, Epoch: 4 + adoptLeap, Primary: of("A", 4), InSync: []UUID{"A"}, Members: []UUID{"A", "B"},
	}, d.reg.Groups[0])
	require.Len(t, d.reg.Nodes, 3)
	note := d.reg.History[len(d.reg.History)-1]
	require.Equal(t, KindAdopted, note.Kind)
	require.Equal(t, "A", note.Node)
	require.Equal(t, "the registry was rebuilt from the nodes by ann, with A as primary (disk lost); heard: A at 3.100 of epoch 3, version 12, "+
		"B at 3.100 of epoch 3, version 12, C at 3.100 of epoch 3, version 12; nothing acknowledged is lost", note.Detail)
	for _, n := range d.m.Nodes() {
		require.False(t, n.Heard.IsZero(), "what it said as a stranger counts")
	}
	d.follow()
	d.forget()
	d.passes(2 * time.Second)
	require.Empty(t, d.proposed, "nobody is taken for dead, or for new")
	require.True(t, d.rules["steady"])
	require.Empty(t, d.m.strangers)
	d.refusesAdoption(adoptA(), RefuseStaleVersion, "the registry is well")
}

// Under load a standby's last word may be newer than its primary's.
func TestAPrimaryThatServesIsAdoptedUnderLoad(t *testing.T) {
	d := lostRegistry(t, "A", "B")
	d.nodes["B"].Groups[0].Position.Seq++
	d.passes(100 * ms)
	require.Empty(t, d.adopts(adoptA()).Loss)
}

// An empty node that has started anew knows of nobody: the cluster may have more than
// nothing.
func TestAnEmptyNodeIsNotAdoptedUnforced(t *testing.T) {
	d := lostRegistry(t, "A")
	d.nodes["A"].Groups, d.nodes["A"].Knows = []GroupReport{{Epoch: 3}}, nil
	d.passes(100 * ms)
	d.refusesAdoption(adoptA(), RefuseWouldLoseData, "A has started anew and does not know")
}

// A node has taken the record that makes it the primary of the next epoch, and has not
// made that durable yet: that epoch is not given again.
func TestAnAdoptionGivesNoEpochTwice(t *testing.T) {
	d := lostRegistry(t, "A", "B")
	d.nodes["B"].Groups[0].Version = 13
	d.passes(100 * ms)
	c := d.adopts(adoptA())
	require.Empty(t, c.Loss)
	require.Greater(t, c.Groups[0].Epoch, Epoch(4))
}

// What is refused without force is taken with it, and then said to be lossy.
func TestAnAdoptionThatMayLoseIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(d *desk)
		why     string
	}{
		{"another is ahead", func(d *desk) {
			d.nodes["A"].Groups[0].Serving = false
			d.nodes["B"].Groups[0].Position.Seq++
		}, "B ends at 3.101, and A at 3.100"},
		{"another ends in a later epoch", func(d *desk) {
			d.nodes["B"].Groups[0] = GroupReport{Epoch: 4, Version: 13, Position: Position{4, 90}}
		}, "B ends at 4.90, and A at 3.100"},
		{"another knows a later epoch", func(d *desk) { d.nodes["B"].Groups[0].Epoch = 4 }, "B knows epoch 4, and A epoch 3"},
		{"another serves", func(d *desk) {
			d.nodes["A"].Groups[0].Serving, d.nodes["B"].Groups[0].Serving = false, true
		}, "B is the primary and serves"},
		{"another is not heard", func(d *desk) { d.silent["B"] = true; d.passes(5 * time.Second) }, "B was last heard 5s ago"},
		{"another was never heard", func(d *desk) { d.nodes["A"].Knows = knowing("A", "B", "C", "D") }, "D, which A knows, has not been heard"},
		{"another directory has its name", func(d *desk) { d.nodes["A"].Knows["B"] = "B-before" }, "B, which A knows, has not been heard"},
		{"only another knows it", func(d *desk) { d.nodes["B"].Knows = knowing("B", "A", "D") }, "D, which B knows, has not been heard"},
		{"it has started anew", func(d *desk) { d.nodes["A"].Groups[0].Version = 0 }, "A has started anew and does not know"},
		{"another has started anew", func(d *desk) { d.nodes["B"].Groups[0].Version = 0 }, "B has started anew and does not know"},
		{"another is corrupt", func(d *desk) {
			d.nodes["B"].State, d.nodes["B"].Groups = StateCorrupt, []GroupReport{{Epoch: 3}}
		}, "B has a damaged journal"},
		{"another came with an empty directory", func(d *desk) {
			d.nodes["B"] = &NodeReport{Name: "B", UUID: "B2", Boot: boot(1), Address: "B:1"}
			d.passes(2 * time.Second)
		}, "B was last heard 2s ago"},
		{"another directory came in its place", func(d *desk) {
			d.nodes["B"] = &NodeReport{Cluster: "c-0", Name: "B", UUID: "B2", Boot: boot(1), Address: "B:1", Groups: []GroupReport{{Version: 12}}}
			d.passes(2 * time.Second)
		}, "B was last heard 2s ago"},
		{"and nobody knew the one before", func(d *desk) {
			d.nodes["B"] = &NodeReport{Cluster: "c-0", Name: "B", UUID: "B2", Boot: boot(1), Address: "B:1", Groups: []GroupReport{{Version: 12}}}
			delete(d.nodes["A"].Knows, "B")
			delete(d.nodes["C"].Knows, "B")
			d.passes(2 * time.Second)
		}, "B was last heard 2s ago"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := lostRegistry(t, "A", "B", "C")
			c.arrange(d)
			d.passes(100 * ms)
			why := d.refusesAdoption(adoptA(), RefuseWouldLoseData, c.why)
			require.Contains(t, why, "A at 3.100 of epoch 3", "all positions are listed")
			require.Contains(t, why, "-force")
			o := adoptA()
			o.Force = true
			got := d.adopts(o)
			require.Contains(t, got.Loss, c.why)
			r := d.reg.Groups[0]
			require.Equal(t, r.Epoch, r.OverrideEpoch, "the history of others may be given up")
			require.Equal(t, of("A", 4), r.Primary)
			require.Equal(t, []UUID{"A"}, r.InSync)
			require.Greater(t, r.Epoch, Epoch(adoptLeap), "no epoch is used twice")
			require.Greater(t, r.Version, Version(adoptLeap), "who was not heard takes the record")
			for _, n := range d.nodes {
				for _, g := range n.Groups {
					require.Greater(t, r.Epoch, g.Epoch)
					require.Greater(t, r.Version, g.Version)
				}
			}
			require.Contains(t, d.reg.History[len(d.reg.History)-1].Detail, "what may be lost: ")
		})
	}
}

func TestAnAdoptionIsRefusedEvenByForce(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(d *desk)
		order   AdoptOrder
		code    RefusalCode
		why     string
	}{
		{"no such node", func(*desk) {}, AdoptOrder{Node: "X", Reason: "r"}, RefuseNotFound, "heard were: A, B"},
		{"gone again", func(d *desk) { d.silent["A"] = true; d.passes(2 * time.Second) }, adoptA(), RefuseNotFound, `no node named "A" is heard at the moment`},
		{"no reason", func(*desk) {}, AdoptOrder{Node: "A", Reason: " "}, RefuseBadRequest, "needs a reason"},
		{"a follower", func(d *desk) { d.m.Lead(false, d.now) }, adoptA(), RefuseNoLeader, "ask the leader"},
		{"learning", func(d *desk) { d.now = d.now.Add(time.Second); d.m.Tick(d.now) }, adoptA(), RefuseNoLeader, "ask again in a moment"},
		{"damaged", func(d *desk) { d.nodes["A"].State = StateCorrupt }, adoptA(), RefuseStaleVersion, "A has a damaged journal"},
		{"its disk has failed", func(d *desk) { d.nodes["A"].DiskFailed = "EIO" }, adoptA(), RefuseStaleVersion, "has given up its disk (EIO)"},
		{"stopping", func(d *desk) { d.nodes["A"].Stopping = true }, adoptA(), RefuseStaleVersion, "A is stopping"},
		{"two of one name", func(d *desk) {
			other := *d.nodes["A"]
			other.UUID, other.Address = "A2", "elsewhere:1"
			d.nodes["another"] = &other
		}, adoptA(), RefuseDuplicateNode, "elsewhere:1"},
		{"two of another name", func(d *desk) {
			other := *d.nodes["B"]
			other.UUID, other.Address = "B2", "elsewhere:1"
			d.nodes["another"] = &other
		}, adoptA(), RefuseDuplicateNode, "two processes named B are heard"},
		{"of no cluster", func(d *desk) {
			d.nodes["A"].Cluster, d.nodes["A"].Groups = "", nil
			d.nodes["A"].UUID = "A3"
			d.nodes["B"].Cluster, d.nodes["B"].Groups = "", nil
			d.passes(1500 * ms)
		}, adoptA(), RefuseBadRequest, "belongs to no cluster yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := lostRegistry(t, "A", "B")
			c.arrange(d)
			if c.code != RefuseNoLeader {
				d.passes(100 * ms)
			}
			c.order.Force = true
			d.refusesAdoption(c.order, c.code, c.why)
		})
	}
}

// A registry in use is nobody's to adopt: neither by nodes of another cluster, nor
// while its own nodes know nothing newer.
func TestARegistryInUseIsNotAdopted(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.refusesAdoption(AdoptOrder{Node: "B", Reason: "r", Force: true}, RefuseStaleVersion, "the registry is well")
	d.nodes["S"] = &NodeReport{Cluster: "c-0", Name: "S", UUID: "S", Boot: boot(1), Address: "S:1", Groups: []GroupReport{{Epoch: 9, Version: 99, Position: Position{9, 900}}}}
	d.passes(200 * ms)
	no := d.m.Heard(*d.nodes["S"], d.now)
	require.Equal(t, RefuseWrongCluster, no.Code)
	require.NotContains(t, no.Detail, "-adopt", "it is a node of another cluster")
	d.refusesAdoption(AdoptOrder{Node: "S", Reason: "r", Force: true}, RefuseStaleVersion, "this registry is in use, with A as the primary")
	require.NotContains(t, d.rules, "birth-held")
}

// oldCopy is a registry that came back from a backup: the nodes are at epoch 5.
func oldCopy(t *testing.T) *desk {
	t.Helper()
	d := at(t, born(t, "A", "B").reg)
	for name, n := range d.nodes {
		n.Groups = []GroupReport{{Epoch: 5, Version: 40, Position: Position{5, 70}, Serving: name == "B"}}
		n.Knows = knowing(name, "A", "B", "C")
	}
	d.passes(200 * ms)
	require.True(t, d.rules["registry-behind"])
	d.refusesBecause("client -adopt")
	return d
}

func TestAnOldCopyOfTheRegistryIsRebuilt(t *testing.T) {
	d := oldCopy(t)
	d.refusesAdoption(adoptA(), RefuseWouldLoseData, "B is the primary and serves")
	require.Nil(t, d.applies(maintenance("C", true)))
	c := d.adopts(AdoptOrder{Node: "B", Reason: "restored from a backup"})
	require.Empty(t, c.Loss)
	r := d.reg.Groups[0]
	require.Equal(t, Epoch(6+adoptLeap), r.Epoch)
	require.Equal(t, Version(41+adoptLeap), r.Version)
	require.Equal(t, []UUID{"B"}, r.InSync)
	require.Equal(t, []UUID{"B", "A"}, r.Members, "who is in maintenance is not asked to hold a copy")
	require.Equal(t, "c-1", d.reg.Cluster)
	require.Zero(t, r.OverrideEpoch)
	d.follow()
	d.forget()
	d.passes(time.Second)
	require.True(t, d.rules["steady"] || d.rules["members-wanted"])
	require.Empty(t, d.promotions())
}

// A node that the old copy does not know is refused, and taken in by the adoption.
func TestAnOldCopyLearnsOfWhoJoinedSince(t *testing.T) {
	d := oldCopy(t)
	d.nodes["D"] = &NodeReport{
		Cluster: "c-1", Name: "D", UUID: "D", Boot: boot(1), Address: "D:1", Priority: 50, Knows: knowing("D", "A", "B", "C"),
		Groups: []GroupReport{{Epoch: 5, Version: 40, Position: Position{5, 70}}},
	}
	d.passes(200 * ms)
	require.Equal(t, RefuseRegistryBehind, d.m.Heard(*d.nodes["D"], d.now).Code)
	require.NotContains(t, d.reg.Nodes, "D")
	d.adopts(AdoptOrder{Node: "B", Reason: "restored"})
	require.Contains(t, d.reg.Nodes, "D")
	require.NotContains(t, d.reg.Groups[0].Members, UUID("D"))
}

// Who is registered and silent may hold more.
func TestAnOldCopyWaitsForWhomItKnows(t *testing.T) {
	d := deskOf(t, born(t, "A", "B").reg)
	d.silent["C"] = true // since before the monitor started
	for _, n := range []string{"A", "B"} {
		d.nodes[n].Groups = []GroupReport{{Epoch: 5, Version: 40, Position: Position{5, 70}}}
	}
	d.passes(2 * time.Second)
	d.refusesAdoption(AdoptOrder{Node: "B", Reason: "r"}, RefuseWouldLoseData, "C, which is registered, has not been heard")
}

// A node that was not there when the registry was rebuilt joins later with its
// journal, which ends before. An empty registry takes only empty journals.
func TestWhoWasMissedByAnAdoptionJoinsLater(t *testing.T) {
	late := NodeReport{
		Cluster: "c-0", Name: "C", UUID: "C", Boot: boot(9), Address: "C:1", Priority: 50,
		Groups: []GroupReport{{Epoch: 3, Position: Position{3, 80}}},
	}
	d := unborn(t)
	stray := late
	stray.Cluster = "c-1"
	require.Equal(t, RefuseRegistryBehind, d.m.Heard(stray, d.now).Code, "the birth rule")
	d.carryOut()
	require.Empty(t, d.proposed)

	d = lostRegistry(t, "A", "B")
	d.adopts(adoptA())
	d.follow()
	d.nodes["C"] = &late
	d.passes(300 * ms)
	require.Contains(t, d.reg.Nodes, "C")
	alien := late
	alien.Name, alien.UUID, alien.Cluster = "X", "X", "c-7"
	require.Equal(t, RefuseWrongCluster, d.m.Heard(alien, d.now).Code)
	newer := late
	newer.Name, newer.UUID, newer.Groups = "Y", "Y", []GroupReport{{Epoch: d.reg.Adopted, Position: Position{d.reg.Adopted, 200}}}
	require.Equal(t, RefuseRegistryBehind, d.m.Heard(newer, d.now).Code, "what nobody told it of")
}

// Nodes that joined the new, empty cluster before are of another one now. A birth
// waits while somebody brings a journal.
func TestABirthWaitsForALostRegistry(t *testing.T) {
	d := lostRegistry(t, "A", "B")
	d.joins("e")
	d.joins("f")
	d.passes(3 * time.Second)
	require.Empty(t, d.reg.Groups, "clients must not find an empty map")
	require.True(t, d.rules["birth-held"])
	d.refusesBecause("client -adopt")
	d.adopts(adoptA())
	require.NotContains(t, d.reg.Nodes, "e")
	for _, n := range []string{"e", "f"} {
		d.nodes[n].Cluster = "c-1" // what it was told
		require.Equal(t, RefuseWrongCluster, d.m.Heard(*d.nodes[n], d.now).Code)
	}

	d = lostRegistry(t, "A")
	d.joins("e")
	d.joins("f")
	d.silent["A"] = true
	d.passes(3 * time.Second)
	require.Equal(t, Epoch(1), d.reg.Groups[0].Epoch, "whoever is gone again holds up nothing")
}

// A copy of the registry from before the birth is of the nodes' own cluster.
func TestABirthWaitsForNodesOfItsOwnCluster(t *testing.T) {
	d := unborn(t)
	d.nodes["A"] = &NodeReport{
		Cluster: "c-1", Name: "A", UUID: "A", Boot: boot(4), Address: "A:1",
		Groups: []GroupReport{{Epoch: 3, Version: 12, Position: Position{3, 100}, Serving: true}},
	}
	d.passes(200 * ms)
	d.joins("e")
	d.joins("f")
	d.passes(3 * time.Second)
	require.Empty(t, d.reg.Groups, "clients must not find an empty map")
	require.True(t, d.rules["birth-held"])
	d.refusesBecause("A brings a journal that this registry knows nothing of")
}

// An empty member of the old group knocks alone: those that hold its copies may come
// later (world 7951928189764189079).
func TestABirthWaitsForAnEmptyMemberToo(t *testing.T) {
	d := unborn(t)
	d.nodes["A"] = &NodeReport{
		Cluster: "c-0", Name: "A", UUID: "A", Boot: boot(4), Address: "A:1", Groups: []GroupReport{{Epoch: 3, Version: 12}},
	}
	d.passes(200 * ms)
	d.joins("e")
	d.joins("f")
	d.passes(3 * time.Second)
	require.Empty(t, d.reg.Groups)
	require.True(t, d.rules["birth-held"])
}

// The members of the new group were chosen, and not one of them was there to begin,
// when the old nodes came.
func TestABirthThatHasBegunWaitsForALostRegistry(t *testing.T) {
	d := unborn(t)
	for _, n := range []string{"e", "f"} {
		require.Nil(t, d.applies(Command{Register: &Register{
			Node: NodeEntry{Name: n, UUID: UUID("u" + n), Boot: boot(1), Address: n + ":1"}, Empty: true,
		}}))
	}
	require.Nil(t, d.applies(Command{SetMembers: &SetMembers{Members: []UUID{"ue", "uf"}}}))
	d.nodes["A"] = &NodeReport{Cluster: "c-0", Name: "A", UUID: "A", Boot: boot(4), Address: "A:1", Groups: []GroupReport{{Epoch: 3, Version: 12, Position: Position{3, 100}}}}
	d.passes(200 * ms)
	d.joins("e")
	d.joins("f")
	d.passes(2 * time.Second)
	require.Zero(t, d.reg.Groups[0].Epoch)
	require.True(t, d.rules["birth-held"])
}

func TestStrangersAreBounded(t *testing.T) {
	d := unborn(t)
	for i := range 3 * MaxStrangers {
		d.now = d.now.Add(ms)
		n := NodeReport{Cluster: "c-0", Name: fmt.Sprintf("n%03d", i), UUID: UUID(fmt.Sprintf("u%03d", i)), Boot: boot(2), Address: "x:1"}
		require.NotNil(t, d.m.Heard(n, d.now))
	}
	require.Len(t, d.m.strangers, MaxStrangers)
	require.Contains(t, d.m.strangers, UUID(fmt.Sprintf("u%03d", 3*MaxStrangers-1)), "the newest")
	old := NodeReport{Cluster: "c-0", Name: "old", UUID: UUID(fmt.Sprintf("u%03d", 3*MaxStrangers-1)), Boot: boot(1), Address: "x:1"}
	require.NotNil(t, d.m.Heard(old, d.now))
	require.Equal(t, boot(2), d.m.strangers[old.UUID].report.Boot, "a late word of an older boot")
	d.now = d.now.Add(time.Hour)
	require.NotNil(t, d.m.Heard(NodeReport{Cluster: "c-0", Name: "a", UUID: "fresh", Boot: boot(1), Address: "x:1"}, d.now))
	require.Len(t, d.m.strangers, 1, "the others were not heard for long")
}

// anAdoption returns a valid command on a new registry.
func anAdoption() Adopt {
	return Adopt{
		Over: "c-1", Cluster: "c-0", Primary: of("A", 1), Reason: "r", Heard: "A",
		Nodes:  []NodeEntry{{Name: "A", UUID: "A", Boot: boot(1), Address: "A:1"}},
		Groups: []AdoptGroup{{Epoch: 4, Version: 13, Members: []UUID{"A"}}},
	}
}

func TestTheRegistryChecksAnAdoption(t *testing.T) {
	c := &cluster{t: t}
	c.does(Command{Found: &Found{Cluster: "c-1", Settings: DefaultSettings()}})
	for name, test := range map[string]struct {
		change func(a *Adopt)
		code   RefusalCode
	}{
		"decided on another registry": {func(a *Adopt) { a.Over = "c-9" }, RefuseStaleVersion},
		"decided on another version":  {func(a *Adopt) { a.Groups[0].Over = 1 }, RefuseStaleVersion},
		"of no cluster":               {func(a *Adopt) { a.Cluster = "" }, RefuseBadRequest},
		"of no group":                 {func(a *Adopt) { a.Groups = nil }, RefuseBadRequest},
		"primary not among the nodes": {func(a *Adopt) { a.Primary = of("A", 2) }, RefuseBadRequest},
		"primary no member":           {func(a *Adopt) { a.Groups[0].Members = nil }, RefuseBadRequest},
		"no reason":                   {func(a *Adopt) { a.Reason = " " }, RefuseBadRequest},
		"epoch that goes back":        {func(a *Adopt) { a.Groups[0].Epoch = 0 }, RefuseBadRequest},
		"version that goes back":      {func(a *Adopt) { a.Groups[0].Version = 0 }, RefuseBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			a := anAdoption()
			test.change(&a)
			c.refuses(test.code, Command{Adopt: &a})
		})
	}
	a := anAdoption()
	seen := wall.Add(time.Hour)
	reg, refusal := c.reg.Apply(Command{At: seen, Adopt: &a})
	require.Nil(t, refusal)
	c.reg = reg
	require.Equal(t, Epoch(4), c.reg.Adopted)
	require.Greater(t, c.lastEvent().ID, uint64(seen.UnixMilli()), "above every id of the registry that was lost")
	c.refuses(RefuseStaleVersion, Command{Adopt: &a}) // a late copy

	former := Register{Node: NodeEntry{Name: "B", UUID: "B", Boot: boot(1), Address: "B:1"}, Cluster: "c-0", Journal: 3}
	for _, wrong := range []Register{
		{Node: former.Node, Cluster: "c-1", Journal: 3}, {Node: former.Node, Journal: 3}, {Node: former.Node, Cluster: "c-0", Journal: 4}, {Node: former.Node, Cluster: "c-0"},
	} {
		c.refuses(RefuseRegistryBehind, Command{Register: &wrong})
	}
	c.does(Command{Register: &former})

	used := born(t, "A", "B")
	a = anAdoption()
	a.Groups[0].Over, a.Groups[0].Version = used.version(), 99
	require.Contains(t, used.refuses(RefuseWouldLoseData, Command{Adopt: &a}), "has a primary")
	a.Cluster, a.Groups[0].Epoch = "c-1", 1
	used.refuses(RefuseBadRequest, Command{Adopt: &a})
	a.Groups[0].Epoch = 2
	a.Nodes[0].Boot, a.Primary = boot(2), of("A", 2)
	used.does(Command{Adopt: &a})
	require.Equal(t, []ReplicaBoot{of("A", 1)}, used.reg.Nodes["A"].Replaced)
	require.Contains(t, used.reg.Nodes, "C", "who is known stays")
}
