package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// orders requires that an order was taken, and has it carried out.
func (d *desk) orders(n uint64, no *Refusal) uint64 {
	d.t.Helper()
	require.Nil(d.t, no, "refused: %v", no)
	d.carryOut()
	return n
}

// refusesOrder requires that an order is refused with code, and returns why.
func (d *desk) refusesOrder(code RefusalCode) func(uint64, *Refusal) string {
	return func(_ uint64, no *Refusal) string {
		d.t.Helper()
		require.NotNil(d.t, no, "not refused")
		require.Equal(d.t, code, no.Code, no.Detail)
		require.NotEmpty(d.t, no.Detail)
		return no.Detail
	}
}

// answersSeal has the primary answer the last wish for a seal.
func (d *desk) answersSeal(err string) {
	d.t.Helper()
	require.NotEmpty(d.t, d.seals, "nobody was asked to seal")
	e := d.seals[len(d.seals)-1]
	d.m.SealAnswered(SealAnswer{Group: e.Group, Order: e.Order, Position: Position{e.Epoch, 10}, Err: err}, d.now)
	d.carryOut()
}

// switches has B or whoever is the primary of the record serve, and the former one
// follow.
func (d *desk) switches(from, to string) {
	d.nodes[from].Groups = []GroupReport{{Epoch: d.reg.Groups[0].Epoch, Position: Position{d.reg.Groups[0].Epoch, 11}}}
	d.serves(to)
	d.passes(100 * ms)
}

// ends requires that one order has ended since the last look, and returns its end.
func (d *desk) ends(n uint64) MonitorEffect {
	d.t.Helper()
	require.Len(d.t, d.ended, 1)
	require.Equal(d.t, n, d.ended[0].Order)
	return d.ended[0]
}

func (d *desk) abortsBecause(n uint64, why string) {
	d.t.Helper()
	e := d.ends(n)
	require.Contains(d.t, e.Text, why)
	require.Zero(d.t, e.Report)
	require.Empty(d.t, d.m.Prospect(0, d.now).Planned)
}

func TestSwitchover(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	asked := d.now
	n := d.orders(d.m.Switchover(Order{To: "C", Reason: "new disks", By: "ann"}, d.now))
	require.Equal(t, []MonitorEffect{{Kind: MonitorSeal, Node: "A", Address: "A:1", Order: n, Epoch: 1, To: "C"}}, d.seals)
	require.Empty(t, d.promotions(), "not before the primary has sealed")
	require.Equal(t, "switchover to C, sealing", d.m.Prospect(0, d.now).Planned)
	d.passes(20 * ms)
	d.answersSeal("")
	p := d.promotion()
	require.Equal(t, of("C", 1), p.Primary)
	require.Empty(t, p.Down, "the old primary follows, and stays in sync")
	require.Equal(t, "C took over from A (operator: new disks, by ann)", p.Reason)
	require.Equal(t, Epoch(2), d.reg.Groups[0].Epoch)
	require.Empty(t, d.ended, "it does not serve yet")
	d.passes(80 * ms)
	d.switches("A", "C")
	e := d.ends(n)
	require.Empty(t, e.Text)
	require.Equal(t, []Failover{e.Report}, d.finished)
	served := asked.Add(200 * ms)
	require.Equal(t, Failover{
		Kind: KindSwitchover, Epoch: 2, From: "A", To: "C", Cause: "operator", Reason: "new disks", By: "ann",
		LastHeard: asked, Suspected: asked, Declared: asked, Asked: asked, Sealed: asked.Add(20 * ms), Committed: asked.Add(20 * ms),
		Accepted: served, Serving: served,
	}, e.Report)
	require.Equal(t, map[string]float64{"asked": 0, "sealed": 20, "committed": 20, "accepted": 200, "serving": 200}, e.Report.Timeline())
	d.passes(time.Second)
	note := d.reg.History[len(d.reg.History)-1]
	require.Equal(t, "switchover", note.Kind)
	require.Equal(t, "switchover from A to C complete (operator: new disks, by ann)", note.Detail)
	require.Equal(t, e.Report.Timeline(), note.TimelineMS)
	require.Empty(t, d.m.Prospect(0, d.now).Planned)
}

