package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each test here is a trace in which a draft of the protocol lost an acknowledged
// write, had two histories or was stuck for ever, driven through real replicas and a
// real registry. It fails when the mistake is made again.

// reigns returns the replica of the record's primary, in its reign, with records up
// to seq in its journal and nobody connected.
func (c *cluster) reigns(seq Seq) *scene {
	c.t.Helper()
	rec := c.group()
	s := replicaOf(c.t, rec.Primary, Saved{})
	s.takes(rec)
	s.writes(int(seq))
	s.done = nil
	return s
}

// commits has the registry take a request, and its primary the record.
func (c *cluster) commits(s *scene, ch ChangeInSync) {
	c.t.Helper()
	c.does(Command{ChangeInSync: &ch})
	s.takes(c.group())
}

// A asks to add B, then to remove it; both commit, and A acknowledges a write alone.
// A late copy of the addition commits, and B is promoted without the write.
func TestHoleLateAddition(t *testing.T) {
	c := born(t, "A")
	a := c.reigns(1)
	add := a.joins("B")
	c.commits(a, add)
	a.breaks(1)
	a.passes(60 * ms)
	c.commits(a, a.asksFor("A"))
	a.writes(1)
	require.Equal(t, Seq(2), a.r.Commit())
	c.refuses(RefuseStaleVersion, Command{ChangeInSync: &add})
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("B", 1)))
}

// The monitor decides to promote B. A's removal of B commits, A acknowledges a write
// alone, and then the promotion applies.
func TestHolePromotionDecidedEarlier(t *testing.T) {
	c := born(t, "A", "B")
	d := at(t, c.reg)
	d.keep = true
	d.silent["A"] = true // only the monitor does not hear it
	d.passes(600 * ms)
	order := d.promotion()
	require.Equal(t, UUID("B"), order.Primary.UUID)

	a := c.reigns(1)
	a.connects(1, "B")
	a.acks(1, 1)
	a.breaks(1)
	a.passes(60 * ms)
	c.commits(a, a.asksFor("A"))
	a.writes(1)
	require.Equal(t, Seq(2), a.r.Commit())
	c.refuses(RefuseStaleVersion, Command{Promote: &order})
}

// A asks to add B, hears nothing and drops B from its view: the registry does not
// have it, so there seems to be nothing to remove. A acknowledges a write, and the
// addition commits.
func TestHolePendingAdditionIsForgotten(t *testing.T) {
	c := born(t, "A")
	a := c.reigns(1)
	add := a.joins("B")
	a.breaks(1)
	a.writes(1)
	a.passes(10 * time.Second)
	require.Equal(t, Seq(1), a.r.Commit(), "B may be in the set by now, without the write")
	c.does(Command{ChangeInSync: &add})
	c.does(promote(c.version(), of("B", 1), "A"))
	require.Equal(t, Seq(1), a.r.Commit())
}

// B is added below A's commit seq.
func TestHoleAddedBelowTheCommitSeq(t *testing.T) {
	a := born(t, "A").reigns(5)
	require.Equal(t, Seq(5), a.r.Commit())
	a.connects(1, "B")
	for seq := Seq(1); seq < 5; seq++ {
		a.acks(1, seq)
		a.asksNothing()
	}
	a.acks(1, 5)
	a.asksFor("A", "B")
}

// A restarts and is promoted to epoch 2, knowing of no commit. It adds C, which is
// behind, before its epoch-start is committed; C is promoted without what A had
// acknowledged in epoch 1.
func TestHoleAddedBeforeTheEpochStartIsCommitted(t *testing.T) {
	c := born(t, "A", "B")
	c.does(register("A", 2))
	c.does(promote(c.version(), of("A", 2)))
	a := replicaOf(t, of("A", 2), Saved{Accepted: 1, Last: Position{1, 5}, Boundaries: []Boundary{{1, 1}}})
	a.takes(c.group())
	require.Zero(t, a.r.Commit())
	a.writes(1) // 2.6
	a.connects(2, "C")
	a.acks(2, 3)
	a.passes(400 * ms)
	a.asksNothing()
	require.Equal(t, []UUID{"A", "B"}, a.r.View())
	a.connects(1, "B")
	a.acks(1, 6)
	require.True(t, a.r.Serving())
	a.acks(2, 5) // all of epoch 1, and not the start of epoch 2
	a.asksNothing()
	a.acks(2, 6)
	a.asksFor("A", "B", "C")
}

// B is in sync, loses its disk and returns empty under its name: it takes B's place
// in the set and is promoted.
func TestHoleSetByName(t *testing.T) {
	c := born(t, "A", "B")
	c.does(registerAs("B", "B2", 1))
	a := c.reigns(2)
	a.connects(5, "B2")
	a.acks(5, 2)
	require.Zero(t, a.r.Commit(), "B is in the set and has acknowledged nothing")
	b := replicaOf(t, of("B2", 1), Saved{})
	b.takes(c.group())
	require.Equal(t, StateCatchingUp, b.r.State())
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("B2", 1)))

	d := at(t, c.reg)
	d.crashes("A")
	d.passes(time.Second)
	require.Empty(t, d.promotions())
	require.Contains(t, d.m.Prospect(0, d.now).Reason, "B (a replaced data directory)")
}

