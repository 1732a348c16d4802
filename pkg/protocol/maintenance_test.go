package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heldOut is a record of A in epoch 1 with C held out.
func heldOut(v Version, inSync ...UUID) GroupRecord {
	r := rec(v, 1, of("A", 1), inSync...)
	r.HeldOut = []UUID{"C"}
	return r
}

func TestHeldOutStandbyIsRemovedAndNotAdded(t *testing.T) {
	s := primary(t, "A", "C")
	s.takes(heldOut(2, "A", "C"))
	require.Equal(t, "it is held out for maintenance", s.asksFor("A").Reason)
	s.takes(heldOut(3, "A"))
	s.answersFor(2, 5*time.Second)
	s.asksNothing()
	require.Equal(t, []UUID{"A"}, s.r.View(), "it follows, and does not count")
	s.takes(rec(4, 1, of("A", 1), "A"))
	s.answersFor(2, 100*ms)
	s.asksFor("A", "C")
}

// It is entering the view when the record that holds it out comes: without another
// word of it the primary would ask for ever, and wait for it.
func TestHeldOutWhileEnteringLeavesTheView(t *testing.T) {
	for name, without := range map[string]func(v Version) GroupRecord{
		"held out": func(v Version) GroupRecord { return heldOut(v, "A") },
		"no member any more": func(v Version) GroupRecord {
			r := rec(v, 1, of("A", 1), "A")
			r.Members = []UUID{"A", "B"}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := primary(t, "A")
			s.appends(3)
			s.syncs()
			s.connects(2, "C")
			s.acks(2, 1)
			require.Equal(t, []UUID{"A", "C"}, s.r.View(), "it is behind, and entering")
			s.takes(without(2))
			require.Equal(t, []UUID{"A"}, s.r.View())
			s.acks(2, 4)
			s.passes(time.Second)
			s.asksNothing()
			s.writes(1)
			require.Equal(t, Seq(5), s.r.Commit())
		})
	}
}

// Its addition was asked for when it was held out: the registry refuses that, and
// the primary gives it up.
func TestAdditionSettlesWhenItIsHeldOut(t *testing.T) {
	c := born(t, "A")
	a := c.reigns(1)
	add := a.joins("C")
	c.does(maintenance("C", true))
	c.refuses(RefuseStaleVersion, Command{ChangeInSync: &add})
	a.takes(c.group())
	a.answersFor(2, 5*time.Second)
	a.asksNothing()
	a.writes(1)
	require.Equal(t, a.r.Last().Seq, a.r.Commit())
	c.does(maintenance("C", false))
	a.takes(c.group())
	a.acks(2, a.r.Last().Seq)
	a.answersFor(2, 100*ms)
	c.commits(a, a.asksFor("A", "C"))
}

func TestStateOfAHeldOutReplica(t *testing.T) {
	s := replicaOf(t, of("C", 1), Saved{})
	s.takes(heldOut(2, "A", "C"))
	require.Equal(t, StateMaintenance, s.r.State())
	require.Equal(t, RoleStandby, s.r.Role(), "it follows")
	s.takes(heldOut(3, "A"))
	require.Equal(t, StateMaintenance, s.r.State())
	s.takes(rec(4, 1, of("A", 1), "A"))
	require.Equal(t, StateCatchingUp, s.r.State())
	p := primary(t, "A", "B")
	r := rec(2, 1, of("A", 1), "A", "B")
	r.HeldOut = []UUID{"A"}
	p.takes(r)
	require.Equal(t, StatePrimary, p.r.State(), "a primary serves until another does")
}

// An override gave the group to B, which lacks what A had committed.
func TestHistoryLostByAnOverride(t *testing.T) {
	returns := func(change func(r *GroupRecord)) error {
		s := replicaOf(t, of("A", 2), Saved{Accepted: 1, Last: Position{1, 5}, Commit: 4, Boundaries: []Boundary{{1, 1}}})
		r := rec(7, 3, of("B", 1), "B")
		r.OverrideEpoch = 2
		change(&r)
		s.takes(r)
		_, err := s.r.Dialled(1)
		require.NoError(t, err)
		err = s.r.Welcomed(1, 3, 3)
		require.Equal(t, Seq(4), s.r.Commit(), "nothing is cut")
		require.Equal(t, Position{1, 5}, s.r.Last())
		require.ErrorIs(t, s.r.Accepts(1, 3), ErrOldConnection)
		return err
	}
	require.ErrorIs(t, returns(func(*GroupRecord) {}), ErrHistoryLost)
	for name, change := range map[string]func(r *GroupRecord){
		"without an override":          func(r *GroupRecord) { r.OverrideEpoch = 0 },
		"an override of its own past":  func(r *GroupRecord) { r.OverrideEpoch = 1 },
		"a replica of the in-sync set": func(r *GroupRecord) { r.InSync = []UUID{"A", "B"} },
	} {
		err := returns(change)
		require.ErrorIs(t, err, ErrWouldUndo, name)
		require.NotErrorIs(t, err, ErrHistoryLost, name)
	}
}

// Only what was not known to be committed goes: an ordinary cut, which sets it aside.
func TestOverrideThatUndoesNothingKnown(t *testing.T) {
	s := replicaOf(t, of("A", 2), Saved{Accepted: 1, Last: Position{1, 5}, Commit: 3, Boundaries: []Boundary{{1, 1}}})
	r := rec(7, 2, of("B", 1), "B")
	r.OverrideEpoch = 2
	s.takes(r)
	_, err := s.r.Dialled(1)
	require.NoError(t, err)
	require.NoError(t, s.r.Welcomed(1, 2, 3))
}
