package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecordIsTakenOnlyForward(t *testing.T) {
	s := replicaOf(t, of("B", 1), Saved{Accepted: 3})
	s.ignores(rec(9, 2, of("A", 1), "A", "B")) // below the accepted epoch, whatever its version
	s.takes(rec(5, 3, of("A", 1), "A", "B"))
	for name, r := range map[string]GroupRecord{
		"the same again":                    rec(5, 3, of("A", 1), "A", "B"),
		"an older version":                  rec(4, 3, of("A", 1), "A"),
		"an older version, a higher epoch":  rec(4, 4, of("B", 1), "A", "B"),
		"a higher version, an older epoch":  rec(6, 2, of("B", 1), "A", "B"),
		"another group":                     {Group: 1, Version: 9, Epoch: 9, Primary: of("B", 1)},
		"nothing, from an unborn registry ": {},
	} {
		t.Run(name, func(t *testing.T) { s.ignores(r) })
	}
	s.takes(rec(6, 3, of("A", 1), "A"))
	require.Equal(t, Version(6), s.r.GroupRecord().Version)
}

func TestRoleOfARecord(t *testing.T) {
	for _, c := range []struct {
		name string
		rec  GroupRecord
		role Role
	}{
		{"primary of this boot", rec(1, 1, of("B", 2), "B"), RolePrimary},
		{"primary of an earlier boot", rec(1, 1, of("B", 1), "B"), RoleNone},
		{"standby in sync", rec(1, 1, of("A", 1), "A", "B"), RoleStandby},
		{"member", rec(1, 1, of("A", 1), "A"), RoleStandby},
		{"in sync, no member any more", GroupRecord{Version: 1, Epoch: 1, Primary: of("A", 1), InSync: []UUID{"A", "B"}, Members: []UUID{"A"}}, RoleStandby},
		{"no member", GroupRecord{Version: 1, Epoch: 1, Primary: of("A", 1), InSync: []UUID{"A"}, Members: []UUID{"A"}}, RoleNone},
		{"unborn group", rec(1, 0, ReplicaBoot{}), RoleNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := replicaOf(t, of("B", 2), Saved{})
			require.Equal(t, RoleNone, s.r.Role())
			s.takes(c.rec)
			require.Equal(t, c.role, s.r.Role())
			require.Equal(t, c.rec.Epoch, s.r.Accepted())
		})
	}
}

func TestRoleEndsThenEpochIsPersistedThenRoleBegins(t *testing.T) {
	s := replicaOf(t, of("B", 1), Saved{})
	s.takes(rec(1, 1, of("A", 1), "A", "B"))
	require.Equal(t, []EffectKind{EffectEndRole, EffectPersistEpoch, EffectSettle, EffectBeginFollow}, s.kinds())
	s.takes(rec(2, 2, of("B", 1), "A", "B"))
	require.Equal(t, []EffectKind{EffectEndRole, EffectPersistEpoch, EffectSettle, EffectBeginReign}, s.kinds())
	s.writes(1)
	s.takes(rec(3, 2, of("B", 1), "B")) // the same reign goes on
	require.Equal(t, []EffectKind{EffectServe}, s.kinds())
	s.takes(rec(4, 3, of("A", 1), "B"))
	require.Equal(t, []EffectKind{EffectEndRole, EffectPersistEpoch, EffectSettle, EffectBeginFollow}, s.kinds())
}

func TestStreamGoesOnOverARecordOfTheSamePrimary(t *testing.T) {
	s := replicaOf(t, of("B", 1), Saved{})
	s.takes(rec(1, 1, of("A", 1), "A", "B"))
	s.kinds()
	s.takes(rec(2, 1, of("A", 1), "A"))
	require.Empty(t, s.kinds())
	out := rec(3, 1, of("A", 1), "A")
	out.Members = []UUID{"A", "C"}
	s.takes(out)
	require.Equal(t, []EffectKind{EffectEndRole, EffectSettle}, s.kinds())
	require.Equal(t, StateSpare, s.r.State())
}

