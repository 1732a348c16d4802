package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRemoval(t *testing.T) {
	t.Run("an acknowledgement is awaited for 500 ms", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.passes(10 * time.Second) // idle: nothing is awaited
		s.asksNothing()
		s.writes(1)
		s.removedAfter(500*ms, "its answer is overdue", "A")
		require.Equal(t, Seq(1), s.r.Commit(), "it goes on alone only when the record says so")
		s.takes(rec(2, 1, of("A", 1), "A"))
		require.Equal(t, Seq(2), s.r.Commit())
	})
	t.Run("a later acknowledgement is awaited from its own append on", func(t *testing.T) {
		s := primary(t, "A", "B")
		for range 40 {
			s.writes(1)
			s.passes(20 * ms)
			s.acks(1, s.r.Last().Seq)
		}
		s.asksNothing()
	})
	t.Run("a confirm is awaited for 500 ms", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.r.NextConfirm(s.now)
		s.removedAfter(500*ms, "its answer is overdue", "A")
	})
	t.Run("a confirm that was answered is not awaited", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.r.NextConfirm(s.now)
		s.r.Confirmed(1, 1, 1, s.now)
		s.passes(2 * time.Second)
		s.asksNothing()
	})
	t.Run("acknowledgements do not answer for confirms", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.r.NextConfirm(s.now)
		s.writes(1)
		s.acks(1, 2)
		s.removedAfter(500*ms, "its answer is overdue", "A")
	})
	t.Run("confirms do not answer for acknowledgements", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.writes(1)
		s.r.NextConfirm(s.now)
		s.r.Confirmed(1, 1, 1, s.now)
		s.removedAfter(500*ms, "its answer is overdue", "A")
	})
	t.Run("closed for 50 ms", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.passes(time.Second)
		s.breaks(1)
		s.removedAfter(50*ms, "its connection closed and did not return", "A")
	})
	t.Run("closed, and back within 50 ms", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.breaks(1)
		s.passes(40 * ms)
		s.connects(7, "B")
		s.passes(time.Second)
		s.asksNothing()
	})
	t.Run("more than 1 s of waiting in 10 s", func(t *testing.T) {
		s := primary(t, "A", "B")
		slow := func() {
			s.writes(1)
			s.passes(260 * ms) // of which 210 count: the first 50 are usual
			s.acks(1, s.r.Last().Seq)
		}
		for range 4 {
			slow()
			s.passes(500 * ms)
		}
		s.asksNothing()
		slow()
		s.passes(10 * ms)
		require.Equal(t, "it was waited for too long", s.asksFor("A").Reason)
	})
	t.Run("1 s of waiting in more than 10 s", func(t *testing.T) {
		s := primary(t, "A", "B")
		for range 20 {
			s.writes(1)
			s.passes(250 * ms)
			s.acks(1, s.r.Last().Seq)
			s.passes(3 * time.Second)
		}
		s.asksNothing()
	})
	t.Run("trouble", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.r.Trouble(1, 0, "disk_full", s.now)
		s.r.Trouble(9, 1, "disk_full", s.now)
		require.False(t, s.r.Pending())
		s.r.Trouble(1, 1, "disk_full", s.now)
		s.then()
		require.Equal(t, "disk_full", s.asksFor("A").Reason)
	})
	t.Run("leaving", func(t *testing.T) {
		s := primary(t, "A", "B")
		r := rec(2, 1, of("A", 1), "A", "B")
		r.Leaving = []UUID{"B"}
		s.takes(r)
		require.Equal(t, "it is leaving", s.asksFor("A").Reason)
	})
	t.Run("no member", func(t *testing.T) {
		s := primary(t, "A", "B")
		r := rec(2, 1, of("A", 1), "A", "B")
		r.Members = []UUID{"A", "C"}
		s.takes(r)
		require.Equal(t, "it is no member any more", s.asksFor("A").Reason)
	})
	t.Run("a down mark says nothing of who has been here since", func(t *testing.T) {
		s := primary(t, "A", "B")
		r := rec(2, 1, of("A", 1), "A", "B")
		r.Down = []UUID{"B"}
		s.takes(r)
		s.asksNothing()
	})
}

