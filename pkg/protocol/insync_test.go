package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// quiet keeps B answering, so that only what a test does goes wrong.
func (s *scene) answersFor(c ConnID, d time.Duration) {
	s.t.Helper()
	for range d / (10 * ms) {
		s.passes(10 * ms)
		s.acks(c, s.r.Last().Seq)
		s.r.Confirmed(c, s.r.Accepted(), s.r.ConfirmNumber(), s.now)
	}
}

func TestStandbyThatHasCaughtUpIsAdded(t *testing.T) {
	s := primary(t, "A")
	s.writes(3)
	s.connects(1, "B")
	s.asksNothing()
	require.Equal(t, []UUID{"A"}, s.r.View(), "it has said nothing of its disk")
	s.r.Acked(1, 1, 2, 1<<20+1, s.now)
	s.then()
	require.Equal(t, []UUID{"A"}, s.r.View(), "it is far from the tail")
	s.acks(1, 3)
	require.Equal(t, []UUID{"A", "B"}, s.r.View(), "it is near the tail: it enters the view")
	s.asksNothing()
	s.writes(1)
	require.Equal(t, Seq(4), s.r.Commit(), "the commit seq holds still")
	s.acks(1, 4)
	c := s.asksFor("A", "B")
	require.Equal(t, ChangeInSync{Version: 1, Epoch: 1, Primary: of("A", 1), InSync: []UUID{"A", "B"}, Reason: "it has caught up"}, c)
	require.Equal(t, Seq(4), s.r.Commit())
	s.takes(rec(2, 1, of("A", 1), "A", "B"))
	s.acks(1, 5)
	require.Equal(t, Seq(5), s.r.Commit())
	s.asksNothing()
}

func TestWhoIsNotAdded(t *testing.T) {
	for name, spoil := range map[string]func(s *scene){
		"a replica that is leaving": func(s *scene) {
			r := rec(2, 1, of("A", 1), "A")
			r.Leaving = []UUID{"B"}
			s.takes(r)
		},
		"a former member": func(s *scene) {
			r := rec(2, 1, of("A", 1), "A")
			r.Members = []UUID{"A", "C"}
			s.takes(r)
		},
		"a standby in trouble":     func(s *scene) { s.r.Trouble(1, 1, "disk_full", s.now) },
		"a standby that went away": func(s *scene) { s.breaks(1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := primary(t, "A")
			s.connects(1, "B")
			spoil(s)
			s.acks(1, 1)
			s.passes(time.Second)
			s.asksNothing()
			require.Equal(t, []UUID{"A"}, s.r.View())
		})
	}
}

// A standby that stands still keeps its connection for a while after it was removed.
// While it does not answer it does not enter again, and holds nothing still.
func TestOneThatStandsStillStaysOut(t *testing.T) {
	s := primary(t, "A")
	s.joins("B")
	s.takes(rec(2, 1, of("A", 1), "A", "B"))
	s.r.NextConfirm(s.now)
	s.passes(500 * ms)
	require.Equal(t, "its answer is overdue", s.asksFor("A").Reason)
	s.takes(rec(3, 1, of("A", 1), "A"))
	s.passes(2 * time.Second)
	s.asksNothing()
	require.Equal(t, []UUID{"A"}, s.r.View())
	s.r.Confirmed(1, 1, s.r.ConfirmNumber(), s.now)
	s.passes(10 * ms)
	s.asksFor("A", "B")
}

func TestNobodyIsAddedBeforeThePrimaryServes(t *testing.T) {
	s := replicaOf(t, of("A", 2), Saved{Accepted: 1, Last: Position{1, 5}, Boundaries: []Boundary{{1, 1}}})
	s.takes(rec(4, 2, of("A", 2), "A", "B"))
	s.writes(1)
	s.connects(2, "C")
	s.acks(2, 6)
	s.passes(100 * ms)
	s.asksNothing()
	require.ElementsMatch(t, []UUID{"A", "B"}, s.r.View())
	s.connects(1, "B")
	s.acks(1, 6)
	s.asksFor("A", "B", "C")
}