// While the epoch is being persisted a newer record arrives. The first order is
// not carried out any more.
func TestRecordDuringAChange(t *testing.T) {
	s := replicaOf(t, of("B", 1), Saved{})
	s.held = true
	s.takes(rec(1, 1, of("B", 1), "A", "B"))
	s.takes(rec(2, 2, of("A", 1), "A", "B"))
	require.Equal(t, RoleNone, s.r.Role())
	require.Zero(t, s.r.Accepted(), "nothing is accepted before it is on disk")
	s.carryOut()
	require.Equal(t, []EffectKind{EffectEndRole, EffectPersistEpoch, EffectSettle, EffectPersistEpoch, EffectSettle, EffectBeginFollow}, s.kinds())
	require.Equal(t, Epoch(2), s.r.Accepted())
	require.Equal(t, RoleStandby, s.r.Role())
}

func TestSettledAsserts(t *testing.T) {
	changing := func() *scene {
		s := replicaOf(t, of("B", 1), Saved{Accepted: 1})
		s.held = true
		s.takes(rec(2, 2, of("A", 1), "A", "B"))
		return s
	}
	require.Panics(t, func() { replicaOf(t, of("B", 1), Saved{}).r.Settled(1, wall) }, "outside of a change")
	require.Panics(t, func() { changing().r.Settled(0, wall) }, "the epoch goes back")
	require.Panics(t, func() {
		s := changing()
		s.r.Appended(Position{1, 1}, wall)
		s.r.Settled(2, wall)
	}, "an unsynced tail")
}

// A journal that holds the epoch's start has had its reign, whoever wrote it.
func TestNoSecondReignOfAnEpoch(t *testing.T) {
	s := replicaOf(t, of("A", 1), Saved{Accepted: 1, Last: Position{1, 4}, Boundaries: []Boundary{{1, 1}}})
	s.takes(rec(3, 1, of("A", 1), "A"))
	require.Equal(t, RoleNone, s.r.Role())
	s.takes(rec(4, 2, of("A", 1), "A"))
	require.Equal(t, RolePrimary, s.r.Role())
}

func TestStates(t *testing.T) {
	s := replicaOf(t, of("A", 1), Saved{})
	require.Equal(t, StateStarting, s.r.State())
	alone := rec(1, 1, of("B", 1), "B")
	alone.Members = []UUID{"B"}
	s.takes(alone)
	require.Equal(t, StateSpare, s.r.State())
	s.takes(rec(2, 1, of("B", 1), "B"))
	require.Equal(t, StateCatchingUp, s.r.State())
	s.takes(rec(3, 1, of("B", 1), "A", "B"))
	require.Equal(t, StateStandby, s.r.State())
	s.takes(rec(4, 2, of("A", 1), "A", "B"))
	require.Equal(t, StateStarting, s.r.State(), "no start committed")
	s.writes(1)
	s.connects(1, "B")
	s.acks(1, 1)
	require.Equal(t, StatePrimary, s.r.State())
	s.takes(rec(5, 2, of("A", 1), "A"))
	require.Equal(t, StatePrimaryAlone, s.r.State())
	s.takes(rec(6, 3, of("B", 1), "A", "B"))
	require.Equal(t, StateFenced, s.r.State(), "deposed, and follows nobody yet")
	_, err := s.r.Dialled(7)
	require.NoError(t, err)
	require.NoError(t, s.r.Welcomed(7, 3, 1))
	require.Equal(t, StateStandby, s.r.State(), "it follows the new primary")

	s = replicaOf(t, of("A", 2), Saved{Accepted: 1})
	s.takes(rec(2, 1, of("A", 1), "A"))
	require.Equal(t, StateStarting, s.r.State(), "the record names an earlier boot of it")
}

