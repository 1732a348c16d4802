package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCommitIsTheLowestOverTheView(t *testing.T) {
	s := primary(t, "A", "B", "C")
	s.writes(4) // 1.2 to 1.5
	require.Equal(t, Seq(1), s.r.Commit())
	s.acks(1, 5)
	require.Equal(t, Seq(1), s.r.Commit(), "C has not acknowledged")
	s.acks(2, 3)
	require.Equal(t, Seq(3), s.r.Commit())
	s.acks(2, 2) // an acknowledgement does not go back
	require.Equal(t, Seq(3), s.r.Commit())
	s.appends(1)
	s.acks(1, 6)
	s.acks(2, 6)
	require.Equal(t, Seq(5), s.r.Commit(), "the primary's own disk has not answered")
	s.syncs()
	require.Equal(t, Seq(6), s.r.Commit())
	require.Equal(t, 3, s.r.Copies())
}

func TestCommitDoesNotGoBack(t *testing.T) {
	s := primary(t, "A", "B")
	s.writes(4)
	s.acks(1, 5)
	s.connects(7, "B") // a new connection: nothing is acknowledged on it yet
	require.Equal(t, Seq(5), s.r.Commit())
	s.writes(1)
	s.acks(7, 3)
	require.Equal(t, Seq(5), s.r.Commit())
	s.joins("C")
	s.takes(rec(2, 1, of("A", 1), "A", "B", "C"))
	require.Equal(t, Seq(5), s.r.Commit())
	s.acks(7, 6)
	require.Equal(t, Seq(6), s.r.Commit())
}

func TestNothingIsServedBeforeTheEpochStartIsCommitted(t *testing.T) {
	s := replicaOf(t, of("A", 2), Saved{Accepted: 1, Last: Position{1, 5}, Commit: 3, Boundaries: []Boundary{{1, 1}}})
	s.takes(rec(4, 2, of("A", 2), "A", "B"))
	s.appends(1) // the epoch-start, 2.6
	s.connects(1, "B")
	s.acks(1, 5)
	require.False(t, s.r.Serving())
	s.acks(1, 6)
	require.Equal(t, Seq(5), s.r.Commit(), "its own disk has not answered")
	require.False(t, s.r.Serving())
	s.kinds()
	s.syncs()
	require.Equal(t, Seq(6), s.r.Commit())
	require.True(t, s.r.Serving())
	require.Equal(t, []EffectKind{EffectServe}, s.kinds())
	s.writes(1)
	require.Empty(t, s.kinds(), "it is told once")
}

func TestViewHoldsTheRecordsSetBeforeAnyoneIsHeard(t *testing.T) {
	s := replicaOf(t, of("A", 1), Saved{})
	s.takes(rec(1, 1, of("A", 1), "A", "B"))
	s.writes(1)
	require.ElementsMatch(t, []UUID{"A", "B"}, s.r.View())
	require.Zero(t, s.r.Commit())
	s.takes(rec(2, 1, of("A", 1), "A", "B", "C")) // named by a record, never heard of
	require.ElementsMatch(t, []UUID{"A", "B", "C"}, s.r.View())
	s.connects(1, "B")
	s.acks(1, 1)
	require.Zero(t, s.r.Commit())
}

func TestAcknowledgementsThatDoNotCount(t *testing.T) {
	for name, ack := range map[string]func(s *scene){
		"on a connection that was replaced":        func(s *scene) { s.connects(7, "B"); s.acks(1, 2) },
		"on a connection that has closed":          func(s *scene) { s.breaks(1); s.acks(1, 2) },
		"on a connection that never shook hands":   func(s *scene) { s.acks(9, 2) },
		"on no connection":                         func(s *scene) { s.breaks(1); s.acks(0, 2) },
		"of an earlier epoch":                      func(s *scene) { s.r.Acked(1, 0, 2, 0, s.now) },
		"of a later epoch":                         func(s *scene) { s.r.Acked(1, 2, 2, 0, s.now) },
		"what the standby says it has, in a hello": func(s *scene) { s.says(7, Hello{UUID: "B", Epoch: 1, Last: 2, Boundaries: []Boundary{{1, 1}}}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := primary(t, "A", "B")
			s.writes(1)
			ack(s)
			require.Equal(t, Seq(1), s.r.Commit())
		})
	}
	s := primary(t, "A", "B")
	require.Panics(t, func() { s.acks(1, 2) }, "acknowledged what was not written")
}

// A connection that breaks takes nothing back: what was acknowledged on it is on
// that disk, and the records of its last moment are committed by it.
func TestAcknowledgedBeforeABreakStillCounts(t *testing.T) {
	s := primary(t, "A", "B")
	s.appends(1)
	s.acks(1, 2)
	s.breaks(1)
	s.syncs()
	require.Equal(t, Seq(2), s.r.Commit())
}

