package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A asks to add B on v1, hears nothing and asks to add C on v1: only C is in the view
// now. C holds w, A acknowledges it, and the first request commits.
func TestHoleTwoAdditionsOnOneVersion(t *testing.T) {
	c := born(t, "A")
	a := c.reigns(1)
	addB := a.joins("B")
	a.breaks(1)
	a.done = nil
	a.connects(2, "C")
	a.acks(2, 1)
	addC := a.asksFor("A", "C")
	require.Equal(t, addB.Version, addC.Version)
	a.writes(1)
	a.acks(2, 2)
	require.ElementsMatch(t, []UUID{"A", "B", "C"}, a.r.View())
	require.Equal(t, Seq(1), a.r.Commit(), "B may be in the set by now, without the write")
	c.does(Command{ChangeInSync: &addB})
	c.refuses(RefuseStaleVersion, Command{ChangeInSync: &addC})
	a.takes(c.group())
	require.Equal(t, Seq(1), a.r.Commit())
}

// A standby's handshake is answered late: "cut to 3". On the next connection it has
// meanwhile been given 4 and 5 and acknowledged them, and they are committed.
func TestHoleLateAnswerToAHandshake(t *testing.T) {
	s := replicaOf(t, of("A", 1), Saved{Accepted: 1, Last: Position{1, 5}, Boundaries: []Boundary{{1, 1}}})
	s.takes(rec(5, 2, of("B", 1), "A", "B"))
	_, err := s.r.Dialled(1)
	require.NoError(t, err)
	_, err = s.r.Dialled(2)
	require.NoError(t, err)
	require.NoError(t, s.r.Welcomed(2, 2, 3))
	s.r.CutTo(3)
	s.r.AppendedTo(Position{2, 5}, s.now)
	s.syncs()
	require.ErrorIs(t, s.r.Welcomed(1, 2, 3), ErrOldConnection)
	require.ErrorIs(t, s.r.Accepts(1, 2), ErrOldConnection)
	require.ErrorIs(t, s.r.LearnCommit(1, 2, 5), ErrOldConnection)
	require.NoError(t, s.r.Accepts(2, 2))
}

// A client waits for w at 1.2 of A. B is promoted without w, its epoch-start is 2.2.
// A follows, learns that 2 is committed, and answers "done" for w.
func TestHoleWriterOutlivesItsReign(t *testing.T) {
	a := primary(t, "A", "B")
	a.writes(1)
	a.held = true
	a.takes(rec(2, 2, of("B", 1), "A", "B"))
	require.False(t, a.r.Serving(), "from the first word of epoch 2 on nothing of epoch 1 is answered")
	a.r.Acked(1, 1, 2, 0, a.now)
	require.Equal(t, Seq(1), a.r.Commit())
	a.carryOut()
	require.Equal(t, EffectEndRole, a.done[0].Kind, "the writers are told before A follows")
	_, err := a.r.Dialled(3)
	require.NoError(t, err)
	require.NoError(t, a.r.Welcomed(3, 2, 1))
	require.NoError(t, a.r.LearnCommit(3, 2, 2))
	require.Equal(t, Seq(1), a.r.Commit(), "1.2 is not what was committed")
	a.r.CutTo(1)
	a.r.Appended(Position{2, 2}, a.now)
	a.syncs()
	require.Equal(t, Seq(2), a.r.Commit())
	require.Equal(t, Position{2, 2}, a.r.Last())
}

// A confirm round is lost with a connection that returns at once. One round is in
// flight, so reads hang until the healthy standby is removed.
func TestHoleConfirmLostWithItsConnection(t *testing.T) {
	s := primary(t, "A", "B")
	n := s.r.NextConfirm(s.now)
	s.passes(400 * ms)
	s.breaks(1)
	s.passes(20 * ms)
	s.connects(7, "B")
	require.Equal(t, n, s.r.ConfirmNumber(), "it is sent again on the new connection")
	s.acks(7, 1)
	s.passes(490 * ms)
	s.asksNothing()
	s.r.Confirmed(7, 1, n, s.now)
	s.passes(time.Second)
	s.asksNothing()
	require.True(t, s.r.ConfirmDue(s.now))
}

// A mark that never ends would keep a replica out for ever.
func TestHoleMarksThatNeverEnd(t *testing.T) {
	c := born(t, "A", "B")
	a := c.reigns(1)
	a.connects(1, "B")
	a.acks(1, 1)
	c.does(maintenance("B", true))
	a.takes(c.group())
	c.commits(a, a.asksFor("A"))
	require.Empty(t, c.group().Leaving, "the mark goes with the removal")
	c.does(maintenance("B", false))
	a.takes(c.group())
	a.answersFor(1, 1100*ms)
	c.commits(a, a.asksFor("A", "B"))

	// It was down at the promotion of A, and comes back.
	c.does(register("A", 2))
	c.does(promote(c.version(), of("A", 2), "B"))
	a = replicaOf(t, of("A", 2), Saved{Accepted: 1, Last: Position{1, 1}, Boundaries: []Boundary{{1, 1}}})
	a.takes(c.group())
	c.commits(a, a.asksFor("A"))
	require.Empty(t, c.group().Down, "the mark goes with the removal")
	a.writes(1)
	a.connects(1, "B")
	a.answersFor(1, 1100*ms)
	c.commits(a, a.asksFor("A", "B"))
	a.answersFor(1, time.Second)
	a.asksNothing()
}

// The time for entering runs on after the asking: B leaves the view, A acknowledges a
// write, and the addition commits.
func TestHoleEnteringTimeRunsOn(t *testing.T) {
	c := born(t, "A")
	a := c.reigns(1)
	add := a.joins("B")
	a.writes(1)
	a.passes(450 * ms)
	require.Equal(t, []UUID{"A", "B"}, a.r.View())
	require.Equal(t, Seq(1), a.r.Commit())
	c.does(Command{ChangeInSync: &add})
	c.does(promote(c.version(), of("B", 1), "A"))
}
