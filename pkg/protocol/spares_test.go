package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wants sets how many copies are wanted.
func wants(reg Registry, n int) Command {
	s := reg.Settings
	s.WantCopies = n
	return Command{SetConfig: &SetConfig{Settings: s}}
}

func (d *desk) wants(n int) {
	d.t.Helper()
	require.Nil(d.t, d.applies(wants(d.reg, n)))
	d.carryOut()
}

// threeAndSpares puts a monitor to work on A, B and C, of which inSync are in sync,
// with D and E to spare.
func threeAndSpares(t *testing.T, inSync ...UUID) *desk {
	t.Helper()
	d := at(t, born(t, inSync...).reg)
	d.joins("D")
	d.joins("E")
	d.passes(200 * ms)
	require.Equal(t, []UUID{"A", "B", "C"}, d.members())
	require.Equal(t, []string{"D", "E"}, d.m.Spares(0, d.now))
	d.forget()
	return d
}

func (d *desk) members() []UUID { return d.reg.Groups[0].Members }

// sync has the primary commit an in-sync set.
func (d *desk) sync(inSync ...UUID) {
	d.t.Helper()
	r := d.reg.Groups[0]
	require.Nil(d.t, d.applies(change(r.Version, r.Epoch, r.Primary, inSync...)))
	d.carryOut()
}

const replaceAfter = 30 * time.Second

func TestSpareTakesThePlaceOfAMissingMember(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	d.crashes("B")
	d.passes(100 * ms)
	d.sync("A", "C")
	d.passes(replaceAfter - 300*ms)
	require.Equal(t, []UUID{"A", "B", "C"}, d.members(), "its place is kept for a while")
	d.passes(400 * ms)
	require.Equal(t, []UUID{"A", "C", "uD"}, d.members())
	last := d.reg.History[len(d.reg.History)-1]
	require.Equal(t, KindReplaced, last.Kind)
	require.Equal(t, "B has not been heard for 30s: D takes its place", last.Detail)
	d.passes(2 * replaceAfter)
	require.Equal(t, []UUID{"A", "C", "uD"}, d.members(), "nobody else steps in for the same one")
	delete(d.refusing, "B")
	d.passes(time.Second)
	require.Equal(t, []UUID{"A", "C", "uD"}, d.members())
	require.Equal(t, []string{"B", "E"}, d.m.Spares(0, d.now), "it is a spare now")
}