func TestSwitchoverToTheBest(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	d.nodes["C"].Priority = 60
	d.passes(100 * ms)
	d.orders(d.m.Switchover(Order{}, d.now))
	require.Equal(t, UUID("C"), d.seals[0].To)
}

func TestSwitchoverRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(d *desk)
		to      string
		code    RefusalCode
		why     string
	}{
		{"no such node", func(*desk) {}, "X", RefuseNotFound, `no node is named "X"`},
		{"the primary", func(*desk) {}, "A", RefuseStaleVersion, "A is the primary already"},
		{"not in sync", func(*desk) {}, "C", RefuseWouldLoseData, "C is not in the in-sync set"},
		{"down", func(d *desk) { d.crashes("B"); d.passes(time.Second) }, "B", RefuseStaleVersion, "B is down: start it again"},
		{"full disk", func(d *desk) { d.nodes["B"].DiskFull = true }, "B", RefuseStaleVersion, "B has a full disk"},
		{"in maintenance", func(d *desk) { require.Nil(d.t, d.applies(maintenance("B", true))) }, "B", RefuseStaleVersion, "client -maintenance B=off"},
		{"stopping", func(d *desk) { d.stops("B") }, "B", RefuseStaleVersion, "B is stopping"},
		{"nobody named, nobody well", func(d *desk) { d.nodes["B"].DiskFull = true }, "", RefuseWouldLoseData, "B has a full disk"},
		{"nobody named, the only one about to go", func(d *desk) { require.Nil(d.t, d.applies(maintenance("B", true))) }, "", RefuseWouldLoseData, "client -maintenance B=off"},
		{"not the leader", func(d *desk) { d.m.Lead(false, d.now) }, "B", RefuseNoLeader, "ask the leader"},
		{"learning", func(d *desk) { d.now = d.now.Add(time.Second); d.m.Tick(d.now) }, "B", RefuseNoLeader, "ask again in a moment"},
		{"registry behind", func(d *desk) { d.nodes["C"].Groups[0].Epoch = 9 }, "B", RefuseRegistryBehind, "the registry is older"},
		{"the primary does not serve", func(d *desk) { d.nodes["A"].Groups[0].Serving = false }, "B", RefuseStaleVersion, "A does not serve at the moment"},
		{"the primary is down", func(d *desk) { d.nodes["B"].DiskFull = true; d.beats("B"); d.crashes("A"); d.passes(600 * ms) }, "B", RefuseStaleVersion, "A does not serve at the moment"},
		{"the primary is suspected", func(d *desk) { d.silent["A"] = true; d.passes(320 * ms) }, "B", RefuseStaleVersion, "A does not serve at the moment"},
		{"another switchover", func(d *desk) { d.orders(d.m.Switchover(Order{}, d.now)) }, "B", RefuseStaleVersion, "another change is under way: switchover to B, sealing"},
		{"a decision just made", func(d *desk) { d.keep = true; d.nodes["A"].DiskFailed = "EIO"; d.beats("A") }, "B", RefuseStaleVersion, "just being decided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			c.arrange(d)
			if c.name != "learning" && c.name != "a decision just made" && c.name != "the primary is suspected" {
				for name := range d.nodes {
					d.beats(name)
				}
			}
			before := len(d.seals)
			require.Contains(t, d.refusesOrder(c.code)(d.m.Switchover(Order{To: c.to}, d.now)), c.why)
			d.carryOut()
			require.Len(t, d.seals, before)
		})
	}
	d := at(t, founded(t).reg)
	d.m.reg.Groups = nil
	d.refusesOrder(RefuseStaleVersion)(d.m.Switchover(Order{}, d.now))
}

func TestSwitchoverIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(d *desk)
		why    string
	}{
		{"the primary refuses", func(d *desk) { d.answersSeal("B is not connected") }, "the primary did not seal: B is not connected"},
		{"the primary does not answer", func(d *desk) { d.passes(3 * time.Second) }, "not done within 3s"},
		{"the successor dies", func(d *desk) { d.crashes("B"); d.passes(20 * ms) }, "B has just closed its connection"},
		{"the successor's disk is full", func(d *desk) { d.nodes["B"].DiskFull = true; d.beats("B") }, "B has a full disk"},
		{"the successor starts anew", func(d *desk) { d.returns("B", of("B", 2)); d.beats("B") }, "B has been started again"},
		{"the successor leaves the set", func(d *desk) {
			require.Nil(d.t, d.applies(change(d.reg.Groups[0].Version, 1, of("A", 1), "A", "C")))
		}, "B has left the in-sync set"},
		{"the successor stops", func(d *desk) { d.nodes["B"].Stopping = true; d.beats("B") }, "B is stopping"},
		{"the successor is put in maintenance", func(d *desk) { require.Nil(d.t, d.applies(maintenance("B", true))) }, "B is in maintenance"},
		{"the leadership is lost", func(d *desk) { d.m.Lead(false, d.now) }, "does not lead any more"},
		{"another is promoted", func(d *desk) { require.Nil(d.t, d.applies(promote(d.reg.Groups[0].Version, of("C", 1)))) }, "C has become the primary of epoch 2"},
		{"the successor does not serve", func(d *desk) { d.answersSeal(""); d.passes(3 * time.Second) }, "B took over in epoch 2 and does not serve yet"},
		{"the successor dies before it serves", func(d *desk) { d.answersSeal(""); d.crashes("B"); d.passes(100 * ms) }, "B took over in epoch 2 and cannot serve (primary-down)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := at(t, born(t, "A", "B", "C").reg)
			n := d.orders(d.m.Switchover(Order{To: "B"}, d.now))
			c.happen(d)
			d.carryOut()
			d.abortsBecause(n, c.why)
			require.Empty(t, d.finished)
			d.answersSeal("") // too late
			require.LessOrEqual(t, len(d.promotions()), 2)
		})
	}
}

// The death of the primary in the middle is a failover like any other.
func TestPrimaryDiesInTheMiddleOfASwitchover(t *testing.T) {
	for name, before := range map[string]func(d *desk){
		"sealing": func(*desk) {},
		"sealed":  func(d *desk) { d.keep = true; d.answersSeal(""); d.keep = false },
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B", "C").reg)
			n := d.orders(d.m.Switchover(Order{To: "C"}, d.now))
			before(d)
			d.proposed = nil
			d.crashes("A")
			d.passes(600 * ms)
			d.abortsBecause(n, "the primary failed (primary-down): a failover is decided instead")
			require.Equal(t, []UUID{"A"}, d.promotes("B", "primary-down").Down)
			d.serves("B")
			d.passes(100 * ms)
			require.Len(t, d.finished, 1)
			require.Equal(t, KindFailover, d.finished[0].Kind)
			require.Empty(t, d.finished[0].By)
			require.Zero(t, d.finished[0].Asked)
		})
	}
}

// Its promotion was on its way when the primary died: the outcome decides.
func TestPrimaryDiesAfterThePromotionWasAsked(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.keep = true
	n := d.orders(d.m.Switchover(Order{To: "B"}, d.now))
	d.answersSeal("")
	d.crashes("A")
	d.passes(200 * ms)
	require.Empty(t, d.ended)
	require.Nil(t, d.applies(d.proposed[0]))
	d.keep = false
	d.serves("B")
	d.passes(100 * ms)
	require.Equal(t, "B", d.ends(n).Report.To)
}