// A takeover that nobody interrupts: who is down by the record goes at once, who
// was never heard of after 500 ms, and then the new primary serves.
func TestNewPrimaryRemovesWhoDoesNotCome(t *testing.T) {
	r := rec(4, 2, of("B", 1), "A", "B", "C")
	r.Down = []UUID{"A"}
	s := replicaOf(t, of("B", 1), Saved{Accepted: 1, Last: Position{1, 5}, Boundaries: []Boundary{{1, 1}}})
	s.takes(r)
	require.Equal(t, "the monitor holds it for down", s.asksFor("B", "C").Reason)
	s.takes(rec(5, 2, of("B", 1), "B", "C"))
	s.writes(1)
	s.removedAfter(500*ms, "its answer is overdue", "B")
	require.False(t, s.r.Serving())
	s.takes(rec(6, 2, of("B", 1), "B"))
	require.True(t, s.r.Serving())
}

func TestBackOff(t *testing.T) {
	s := primary(t, "A", "B")
	v := Version(1)
	record := func(set ...UUID) {
		v++
		s.takes(rec(v, 1, of("A", 1), set...))
	}
	remove := func() {
		s.breaks(1)
		s.passes(50 * ms)
		s.asksFor("A")
		record("A")
	}
	returnsAfter := func(want time.Duration) {
		t.Helper()
		s.connects(1, "B")
		s.answersFor(1, want-60*ms)
		s.asksNothing()
		s.answersFor(1, 100*ms)
		s.asksFor("A", "B")
		record("A", "B")
		s.done = nil
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		remove()
		returnsAfter(want * time.Second)
	}
	s.answersFor(1, 5*time.Minute-time.Second)
	remove()
	returnsAfter(time.Minute)
	s.answersFor(1, 5*time.Minute)
	remove()
	returnsAfter(time.Second)
}

// A process that slept finds everything overdue. What it waited for may be here
// unread, so it begins to wait anew.
func TestSleptProcessCondemnsNobody(t *testing.T) {
	s := primary(t, "A", "B", "C")
	s.passes(100 * ms)
	s.writes(1)
	s.r.NextConfirm(s.now)
	s.breaks(2)
	s.jumps(time.Minute)
	s.asksNothing()
	s.passes(40 * ms)
	s.asksNothing()
	s.passes(20 * ms)
	s.asksFor("A", "B") // C had 50 ms to return
	s.takes(rec(2, 1, of("A", 1), "A", "B"))
	s.passes(420 * ms)
	s.asksNothing()
	s.passes(30 * ms)
	s.asksFor("A")
}

// What comes first after a sleep is judged by no older moment than a tick would be.
func TestSleptProcessCondemnsNobodyBeforeItsFirstTick(t *testing.T) {
	for name, first := range map[string]func(s *scene){
		"a connection closes":   func(s *scene) { s.breaks(2) },
		"a standby has trouble": func(s *scene) { s.r.Trouble(2, 1, "disk_full", s.now); s.then() },
		"a record comes":        func(s *scene) { s.takes(rec(2, 1, of("A", 1), "A", "B", "C")) },
		"a spare's word comes":  func(s *scene) { s.acks(3, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := primary(t, "A", "B", "C")
			s.r.record.Members = []UUID{"A", "B", "C", "D"}
			s.connects(3, "D")
			s.passes(100 * ms)
			s.writes(1)
			s.r.NextConfirm(s.now)
			s.done = nil
			s.now = s.now.Add(time.Minute)
			first(s)
			for _, c := range s.asked() {
				require.Contains(t, c.InSync, UUID("B"), c.Reason)
			}
			s.passes(430 * ms)
			for _, c := range s.asked() {
				require.Contains(t, c.InSync, UUID("B"), c.Reason)
			}
			s.passes(100 * ms)
			last := s.asked()
			require.NotEmpty(t, last)
			require.NotContains(t, last[len(last)-1].InSync, UUID("B"), "it is awaited from the waking on")
		})
	}
}

func TestAppendTimesAreBounded(t *testing.T) {
	var a appendTimes
	for seq := Seq(1); seq <= 3*maxAppendTimes; seq++ {
		a.add(seq, wall.Add(time.Duration(seq)))
	}
	require.Len(t, a.entries, maxAppendTimes)
	at, ok := a.oldestAfter(3*maxAppendTimes - 1)
	require.True(t, ok)
	require.False(t, at.After(wall.Add(time.Duration(3*maxAppendTimes))), "a record may look older, never younger")
	a.forget(3 * maxAppendTimes)
	require.Empty(t, a.entries)
	_, ok = a.oldestAfter(0)
	require.False(t, ok)
}
