package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOperatorsFailover(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	n := d.orders(d.m.FailOver(Order{To: "C", Reason: "A is slow", By: "ann"}, d.now))
	p := d.promotes("C", "operator: A is slow, by ann")
	require.Empty(t, p.Down, "the old primary lives")
	require.Empty(t, d.seals)
	d.switches("A", "C")
	require.Equal(t, KindFailover, d.ends(n).Report.Kind)
	require.Equal(t, "operator", d.finished[0].Cause)
}

func TestOperatorsFailoverRefuses(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Contains(t, d.refusesOrder(RefuseWouldLoseData)(d.m.FailOver(Order{To: "C"}, d.now)), "not in the in-sync set")
	d.refusesOrder(RefuseStaleVersion)(d.m.FailOver(Order{To: "A"}, d.now))
	d.refusesOrder(RefuseNotFound)(d.m.FailOver(Order{To: "X"}, d.now))
	d.nodes["B"].DiskFull = true
	d.beats("B")
	require.Contains(t, d.refusesOrder(RefuseWouldLoseData)(d.m.FailOver(Order{}, d.now)), "B has a full disk")

	d = at(t, born(t, "A", "B", "C").reg)
	require.Nil(t, d.applies(maintenance("B", true)))
	require.Contains(t, d.refusesOrder(RefuseStaleVersion)(d.m.FailOver(Order{To: "B"}, d.now)), "another replica holds every acknowledged write as well")

	d = at(t, born(t, "A", "B").reg)
	require.Nil(t, d.applies(maintenance("B", true)))
	require.Contains(t, d.refusesOrder(RefuseStaleVersion)(d.m.FailOver(Order{}, d.now)), "client -maintenance B=off", "A itself is there to stay")
	d.silent["A"] = true
	d.passes(time.Second)
	d.promotes("B", "primary-down")
}

// The primary dies, and is heard again, while an ordered failover waits for the
// registry: the order goes on.
func TestOrderedFailoverKeepsItsStory(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.keep = true
	n := d.orders(d.m.FailOver(Order{By: "ann"}, d.now))
	d.crashes("A")
	d.passes(100 * ms)
	require.True(t, d.down("A"))
	delete(d.refusing, "A")
	d.beats("A")
	d.passes(600 * ms)
	d.keep = false
	require.Nil(t, d.applies(d.proposed[len(d.proposed)-1]))
	d.switches("A", "B")
	require.Equal(t, "ann", d.ends(n).Report.By)
}

func (d *desk) overrides(o Order, stopped bool) (uint64, string) {
	d.t.Helper()
	n, loss, no := d.m.Override(o, stopped, d.now)
	return d.orders(n, no), loss
}

func TestOverrideByAnOperator(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.nodes["C"].Groups[0].Position = Position{1, 7}
	d.passes(100 * ms)
	d.crashes("A")
	d.crashes("B")
	d.passes(time.Second)
	d.refusesBecause("A is down", "B is down")
	_, _, no := d.m.Override(Order{To: "C", Reason: "burnt"}, false, d.now)
	require.Equal(t, RefuseWouldLoseData, no.Code)
	require.Contains(t, no.Detail, "A was heard 1s ago, and may still answer clients")
	require.Contains(t, no.Detail, "-primary-is-stopped")
	n, loss := d.overrides(Order{To: "C", Reason: "burnt", By: "ann"}, true)
	require.Equal(t, "C ends at 1.7, A was last heard at 1.10, B was last heard at 1.10: at least 3 records are lost, and whatever was acknowledged later", loss)
	r := d.reg.Groups[0]
	require.Equal(t, of("C", 1), r.Primary)
	require.Equal(t, []UUID{"C"}, r.InSync)
	require.Equal(t, Epoch(2), r.OverrideEpoch)
	require.Contains(t, d.reg.History[len(d.reg.History)-1].Detail, loss)
	d.serves("C")
	d.passes(100 * ms)
	require.Equal(t, KindOverride, d.ends(n).Report.Kind)
}

func TestOverrideAfterAMinuteNeedsNoWord(t *testing.T) {
	d := at(t, born(t, "A").reg)
	d.crashes("A")
	d.passes(59 * time.Second)
	_, _, no := d.m.Override(Order{To: "C", Reason: "burnt"}, false, d.now)
	require.NotNil(t, no)
	d.passes(1100 * ms)
	d.overrides(Order{To: "C", Reason: "burnt"}, false)
	require.Equal(t, of("C", 1), d.reg.Groups[0].Primary)
}

func TestOverrideRefuses(t *testing.T) {
	dead := func() *desk {
		d := at(t, born(t, "A").reg)
		d.crashes("A")
		d.passes(time.Second)
		return d
	}
	for _, c := range []struct {
		name    string
		arrange func() *desk
		order   Order
		code    RefusalCode
		why     string
	}{
		{"without a reason", dead, Order{To: "C", Reason: " "}, RefuseBadRequest, "needs a reason"},
		{"without a name", dead, Order{Reason: "burnt"}, RefuseBadRequest, "names a node"},
		{"of a stranger", dead, Order{To: "X", Reason: "burnt"}, RefuseNotFound, `no node is named "X"`},
		{"to who is in sync", dead, Order{To: "A", Reason: "burnt"}, RefuseStaleVersion, "a failover to it loses nothing"},
		{"to who is down", func() *desk { d := dead(); d.crashes("C"); d.passes(time.Second); return d }, Order{To: "C", Reason: "burnt"}, RefuseStaleVersion, "C is down"},
		{"to who is stopping", func() *desk { d := dead(); d.nodes["C"].Stopping = true; d.beats("C"); return d }, Order{To: "C", Reason: "burnt"}, RefuseStaleVersion, "C is stopping"},
		{"while the primary is heard", func() *desk { return at(t, born(t, "A").reg) }, Order{To: "C", Reason: "burnt"}, RefuseWouldLoseData, "a switchover loses nothing"},
		{"while another holds everything", func() *desk {
			c := born(t, "A", "B")
			s := DefaultSettings()
			s.Paused = true
			c.does(Command{SetConfig: &SetConfig{Settings: s}})
			d := at(t, c.reg)
			d.crashes("A")
			d.passes(time.Second)
			return d
		}, Order{To: "C", Reason: "burnt"}, RefuseWouldLoseData, "B holds every acknowledged write"},
		{"by a follower", func() *desk { d := dead(); d.m.Lead(false, d.now); return d }, Order{To: "C", Reason: "burnt"}, RefuseNoLeader, "ask the leader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.arrange()
			n, loss, no := d.m.Override(c.order, true, d.now)
			require.Contains(t, d.refusesOrder(c.code)(n, no), c.why)
			require.Empty(t, loss)
			d.carryOut()
			require.Zero(t, d.reg.Groups[0].OverrideEpoch)
		})
	}
}

// This monitor has started since, and has heard of nobody but C.
func TestOverrideByAMonitorThatKnowsNothing(t *testing.T) {
	d := deskOf(t, born(t, "A", "B").reg)
	d.refusing["A"], d.refusing["B"] = true, true
	d.passes(2 * time.Minute)
	_, _, no := d.m.Override(Order{To: "C", Reason: "burnt"}, false, d.now)
	require.NotNil(t, no)
	require.Contains(t, no.Detail, "A has not been heard since this monitor started")
	_, loss := d.overrides(Order{To: "C", Reason: "burnt"}, true)
	require.Contains(t, loss, "nothing is known of A, B")
	require.Contains(t, d.reg.History[len(d.reg.History)-1].Detail, "never heard by the deciding monitor")
}