// A sends w1 at 1.2 to B and crashes before its disk has it. It restarts, reads that
// it is the primary of epoch 1, and writes w2 at 1.2.
func TestHoleEpochWithoutBoot(t *testing.T) {
	c := born(t, "A", "B")
	for name, saved := range map[string]Saved{
		"with its epoch-start":    {Accepted: 1, Last: Position{1, 1}, Boundaries: []Boundary{{1, 1}}},
		"without its epoch-start": {Accepted: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := replicaOf(t, of("A", 2), saved)
			a.takes(c.group())
			require.Equal(t, RoleNone, a.r.Role())
			require.NotContains(t, a.kinds(), EffectBeginReign)
			require.Equal(t, RefuseNotPrimary, a.says(1, Hello{UUID: "B", Epoch: 1}).Refused)
		})
	}
	d := at(t, c.reg)
	d.returns("A", of("A", 2))
	d.passes(200 * ms)
	require.Equal(t, Epoch(2), d.reg.Groups[0].Epoch, "another epoch is the way on")
}

// The addition of B has committed. A late answer to a heartbeat, without B, makes A
// drop B; A acknowledges a write alone, and B, in the set, is promoted.
func TestHoleOlderRecord(t *testing.T) {
	c := born(t, "A")
	a := c.reigns(1)
	old := c.group()
	c.commits(a, a.joins("B"))
	a.writes(1)
	a.ignores(old)
	require.Equal(t, []UUID{"A", "B"}, a.r.View())
	require.Equal(t, Seq(1), a.r.Commit())
	a.acks(1, 2)
	require.Equal(t, Seq(2), a.r.Commit())
}

// The new primary B takes a position that A had before, of another history, for an
// acknowledgement of its own records, and commits its epoch-start.
func TestHoleDurableOfAnotherHistory(t *testing.T) {
	c := born(t, "A", "B")
	c.does(promote(c.version(), of("B", 1)))
	b := replicaOf(t, of("B", 1), Saved{Accepted: 1, Last: Position{1, 1}, Boundaries: []Boundary{{1, 1}}})
	b.takes(c.group())
	b.writes(1) // 2.2; A has 1.2
	answer := b.says(1, Hello{UUID: "A", Boot: boot(1), Epoch: 2, Last: 2, Boundaries: []Boundary{{1, 1}}})
	require.Equal(t, HelloAnswer{Epoch: 2, Part: 1}, answer)
	b.r.Acked(1, 1, 2, 0, b.now) // an acknowledgement of epoch 1, come late
	require.Zero(t, b.r.Commit())
	b.acks(1, 1)
	require.False(t, b.r.Serving())
	b.acks(1, 2)
	require.True(t, b.r.Serving())
}

// A has appended a record that is not on its disk, and joins B as a standby that
// agrees up to it; B commits, A crashes, and A, in the set, is promoted without it.
func TestHoleHandshakeBeforeSync(t *testing.T) {
	c := born(t, "A", "B")
	a := c.reigns(1)
	a.appends(1)
	c.does(promote(c.version(), of("B", 1)))
	a.held = true
	a.takes(c.group())
	require.Panics(t, func() { a.r.Settled(2, a.now) }, "a role ends with its tail on the disk")
	a.syncs()
	a.carryOut()
	hello, err := a.r.Dialled(1)
	require.NoError(t, err)
	require.Equal(t, Seq(2), hello.Last)

	// In a stream, what waits for the disk is not spoken of.
	require.NoError(t, a.r.Welcomed(1, 2, 2))
	a.r.Appended(Position{2, 3}, a.now)
	hello, err = a.r.Dialled(2)
	require.NoError(t, err)
	require.Equal(t, Seq(2), hello.Last)
}

// The only monitor loses its disk. A lagging node is heard first and becomes the
// primary of epoch 1; or every order is older than what the nodes have accepted.
func TestHoleLostRegistry(t *testing.T) {
	c := &cluster{t: t}
	c.does(Command{Found: &Found{Cluster: "c-2", Settings: DefaultSettings()}})
	d := deskOf(t, c.reg)
	for _, cluster := range []string{"", "c-1", "c-2"} {
		no := d.m.Heard(NodeReport{
			Cluster: cluster, Name: "C", UUID: "C", Boot: boot(9), Address: "C:1",
			Groups: []GroupReport{{Epoch: 5, Position: Position{4, 7}}},
		}, d.now)
		require.NotNil(t, no)
	}
	d.passes(3 * time.Second)
	require.Empty(t, d.proposed)

	// Restored from an old copy: it knows the nodes, and an older epoch.
	d = at(t, born(t, "A", "B").reg)
	d.nodes["B"].Groups[0].Epoch = 3
	d.crashes("A")
	d.passes(time.Second)
	require.Empty(t, d.promotions())
	require.Contains(t, d.m.Prospect(0, d.now).Reason, "B knows epoch 3")
	n := replicaOf(t, of("B", 1), Saved{Accepted: 3})
	n.ignores(rec(99, 1, of("A", 1), "A"))
}