func TestMissingMemberIsNotReplaced(t *testing.T) {
	for name, arrange := range map[string]func(d *desk){
		"it returns in time":         func(d *desk) { d.passes(replaceAfter - time.Second); delete(d.refusing, "B") },
		"there is no spare":          func(d *desk) { d.crashes("D"); d.crashes("E") },
		"no spare is well":           func(d *desk) { d.nodes["D"].DiskFull = true; d.nodes["E"].State = StateCorrupt },
		"every spare is stopping":    func(d *desk) { d.nodes["D"].Stopping, d.nodes["E"].Stopping = true, true },
		"it is in maintenance":       func(d *desk) { require.Nil(d.t, d.applies(maintenance("B", true))) },
		"the primary does not serve": func(d *desk) { d.nodes["A"].Groups[0].Serving = false },
		"nobody is to be replaced": func(d *desk) {
			s := d.reg.Settings
			s.ReplaceAfter = 0
			require.Nil(d.t, d.applies(Command{SetConfig: &SetConfig{Settings: s}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := threeAndSpares(t, "A", "C")
			d.crashes("B")
			d.passes(100 * ms)
			arrange(d)
			d.passes(3 * replaceAfter)
			require.Equal(t, []UUID{"A", "B", "C"}, d.members())
		})
	}
}

func TestSpareSkipsWhoIsNeverPromoted(t *testing.T) {
	d := threeAndSpares(t, "A", "C")
	d.nodes["D"].Priority = 0
	d.passes(200 * ms)
	d.crashes("B")
	d.passes(replaceAfter + 200*ms)
	require.Equal(t, []UUID{"A", "C", "uE"}, d.members())
	d.crashes("C")
	d.passes(replaceAfter + 200*ms)
	require.Contains(t, d.members(), UUID("uD"), "it holds a copy all the same, if there is nobody else")
}

// The primary is the one that is missing: first somebody takes over.
func TestMissingPrimaryIsReplacedAfterTheFailover(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	d.crashes("A")
	d.passes(100 * ms)
	d.promotes("B", "primary-down")
	d.serves("B")
	d.sync("B", "C")
	d.passes(replaceAfter + 200*ms)
	require.Equal(t, []UUID{"B", "C", "uD"}, d.members())

	d = threeAndSpares(t, "A")
	d.crashes("A")
	d.passes(3 * replaceAfter)
	require.Equal(t, []UUID{"A", "B", "C"}, d.members(), "nobody can take over: it is waited for")
}

// This monitor does not hear it, and its primary has it in sync all the same: it
// leaves only when the spare holds everything.
func TestMissingMemberThatIsInSyncStaysUntilTheSpareIs(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	d.silent["B"] = true
	d.passes(replaceAfter + time.Second)
	require.Equal(t, []UUID{"A", "B", "C", "uD"}, d.members())
	require.Empty(t, d.reg.Groups[0].Leaving)
	d.passes(3 * replaceAfter)
	require.Equal(t, []UUID{"A", "B", "C", "uD"}, d.members(), "one spare for one")
	d.sync("A", "B", "C", "uD")
	require.Equal(t, []UUID{"A", "C", "uD"}, d.members())
	require.Equal(t, []UUID{"B"}, d.reg.Groups[0].Leaving)
}

// It is heard again before the spare is in sync: then the spare is one too many.
func TestMissingMemberThatReturnsKeepsItsPlace(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	d.silent["B"] = true
	d.passes(replaceAfter + time.Second)
	require.Equal(t, []UUID{"A", "B", "C", "uD"}, d.members())
	delete(d.silent, "B")
	d.passes(200 * ms)
	require.Equal(t, []UUID{"A", "B", "C"}, d.members())
}

func TestSurplusMembersLeave(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	d.nodes["B"].Priority = 10
	d.passes(200 * ms)
	d.wants(2)
	require.Equal(t, []UUID{"A", "C"}, d.members(), "the lowest priority first")
	require.Equal(t, []UUID{"B"}, d.reg.Groups[0].Leaving)

	d = threeAndSpares(t, "A", "B", "C")
	d.nodes["A"].Priority = 1
	d.passes(200 * ms)
	d.wants(1)
	require.Equal(t, []UUID{"A"}, d.members(), "but never the primary")

	d = threeAndSpares(t, "A")
	d.wants(2)
	d.passes(time.Second)
	require.Equal(t, []UUID{"A", "B", "C"}, d.members(), "which of the two gets there first is not known yet")
	d.sync("A", "C")
	require.Equal(t, []UUID{"A", "C"}, d.members())
}

func TestRemovedStandbyIsReplacedFirst(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	require.Nil(t, d.m.MayRemove("B", d.now))
	require.Nil(t, d.applies(Command{Remove: &Remove{Node: "B"}}))
	d.carryOut()
	require.Equal(t, []UUID{"A", "B", "C", "uD"}, d.members(), "its copy counts until the spare's does")
	d.sync("A", "B", "C", "uD")
	require.Equal(t, []UUID{"A", "C", "uD"}, d.members())
	d.sync("A", "C", "uD")
	d.passes(time.Second)
	require.Contains(t, d.reg.Nodes, "B", "it is still there")
	require.Equal(t, []string{"E"}, d.m.Spares(0, d.now), "and no spare")
	d.crashes("B")
	d.passes(100 * ms)
	require.NotContains(t, d.reg.Nodes, "B")
	for _, n := range d.m.Nodes() {
		require.NotEqual(t, "B", n.Entry.Name)
	}
}

// A member that is missing for good does not keep the place in which the removed
// one's spare would be made a member.
func TestRemovedStandbyLeavesBesideAMissingOne(t *testing.T) {
	d := threeAndSpares(t, "A", "B")
	d.crashes("C")
	require.Nil(t, d.applies(Command{Remove: &Remove{Node: "B"}}))
	d.passes(200 * ms)
	require.Equal(t, []UUID{"A", "B", "C", "uD"}, d.members())
	d.sync("A", "B", "uD")
	d.passes(replaceAfter + 200*ms)
	require.Equal(t, []UUID{"A", "B", "uD", "uE"}, d.members(), "it makes room for the second")
	d.sync("A", "B", "uD", "uE")
	d.passes(200 * ms)
	require.Equal(t, []UUID{"A", "uD", "uE"}, d.members())
}

func TestRemovedStandbyLeavesAtOnceWithoutSpares(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	require.Nil(t, d.applies(Command{Remove: &Remove{Node: "B"}}))
	d.carryOut()
	require.Equal(t, []UUID{"A", "C"}, d.members())
	require.Equal(t, []UUID{"B"}, d.reg.Groups[0].Leaving)
	d.passes(time.Second)
	require.Equal(t, []UUID{"A", "C"}, d.members(), "it does not come back")
}

// It took over while it was being removed: it hands over as soon as somebody can.
func TestRemovedNodeThatBecamePrimaryHandsOver(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.keep = true
	require.Nil(t, d.applies(Command{Remove: &Remove{Node: "B"}}))
	d.crashes("A")
	d.keep = false
	d.passes(100 * ms)
	d.passes(600 * ms) // what was proposed first had no outcome
	require.Equal(t, of("B", 1), d.reg.Groups[0].Primary)
	d.serves("B")
	d.passes(100 * ms)
	require.NotContains(t, d.members(), UUID("B"))
	d.sync("B", "C")
	d.passes(100 * ms)
	require.Equal(t, UUID("C"), d.seals[0].To)
}

// A removed node that returns with its directory is refused, and with a new one it
// joins as any other.
func TestRemovedNodeComesBack(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	require.Nil(t, d.applies(Command{Remove: &Remove{Node: "B"}}))
	d.carryOut()
	d.sync("A", "C")
	d.crashes("B")
	d.passes(100 * ms)
	require.NotContains(t, d.reg.Nodes, "B")
	d.returns("B", of("B", 2))
	no := d.m.Heard(*d.nodes["B"], d.now)
	require.NotNil(t, no)
	require.Equal(t, RefuseForbidden, no.Code)
	require.Contains(t, no.Detail, "start it with an empty one")
	d.passes(time.Second)
	require.NotContains(t, d.reg.Nodes, "B")
	d.returns("B", of("B2", 1))
	d.passes(time.Second)
	require.Equal(t, []UUID{"A", "C", "B2"}, d.members())
}

func TestMayRemove(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Nil(t, d.m.MayRemove("B", d.now))
	require.Nil(t, d.m.MayRemove("C", d.now), "it is not in sync")
	require.Nil(t, d.m.MayRemove("X", d.now), "the registry refuses it")
	d.crashes("A")
	d.passes(30 * ms)
	no := d.m.MayRemove("B", d.now)
	require.NotNil(t, no)
	require.Equal(t, RefuseWouldLoseData, no.Code)
	require.Contains(t, no.Detail, "B is the only replica of group 0 in sync that is well")
}

// Removed one after the other before there is a primary, they would leave a group
// without a way out of it (world 1795249098224746383).
func TestNobodyIsRemovedFromAGroupThatIsBeingBorn(t *testing.T) {
	c := founded(t)
	require.Contains(t, c.refuses(RefuseStaleVersion, Command{Remove: &Remove{Node: "A"}}), "group 0 has no primary yet")
	c.does(promote(c.version(), of("A", 1)))
	c.does(Command{Remove: &Remove{Node: "B"}})
}

// One is removed, takes over before it has gone, and then the other one is removed:
// each would wait for the other for ever (world 1795260219077111316).
func TestTheLastMemberThatIsToStayIsNotRemoved(t *testing.T) {
	c := born(t, "A", "B")
	c.does(members(c.version(), "A", "B"))
	c.does(Command{Remove: &Remove{Node: "B"}})
	c.does(promote(c.version(), of("B", 1), "A"))
	require.Contains(t, c.refuses(RefuseWouldLoseData, Command{Remove: &Remove{Node: "A"}}), "A is the last member of group 0 that is to stay")
	c.does(Command{Remove: &Remove{Node: "C"}}) // a spare
	c.does(register("D", 1))
	c.does(members(c.version(), "A", "B", "D"))
	c.does(Command{Remove: &Remove{Node: "A"}})
}

func TestRemoveAndForgetInTheRegistry(t *testing.T) {
	c := born(t, "A", "B")
	require.Contains(t, c.refuses(RefuseStaleVersion, Command{Remove: &Remove{Node: "A"}}), "-switchover")
	require.Contains(t, c.refuses(RefuseNotFound, Command{Remove: &Remove{Node: "X"}}), `"X"`)
	c.does(members(c.version(), "A", "B"))
	c.refuses(RefuseStaleVersion, Command{Forget: &Forget{Node: "C", UUID: "C", Boot: boot(1)}}) // it is a spare
	c.does(members(c.version(), "A", "B", "C"))
	c.does(Command{Remove: &Remove{Node: "C", By: "somebody"}})
	require.Equal(t, "C is removed from the cluster, by somebody", c.lastEvent().Detail)
	events := len(c.reg.History)
	c.does(Command{Remove: &Remove{Node: "C"}})
	require.Len(t, c.reg.History, events, "twice is once")
	forget := func(u UUID, n uint64) Command {
		return Command{Forget: &Forget{Node: string(u), UUID: u, Boot: boot(n)}}
	}
	c.refuses(RefuseStaleVersion, forget("C", 1)) // a member
	c.does(members(c.version(), "A", "B"))
	c.refuses(RefuseStaleVersion, forget("C", 2)) // another boot
	c.refuses(RefuseStaleVersion, forget("B", 1)) // not to be removed
	c.refuses(RefuseStaleVersion, forget("X", 1))
	c.does(forget("C", 1))
	require.Equal(t, []UUID{"C"}, c.reg.Removed)
	require.Contains(t, c.refuses(RefuseForbidden, register("C", 2)), "empty one")

	c = born(t, "A", "B")
	c.does(Command{Remove: &Remove{Node: "C"}})
	c.does(register("C", 2))
	require.True(t, c.reg.Nodes["C"].Removed, "another boot of it changes nothing")
	c.does(registerAs("C", "C2", 1))
	require.False(t, c.reg.Nodes["C"].Removed, "with a new directory it joins as any other")

	c = born(t, "A")
	c.does(members(c.version(), "A"))
	c.does(promote(c.version(), of("A", 1))) // A alone
	require.Contains(t, c.refuses(RefuseStaleVersion, Command{Remove: &Remove{Node: "A"}}), "primary")

	c = born(t, "A", "B")
	c.does(members(c.version(), "B"))
	require.Contains(t, c.refuses(RefuseWouldLoseData, Command{Remove: &Remove{Node: "B"}}), "only copy")
}

func TestRemovedDirectoriesAreBounded(t *testing.T) {
	c := born(t, "A")
	for i := range MaxRemoved + 2 {
		u := UUID("D" + string(rune('0'+i%10)) + string(rune('0'+i/10%10)) + string(rune('0'+i/100)))
		c.reg.Nodes = map[string]NodeEntry{"D": {Name: "D", UUID: u, Boot: boot(1), Removed: true}}
		c.reg, _ = c.reg.Apply(Command{Forget: &Forget{Node: "D", UUID: u, Boot: boot(1)}})
	}
	require.Len(t, c.reg.Removed, MaxRemoved)
	require.Equal(t, UUID("D200"), c.reg.Removed[0])
}

func TestFormerPrimaryThatIsNoMemberIsASpare(t *testing.T) {
	s := primary(t, "A", "B")
	r := rec(9, 2, of("B", 1), "B")
	s.takes(r)
	require.Equal(t, StateFenced, s.r.State())
	s = primary(t, "A", "B")
	r.Members = []UUID{"B", "C"}
	s.takes(r)
	require.Equal(t, StateSpare, s.r.State(), "it follows nobody, and has nothing to be fenced from")
}

func TestSpareIsAskedForOnce(t *testing.T) {
	d := threeAndSpares(t, "A", "B", "C")
	for _, name := range []string{"D", "E", "B"} {
		d.crashes(name)
		d.passes(100 * ms)
	}
	asked := func() (of []string) {
		for _, e := range d.reg.History {
			if e.Kind == KindNoSpare {
				of = append(of, e.Node)
			}
		}
		return of
	}
	d.passes(replaceAfter - 500*ms)
	require.Empty(t, asked())
	d.passes(3 * replaceAfter)
	require.Equal(t, []string{"B"}, asked())
	require.Contains(t, d.reg.History[len(d.reg.History)-1].Detail, "start another node")
	delete(d.refusing, "B")
	d.passes(time.Second)
	d.crashes("B")
	d.passes(replaceAfter + time.Second)
	require.Equal(t, []string{"B", "B"}, asked(), "it was back meanwhile")

	d = threeAndSpares(t, "A", "B", "C")
	d.crashes("B")
	d.passes(2 * replaceAfter)
	require.Empty(t, asked(), "one steps in")
}