func TestOneRequestIsOutstanding(t *testing.T) {
	s := primary(t, "A")
	s.joins("B")
	s.answersFor(1, 90*ms)
	s.asksNothing()
	s.answersFor(1, 20*ms)
	s.asksFor("A", "B") // again, after 100 ms
	// C comes as well: one request for both, on the same version.
	s.connects(2, "C")
	s.acks(2, 1)
	c := s.asksFor("A", "B", "C")
	require.Equal(t, Version(1), c.Version)
	s.takes(rec(2, 1, of("A", 1), "A", "B"))
	require.Equal(t, Version(2), s.asksFor("A", "B", "C").Version)
	s.takes(rec(3, 1, of("A", 1), "A", "B", "C"))
	s.asksNothing()
}

// Holding the commit seq still is bounded until the addition is asked for.
func TestEnteringEndsAfter200Milliseconds(t *testing.T) {
	s := primary(t, "A")
	s.writes(3)
	s.connects(1, "B")
	s.acks(1, 2) // near the tail, and below the commit seq
	s.writes(1)
	s.passes(190 * ms)
	require.Equal(t, []UUID{"A", "B"}, s.r.View())
	require.Equal(t, Seq(4), s.r.Commit())
	s.passes(10 * ms)
	require.Equal(t, []UUID{"A"}, s.r.View())
	require.Equal(t, Seq(5), s.r.Commit(), "the commit seq moves on")
	s.asksNothing()
	s.acks(1, 5)
	s.asksNothing()
	s.passes(980 * ms)
	s.acks(1, 5)
	s.asksNothing()
	s.passes(20 * ms)
	s.asksFor("A", "B")
}

func TestEnteringTimeDoesNotRunOnAfterTheAsking(t *testing.T) {
	s := primary(t, "A")
	s.joins("B")
	s.answersFor(1, time.Minute)
	require.Equal(t, []UUID{"A", "B"}, s.r.View())
	s.appends(1)
	s.syncs()
	require.Equal(t, Seq(1), s.r.Commit())
	s.asksFor("A", "B") // and nothing else all that time
}

func TestBreakBeforeTheAskingLeavesTheView(t *testing.T) {
	for name, cut := range map[string]func(s *scene){
		"the connection closes":   func(s *scene) { s.breaks(1) },
		"another one takes over":  func(s *scene) { s.connects(7, "B") },
		"it says it has trouble ": func(s *scene) { s.r.Trouble(1, 1, "disk_full", s.now); s.then() },
	} {
		t.Run(name, func(t *testing.T) {
			s := primary(t, "A")
			s.writes(3)
			s.connects(1, "B")
			s.acks(1, 2)
			s.writes(1)
			require.Equal(t, []UUID{"A", "B"}, s.r.View())
			require.Equal(t, Seq(4), s.r.Commit())
			cut(s)
			require.Equal(t, []UUID{"A"}, s.r.View())
			require.Equal(t, Seq(5), s.r.Commit(), "nobody is waited for any more")
			s.asksNothing()
		})
	}
}

// After the asking only a record takes it out: the request may yet be carried out.
func TestBreakAfterTheAskingDoesNotLeaveTheView(t *testing.T) {
	s := primary(t, "A")
	s.joins("B")
	s.breaks(1)
	require.Equal(t, "an earlier request is given up", s.asksFor("A").Reason)
	s.writes(1)
	s.passes(time.Minute)
	require.Equal(t, []UUID{"A", "B"}, s.r.View())
	require.Equal(t, Seq(1), s.r.Commit())
	require.Equal(t, Version(1), s.asksFor("A").Version, "given up only on the same version")
	s.takes(rec(2, 1, of("A", 1), "A"))
	require.Equal(t, []UUID{"A"}, s.r.View())
	require.Equal(t, Seq(2), s.r.Commit())
	s.asksNothing()
}

func TestAdditionThatWasGivenUpCommitsAfterAll(t *testing.T) {
	s := primary(t, "A")
	s.joins("B")
	s.breaks(1)
	s.writes(1)
	s.asksFor("A")
	s.takes(rec(2, 1, of("A", 1), "A", "B"))
	require.Equal(t, Seq(1), s.r.Commit())
	s.passes(60 * ms)
	require.Equal(t, Version(2), s.asksFor("A").Version)
	s.takes(rec(3, 1, of("A", 1), "A"))
	require.Equal(t, Seq(2), s.r.Commit())
}
