package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seals asks for a seal that must be taken.
func (s *scene) seals(to UUID) {
	s.t.Helper()
	require.Nil(s.t, s.r.Seal(s.r.Accepted(), to, s.now))
	s.then()
}

// effects returns what was done of one kind since the last look.
func (s *scene) effects(kind EffectKind) []Effect {
	var out []Effect
	for _, e := range s.done {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	s.done = nil
	return out
}

func TestSealTellsOnceThatEverythingIsCommitted(t *testing.T) {
	s := primary(t, "A", "B", "C")
	s.appends(2)
	s.seals("B")
	require.True(t, s.r.Sealed())
	require.Equal(t, StateDraining, s.r.State())
	require.True(t, s.r.Serving(), "what was judged before goes on")
	s.syncs()
	s.acks(1, 3)
	require.Empty(t, s.effects(EffectSealed), "C has not acknowledged")
	s.acks(2, 3)
	require.Equal(t, []Effect{{Kind: EffectSealed, Epoch: 1, Peer: "B", Position: Position{1, 3}}}, s.effects(EffectSealed))
	s.passes(time.Second)
	require.Empty(t, s.effects(EffectSealed))
}

func TestSealOfAnIdlePrimaryIsToldAtOnce(t *testing.T) {
	s := primary(t, "A", "B")
	s.seals("B")
	require.Equal(t, Position{1, 1}, s.effects(EffectSealed)[0].Position)
	s.passes(1500 * ms)
	s.seals("B")
	require.Len(t, s.effects(EffectSealed), 1, "whoever asks again is told again")
	s.passes(500 * ms)
	require.False(t, s.r.Sealed(), "and it is not longer for that")
}

func TestSealRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  RefusalCode
		to    UUID
		epoch Epoch
		at    func(t *testing.T) *scene
	}{
		{"a standby", RefuseNotPrimary, "A", 2, standby},
		{"one that does not serve yet", RefuseNotPrimary, "B", 1, func(t *testing.T) *scene {
			t.Helper()
			s := replicaOf(t, of("A", 1), Saved{})
			s.takes(rec(1, 1, of("A", 1), "A", "B"))
			return s
		}},
		{"for another epoch", RefuseNotPrimary, "B", 2, func(t *testing.T) *scene { t.Helper(); return primary(t, "A", "B") }},
		{"to itself", RefuseBadRequest, "A", 1, func(t *testing.T) *scene { t.Helper(); return primary(t, "A", "B") }},
		{"to who is not in sync", RefuseWouldLoseData, "C", 1, func(t *testing.T) *scene { t.Helper(); return primary(t, "A", "B") }},
		{"to who is not connected", RefuseStaleVersion, "B", 1, func(t *testing.T) *scene {
			t.Helper()
			s := primary(t, "A", "B")
			s.breaks(1)
			return s
		}},
		{"to who has trouble", RefuseStaleVersion, "B", 1, func(t *testing.T) *scene {
			t.Helper()
			s := primary(t, "A", "B")
			s.r.Trouble(1, 1, "disk_full", s.now)
			return s
		}},
		{"to who is leaving", RefuseStaleVersion, "B", 1, func(t *testing.T) *scene {
			t.Helper()
			s := primary(t, "A", "B")
			r := rec(2, 1, of("A", 1), "A", "B")
			r.Leaving = []UUID{"B"}
			s.takes(r)
			return s
		}},
		{"to who is held out", RefuseStaleVersion, "B", 1, func(t *testing.T) *scene {
			t.Helper()
			s := primary(t, "A", "B")
			r := rec(2, 1, of("A", 1), "A", "B")
			r.HeldOut = []UUID{"B"}
			s.takes(r)
			return s
		}},
		{"while sealed for another", RefuseStaleVersion, "C", 1, func(t *testing.T) *scene {
			t.Helper()
			s := primary(t, "A", "B", "C")
			s.seals("B")
			return s
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.at(t)
			sealed := s.r.Sealed()
			no := s.r.Seal(c.epoch, c.to, s.now)
			require.NotNil(t, no)
			require.Equal(t, c.code, no.Code)
			require.NotEmpty(t, no.Detail)
			require.Equal(t, sealed, s.r.Sealed())
		})
	}
}

func TestSealReopens(t *testing.T) {
	t.Run("after two seconds", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.seals("B")
		s.passes(1990 * ms)
		require.True(t, s.r.Sealed())
		s.done = nil
		s.passes(10 * ms)
		require.False(t, s.r.Sealed())
		require.Equal(t, []EffectKind{EffectReopen}, s.kinds())
		require.Equal(t, StatePrimary, s.r.State())
	})
	t.Run("after a long sleep", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.seals("B")
		s.jumps(time.Minute)
		require.Len(t, s.effects(EffectReopen), 1)
	})
	t.Run("on a later record of its epoch", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.seals("B")
		s.takes(rec(2, 1, of("A", 1), "A", "B"))
		require.False(t, s.r.Sealed())
		require.Len(t, s.effects(EffectReopen), 1)
		s.passes(3 * time.Second)
		require.Empty(t, s.effects(EffectReopen), "once")
	})
	t.Run("and says so in the log", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.seals("B")
		s.passes(2 * time.Second)
		var told []string
		for _, e := range s.effects(EffectLog) {
			told = append(told, e.Text)
		}
		require.Equal(t, []string{"sealed for a switchover", "reopened: nobody took over within 2s"}, told)
	})
	t.Run("not when it is deposed", func(t *testing.T) {
		s := primary(t, "A", "B")
		s.seals("B")
		s.done = nil
		s.takes(rec(2, 2, of("B", 1), "A", "B"))
		require.False(t, s.r.Sealed())
		require.NotContains(t, s.kinds(), EffectReopen)
		s.passes(3 * time.Second)
		require.NotContains(t, s.kinds(), EffectReopen)
	})
}

// Whoever is added changes the record, which would end the seal.
func TestNobodyEntersASealedPrimary(t *testing.T) {
	s := primary(t, "A", "B")
	s.seals("B")
	s.connects(2, "C")
	s.acks(2, 1)
	s.answersFor(1, time.Second)
	s.asksNothing()
	s.passes(time.Second)
	s.acks(2, 1)
	s.asksFor("A", "B", "C")
}

func TestSealedPrimaryRemovesWhoDoesNotAnswer(t *testing.T) {
	s := primary(t, "A", "B", "C")
	s.appends(1)
	s.seals("B")
	s.syncs()
	s.acks(1, 2)
	s.breaks(2)
	s.passes(60 * ms)
	s.asksFor("A", "B")
}

func TestMayExit(t *testing.T) {
	s := replicaOf(t, of("A", 1), Saved{})
	require.True(t, s.r.MayExit(), "it never joined")
	s = primary(t, "A", "B")
	require.False(t, s.r.MayExit())
	s.takes(rec(2, 2, of("B", 1), "A", "B"))
	require.False(t, s.r.MayExit(), "its primary waits for its acknowledgements")
	s.takes(rec(3, 2, of("B", 1), "B"))
	require.True(t, s.r.MayExit())
	require.True(t, primary(t, "A").r.MayExit(), "there is nobody to hand over to")
}
