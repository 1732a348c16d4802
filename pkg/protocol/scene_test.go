package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scene is one replica and its shell: effects are done at once and in order, and
// kept for a look.
type scene struct {
	t        *testing.T
	r        *Replica
	now      time.Time
	accepted Epoch // on disk
	done     []Effect
	held     bool // effects wait for carryOut
}

// replicaOf starts a replica on what its disk holds.
func replicaOf(t *testing.T, me ReplicaBoot, s Saved) *scene {
	return &scene{t: t, r: NewReplica(DefaultReplicaConfig(), 0, me, s), now: wall, accepted: s.Accepted}
}

// rec makes a record of group 0 with the members A, B and C.
func rec(v Version, e Epoch, primary ReplicaBoot, inSync ...UUID) GroupRecord {
	return GroupRecord{Version: v, Epoch: e, Primary: primary, InSync: inSync, Members: []UUID{"A", "B", "C"}}
}

// primary returns A, the primary of epoch 1 on v1, with its epoch-start at 1.1
// committed, and whoever else is in sync connected: B on connection 1, C on 2.
func primary(t *testing.T, inSync ...UUID) *scene {
	t.Helper()
	s := replicaOf(t, of("A", 1), Saved{})
	s.takes(rec(1, 1, of("A", 1), inSync...))
	s.writes(1)
	for _, u := range inSync[1:] {
		s.connects(connOf(u), u)
		s.acks(connOf(u), 1)
	}
	require.True(t, s.r.Serving())
	s.done = nil
	return s
}

func connOf(u UUID) ConnID { return ConnID(u[0] - 'A') }

// carryOut does what the core asks for, until nothing is left.
func (s *scene) carryOut() {
	s.t.Helper()
	for s.r.Pending() {
		for _, e := range slices.Clone(s.r.Effects()) {
			s.done = append(s.done, e)
			switch e.Kind {
			case EffectPersistEpoch:
				s.accepted = e.Epoch
			case EffectSettle:
				s.r.Settled(s.accepted, s.now)
			case EffectEndRole, EffectBeginReign, EffectBeginFollow, EffectServe, EffectPropose, EffectDropPeer, EffectLog, EffectSealed, EffectReopen:
			}
		}
	}
}

func (s *scene) then() {
	s.t.Helper()
	if !s.held {
		s.carryOut()
	}
}

func (s *scene) takes(rec GroupRecord) {
	s.t.Helper()
	require.True(s.t, s.r.Record(rec, s.now), "v%d of epoch %d is not taken", rec.Version, rec.Epoch)
	s.then()
}

func (s *scene) ignores(rec GroupRecord) {
	s.t.Helper()
	before := s.r.GroupRecord()
	require.False(s.t, s.r.Record(rec, s.now), "v%d of epoch %d is taken", rec.Version, rec.Epoch)
	require.Equal(s.t, before, s.r.GroupRecord())
	require.False(s.t, s.r.Pending())
}

// appends writes n records of the accepted epoch that are not synced yet.
func (s *scene) appends(n int) {
	s.t.Helper()
	for range n {
		s.r.Appended(Position{s.r.Accepted(), s.r.Last().Seq + 1}, s.now)
	}
	s.then()
}

func (s *scene) syncs() {
	s.t.Helper()
	s.r.Synced(s.r.Last().Seq, s.now)
	s.then()
}

func (s *scene) writes(n int) {
	s.t.Helper()
	s.appends(n)
	s.syncs()
}

// connects has an empty standby shake hands.
func (s *scene) connects(c ConnID, u UUID) {
	s.t.Helper()
	require.Empty(s.t, s.says(c, Hello{UUID: u, Boot: boot(1), Epoch: s.r.Accepted()}).Refused)
}

func (s *scene) says(c ConnID, h Hello) HelloAnswer {
	s.t.Helper()
	a := s.r.Hello(c, h, s.now)
	s.then()
	return a
}

func (s *scene) acks(c ConnID, seq Seq) {
	s.t.Helper()
	s.r.Acked(c, s.r.Accepted(), seq, 0, s.now)
	s.then()
}

func (s *scene) breaks(c ConnID) {
	s.t.Helper()
	s.r.PeerGone(c, s.now)
	s.then()
}

// passes lets time go by in ticks, as the shell does.
func (s *scene) passes(d time.Duration) {
	s.t.Helper()
	for range d / (10 * time.Millisecond) {
		s.now = s.now.Add(10 * time.Millisecond)
		s.r.Tick(s.now)
		s.then()
	}
}

// jumps lets time go by at once, as for a process that sleeps.
func (s *scene) jumps(d time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(d)
	s.r.Tick(s.now)
	s.then()
}

// asked returns what was asked of the registry since the last look.
func (s *scene) asked() []ChangeInSync {
	var out []ChangeInSync
	for _, e := range s.done {
		if e.Kind == EffectPropose {
			out = append(out, e.Change)
		}
	}
	s.done = nil
	return out
}

// asksFor requires one kind of request since the last look, and returns the last.
func (s *scene) asksFor(set ...UUID) ChangeInSync {
	s.t.Helper()
	asked := s.asked()
	require.NotEmpty(s.t, asked, "nothing is asked for")
	for _, c := range asked {
		require.ElementsMatch(s.t, set, c.InSync)
	}
	return asked[len(asked)-1]
}

func (s *scene) asksNothing() {
	s.t.Helper()
	require.Empty(s.t, s.asked())
}

// removed requires that the set without u is asked for exactly when wait has
// passed, and why.
func (s *scene) removedAfter(wait time.Duration, why string, left ...UUID) {
	s.t.Helper()
	s.passes(wait - 10*time.Millisecond)
	s.asksNothing()
	s.passes(20 * time.Millisecond)
	require.Equal(s.t, why, s.asksFor(left...).Reason)
}

// kinds returns what was done since the last look, without the log.
func (s *scene) kinds() []EffectKind {
	var out []EffectKind
	for _, e := range s.done {
		if e.Kind != EffectLog {
			out = append(out, e.Kind)
		}
	}
	s.done = nil
	return out
}

// joins has a standby outside the set connect and catch up; it is asked for.
func (s *scene) joins(u UUID) ChangeInSync {
	s.t.Helper()
	s.connects(connOf(u), u)
	s.acks(connOf(u), s.r.Last().Seq)
	return s.asksFor(append(slices.Clone(s.r.GroupRecord().InSync), u)...)
}
