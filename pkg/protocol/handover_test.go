package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stops has a node say that it is stopping.
func (d *desk) stops(name string) {
	d.t.Helper()
	d.nodes[name].Stopping = true
	d.beats(name)
}

func TestStoppingPrimaryHandsOver(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	d.stops("A")
	require.Equal(t, UUID("B"), d.seals[0].To)
	d.answersSeal("")
	d.promotes("B", "primary-stopping: A is stopping")
	d.switches("A", "B")
	require.Equal(t, KindSwitchover, d.finished[0].Kind)
	require.Equal(t, "A is stopping", d.finished[0].Reason)
	d.passes(100 * ms)
	require.Equal(t, []UUID{"A"}, d.reg.Groups[0].Leaving, "then it leaves the set")
}

func TestStoppingStandbyLeaves(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	d.stops("B")
	require.Equal(t, []UUID{"B"}, d.reg.Groups[0].Leaving)
	require.Empty(t, d.seals)
	d.passes(time.Second)
	require.Len(t, d.proposed, 1, "it is asked once")
	d.stops("C")
	require.Equal(t, []UUID{"B", "C"}, d.reg.Groups[0].Leaving)
}

func TestStoppingTogether(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.stops("B")
	d.stops("A")
	d.passes(100 * ms)
	require.Empty(t, d.seals, "B is about to go as well")
	require.Contains(t, d.m.Prospect(0, d.now).Planned, "A is stopping, and nobody can take over: B is stopping")
	require.Len(t, d.told("switchover waits"), 1)
	d.passes(time.Second)
	require.Len(t, d.told("switchover waits"), 1, "the same is told once")
	d.crashes("A")
	d.passes(100 * ms)
	d.promotes("B", "primary-down")
}

func TestPrimaryWithoutStandbysStops(t *testing.T) {
	d := at(t, born(t, "A").reg)
	d.stops("A")
	d.passes(time.Second)
	require.Empty(t, d.seals)
	require.Contains(t, d.m.Prospect(0, d.now).Planned, "only A holds every acknowledged write")
}

func TestStoppingNodeIsNotTakenIn(t *testing.T) {
	c := born(t, "A")
	c.does(wants(c.reg, 2))
	c.does(members(c.version(), "A"))
	d := at(t, c.reg)
	require.Len(t, d.reg.Groups[0].Members, 2, "B is taken in")
	c = born(t, "A")
	c.does(wants(c.reg, 2))
	c.does(members(c.version(), "A"))
	d = deskOf(t, c.reg)
	d.nodes["B"].Stopping = true
	d.passes(time.Second)
	require.Equal(t, []UUID{"A", "C"}, d.reg.Groups[0].Members)
}

func TestPrimaryInMaintenanceHandsOver(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Nil(t, d.applies(maintenance("A", true)))
	d.carryOut()
	d.answersSeal("")
	p := d.promotes("B", "primary-maintenance: A is in maintenance")
	require.Empty(t, p.Down)
	require.Equal(t, []UUID{"A"}, d.reg.Groups[0].HeldOut)
	require.Equal(t, []UUID{"A"}, d.reg.Groups[0].Leaving, "the new primary removes it")
}

func TestPrimaryInMaintenanceWaitsForAStandby(t *testing.T) {
	d := at(t, born(t, "A").reg)
	require.Nil(t, d.applies(maintenance("A", true)))
	d.carryOut()
	d.passes(time.Second)
	require.Empty(t, d.seals)
	require.Contains(t, d.m.Prospect(0, d.now).Planned, "A is in maintenance, and nobody can take over")
	require.Nil(t, d.applies(change(d.reg.Groups[0].Version, 1, of("A", 1), "A", "B")))
	d.carryOut()
	require.Equal(t, UUID("B"), d.seals[0].To, "as soon as there is one")
}

// What kept it from being replaced while it was down is over when it is back.
func TestAWaitingSwitchoverHasItsOwnReason(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Nil(t, d.applies(change(d.reg.Groups[0].Version, 1, of("A", 1), "A")))
	d.crashes("A")
	d.passes(time.Second)
	d.refusesBecause("A is down")
	require.Nil(t, d.applies(maintenance("A", true)))
	delete(d.refusing, "A")
	d.passes(time.Second)
	p := d.m.Prospect(0, d.now)
	require.Equal(t, "switchover-wanted", p.Rule)
	require.Equal(t, "no other replica is in sync: only A holds every acknowledged write", p.Reason)
}

func TestPrimaryThatIsNoMemberHandsOver(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Nil(t, d.applies(members(d.reg.Groups[0].Version, "B", "C")))
	d.carryOut()
	d.answersSeal("")
	d.promotes("B", "primary-leaving: A is no member any more")
}

// B is in maintenance when A dies. Alone it is taken, and gives its place back as
// soon as somebody else is in sync.
func TestMaintenanceWhileThePrimaryDies(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Nil(t, d.applies(maintenance("B", true)))
	d.crashes("A")
	d.passes(100 * ms)
	require.Equal(t, []UUID{"A"}, d.promotes("B", "primary-down").Down)
	d.serves("B")
	d.passes(100 * ms)
	require.Contains(t, d.m.Prospect(0, d.now).Planned, "B is in maintenance, and nobody can take over")
	require.Nil(t, d.applies(change(d.reg.Groups[0].Version, 2, of("B", 1), "B", "C")))
	d.carryOut()
	d.forget()
	d.passes(10 * ms)
	require.Empty(t, d.promotions())
	require.Equal(t, "switchover to C, sealing", d.m.Prospect(0, d.now).Planned)
}

// The other one in sync is alive and cannot take over: the registry is told so, or it
// would refuse the one in maintenance for ever.
func TestMaintenanceWhileTheOtherCannot(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	require.Nil(t, d.applies(maintenance("B", true)))
	d.nodes["C"].DiskFull = true
	d.passes(100 * ms)
	d.crashes("A")
	d.passes(100 * ms)
	p := d.promotes("B", "primary-down")
	require.Equal(t, []UUID{"C"}, p.Unfit)
	require.Equal(t, of("B", 1), d.reg.Groups[0].Primary)
}