func TestAppendedAsserts(t *testing.T) {
	saved := Saved{Accepted: 2, Last: Position{2, 5}, Boundaries: []Boundary{{1, 1}, {2, 4}}}
	for name, p := range map[string]Position{"a gap": {2, 7}, "a repetition": {2, 5}, "an epoch back": {1, 6}} {
		require.Panics(t, func() { replicaOf(t, of("A", 1), saved).r.Appended(p, wall) }, name)
	}
	require.Panics(t, func() { replicaOf(t, of("A", 1), saved).r.Synced(6, wall) }, "synced what was not appended")
}

func TestAppendedToIsAppendedOneByOne(t *testing.T) {
	saved := Saved{Last: Position{1, 5}, Boundaries: []Boundary{{1, 1}}}
	for _, end := range []Position{{1, 6}, {1, 9}, {2, 6}, {2, 9}} {
		a, b := replicaOf(t, of("A", 1), saved), replicaOf(t, of("A", 1), saved)
		a.r.AppendedTo(end, wall)
		for seq := Seq(6); seq <= end.Seq; seq++ {
			b.r.Appended(Position{end.Epoch, seq}, wall)
		}
		require.Equal(t, b.r.Last(), a.r.Last())
		require.Equal(t, b.r.Boundaries(), a.r.Boundaries())
		require.Equal(t, Seq(5), a.r.Durable())
		require.Equal(t, end.Epoch, EpochAt(a.r.Boundaries(), end.Seq))
	}
}

func TestPart(t *testing.T) {
	type history []Boundary
	for _, c := range []struct {
		name  string
		a     history
		aLast Seq
		b     history
		bLast Seq
		part  Seq
	}{
		{"both empty", nil, 0, nil, 0, 0},
		{"one empty", history{{1, 1}}, 9, nil, 0, 0},
		{"equal", history{{1, 1}}, 9, history{{1, 1}}, 9, 9},
		{"one is shorter", history{{1, 1}}, 9, history{{1, 1}}, 4, 4},
		{"one went on in another epoch", history{{1, 1}, {2, 5}}, 9, history{{1, 1}}, 4, 4},
		{"both went on from 4", history{{1, 1}, {3, 5}}, 9, history{{1, 1}, {2, 5}}, 7, 4},
		{"one kept more of epoch 1", history{{1, 1}, {2, 5}}, 9, history{{1, 1}}, 8, 4},
		{"the same epochs", history{{1, 1}, {2, 5}, {3, 7}}, 9, history{{1, 1}, {2, 5}, {3, 7}}, 8, 8},
		{"an epoch that one has not", history{{1, 1}, {2, 5}, {4, 9}}, 12, history{{1, 1}, {2, 5}, {3, 8}}, 20, 7},
		{"nothing in common", history{{2, 1}}, 5, history{{1, 1}}, 5, 0},
		{"a boundary beyond the end", history{{1, 1}, {2, 5}}, 9, history{{1, 1}, {2, 5}}, 4, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.part, Part(c.a, c.aLast, c.b, c.bLast))
			require.Equal(t, c.part, Part(c.b, c.bLast, c.a, c.aLast))
		})
	}
}

func TestSavedStateIsTheStart(t *testing.T) {
	s := replicaOf(t, of("A", 1), Saved{Accepted: 3, Last: Position{2, 7}, Commit: 5, Boundaries: []Boundary{{1, 1}, {2, 6}}})
	require.Equal(t, Seq(5), s.r.Commit())
	require.Equal(t, Seq(7), s.r.Durable())
	require.Equal(t, Epoch(3), s.r.Accepted())
	require.False(t, s.r.Serving())
	require.Zero(t, s.r.Copies())
	require.Nil(t, s.r.View())
	require.Nil(t, s.r.Peers(wall))
	s.r.Tick(wall.Add(time.Hour))
	require.False(t, s.r.Pending())
}