func TestHelloIsRefused(t *testing.T) {
	reigning := func() *scene {
		s := primary(t, "A", "B")
		out := rec(2, 1, of("A", 1), "A", "B")
		out.Members = []UUID{"A", "B"}
		s.takes(out)
		return s
	}
	following := replicaOf(t, of("A", 1), Saved{})
	following.takes(rec(1, 1, of("B", 1), "A", "B"))
	for _, c := range []struct {
		name string
		s    *scene
		h    Hello
		code RefusalCode
	}{
		{"by a standby", following, Hello{UUID: "C", Epoch: 1}, RefuseNotPrimary},
		{"of a later epoch", reigning(), Hello{UUID: "B", Epoch: 2}, RefuseNotPrimary},
		{"of an earlier epoch", reigning(), Hello{UUID: "B", Epoch: 0}, RefuseStaleVersion},
		{"of the primary itself", reigning(), Hello{UUID: "A", Epoch: 1}, RefuseDuplicateNode},
		{"of no member", reigning(), Hello{UUID: "C", Epoch: 1}, RefuseNotPrimary},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.code, c.s.says(5, c.h).Refused) })
	}
	s := reigning()
	require.Equal(t, HelloAnswer{Epoch: 1, Part: 1}, s.says(5, Hello{UUID: "B", Epoch: 1, Last: 1, Boundaries: []Boundary{{1, 1}}}))
}

func TestNewConnectionReplacesTheOld(t *testing.T) {
	s := primary(t, "A", "B")
	s.connects(7, "B")
	require.Equal(t, []Effect{{Kind: EffectDropPeer, Conn: 1, Peer: "B"}}, s.done)
	s.done = nil
	s.breaks(1) // the old connection's end comes late
	require.Empty(t, s.done)
	s.writes(1)
	s.acks(7, 2)
	require.Equal(t, Seq(2), s.r.Commit())
}

func TestPeersForPeople(t *testing.T) {
	s := primary(t, "A", "B")
	s.writes(1)
	s.now = s.now.Add(30 * time.Millisecond)
	s.connects(2, "C")
	require.Equal(t, []PeerView{
		{UUID: "B", Connected: true, InView: true, Durable: 1, Behind: 30 * time.Millisecond},
		{UUID: "C", Connected: true, Behind: 30 * time.Millisecond},
	}, s.r.Peers(s.now))
}

func TestConfirmRounds(t *testing.T) {
	s := primary(t, "A", "B")
	require.True(t, s.r.ConfirmDue(s.now))
	require.Equal(t, uint64(1), s.r.NextConfirm(s.now))
	require.False(t, s.r.ConfirmDue(s.now.Add(449*time.Millisecond)), "the round is not answered")
	s.r.Confirmed(1, 2, 1, s.now) // of another epoch
	s.r.Confirmed(9, 1, 1, s.now) // of another connection
	require.False(t, s.r.ConfirmDue(s.now.Add(449*time.Millisecond)))
	require.True(t, s.r.ConfirmDue(s.now.Add(450*time.Millisecond)), "others want to be heard")
	s.r.Confirmed(1, 1, 1, s.now)
	require.False(t, s.r.ConfirmDue(s.now.Add(89*time.Millisecond)))
	require.True(t, s.r.ConfirmDue(s.now.Add(90*time.Millisecond)))
	require.Equal(t, uint64(2), s.r.NextConfirm(s.now))
	require.Equal(t, uint64(2), s.r.ConfirmNumber())

	s.takes(rec(2, 2, of("B", 1), "A", "B"))
	require.Zero(t, s.r.ConfirmNumber())
	require.False(t, s.r.ConfirmDue(s.now.Add(time.Hour)))
}

// A reign ends with the first record of a higher epoch: from there on nothing of
// its standbys has an effect.
func TestNothingOfAReignCountsAfterIt(t *testing.T) {
	s := primary(t, "A", "B")
	s.writes(1)
	s.held = true
	s.takes(rec(2, 2, of("B", 1), "A", "B"))
	for range 2 {
		s.r.Acked(1, 1, 2, 0, s.now)
		s.r.Confirmed(1, 1, 1, s.now)
		s.r.Trouble(1, 1, "disk_full", s.now)
		s.r.PeerGone(1, s.now)
		require.Equal(t, RefuseNotPrimary, s.r.Hello(9, Hello{UUID: "B", Epoch: 1}, s.now).Refused)
		s.r.Tick(s.now.Add(time.Minute))
		require.Equal(t, Seq(1), s.r.Commit())
		require.False(t, s.r.Serving())
		s.carryOut()
	}
	require.Equal(t, []EffectKind{EffectEndRole, EffectPersistEpoch, EffectSettle, EffectBeginFollow}, s.kinds())
}