func TestTwoOrdersAtOnce(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	n := d.orders(d.m.Switchover(Order{To: "B"}, d.now))
	d.refusesOrder(RefuseStaleVersion)(d.m.Switchover(Order{To: "C"}, d.now))
	d.refusesOrder(RefuseStaleVersion)(d.m.FailOver(Order{To: "C"}, d.now))
	d.answersSeal("")
	d.refusesOrder(RefuseStaleVersion)(d.m.FailOver(Order{To: "C"}, d.now))
	d.switches("A", "B")
	require.Equal(t, "B", d.ends(n).Report.To)
	require.Len(t, d.promotions(), 1)
}

// What the primary asked of the registry came between: the promotion is decided anew.
func TestSwitchoverOutlivesAnotherVersion(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.orders(d.m.Switchover(Order{To: "B"}, d.now))
	d.keep = true
	d.answersSeal("")
	require.Nil(t, d.applies(change(d.reg.Groups[0].Version, 1, of("A", 1), "A", "B", "C")))
	d.keep = false
	d.passes(20 * ms)
	require.Len(t, d.promotions(), 2)
	require.Equal(t, of("B", 1), d.reg.Groups[0].Primary)
}

// An answer that is late, or of an earlier order, seals nothing.
func TestLateSealAnswer(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.orders(d.m.Switchover(Order{To: "B"}, d.now))
	first := d.seals[0]
	d.answersSeal("no")
	d.orders(d.m.Switchover(Order{To: "B"}, d.now))
	d.m.SealAnswered(SealAnswer{Order: first.Order, Position: Position{1, 10}}, d.now)
	d.carryOut()
	require.Empty(t, d.promotions())
	d.answersSeal("")
	require.Len(t, d.promotions(), 1)
	d.answersSeal("")
	d.passes(20 * ms)
	require.Len(t, d.promotions(), 1)
}

func TestPlannedChangesWorkWhilePaused(t *testing.T) {
	paused := func() *desk {
		c := born(t, "A", "B")
		s := DefaultSettings()
		s.Paused = true
		c.does(Command{SetConfig: &SetConfig{Settings: s}})
		return at(t, c.reg)
	}
	d := paused()
	d.orders(d.m.Switchover(Order{}, d.now))
	d.answersSeal("")
	require.Len(t, d.promotions(), 1)

	d = paused()
	d.nodes["A"].Stopping = true
	d.beats("A")
	d.answersSeal("")
	d.promotes("B", "primary-stopping: A is stopping")

	d = paused()
	d.crashes("A")
	d.passes(time.Second)
	d.refusesBecause("client -resume")
	n := d.orders(d.m.FailOver(Order{By: "ann", Reason: "A burnt"}, d.now))
	require.Equal(t, []UUID{"A"}, d.promotes("B", "operator: A burnt, by ann").Down)
	d.serves("B")
	d.passes(100 * ms)
	require.Equal(t, "B", d.ends(n).Report.To)

	d = paused()
	d.orders(d.m.Switchover(Order{}, d.now))
	d.crashes("A")
	d.passes(time.Second)
	require.Len(t, d.ended, 1)
	d.refusesBecause("client -resume")
}

// A primary that only suspects itself to be dead must not be sealed again and again.
func TestAutomaticSwitchoverBacksOff(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	require.Nil(t, d.applies(maintenance("A", true)))
	d.carryOut()
	require.Len(t, d.seals, 1)
	for i, pause := range []time.Duration{1, 2, 4, 8} {
		d.answersSeal("no")
		d.passes(pause*time.Second - 20*ms)
		require.Len(t, d.seals, i+1)
		d.passes(30 * ms)
		require.Len(t, d.seals, i+2)
	}
	d.answersSeal("no")
	d.nodes["A"].Stopping = true
	d.beats("A")
	require.Len(t, d.seals, 6, "another reason waits for itself alone")
}
