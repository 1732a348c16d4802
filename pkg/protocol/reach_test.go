package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the monitor can assign, a replica gets there from wherever it is, also
// when the record finds it in the middle of another change.
func TestEveryAssignedRoleIsReachedFromEveryOther(t *testing.T) {
	type place struct {
		name string
		at   func(t *testing.T) *scene // replica A on version 10, epoch 3
	}
	settled := func(primary ReplicaBoot, inSync ...UUID) func(*testing.T) *scene {
		return func(t *testing.T) *scene {
			t.Helper()
			s := replicaOf(t, of("A", 1), Saved{Accepted: 2, Last: Position{2, 5}, Commit: 5, Boundaries: []Boundary{{1, 1}, {2, 4}}})
			s.takes(rec(10, 3, primary, inSync...))
			return s
		}
	}
	places := []place{
		{"just started", func(t *testing.T) *scene {
			t.Helper()
			return replicaOf(t, of("A", 1), Saved{Accepted: 3, Last: Position{2, 5}, Commit: 5, Boundaries: []Boundary{{1, 1}, {2, 4}}})
		}},
		{"serving primary", func(t *testing.T) *scene {
			t.Helper()
			s := settled(of("A", 1), "A")(t)
			s.writes(1)
			require.True(t, s.r.Serving())
			return s
		}},
		{"sealed primary", func(t *testing.T) *scene {
			t.Helper()
			s := settled(of("A", 1), "A", "B")(t)
			s.writes(1)
			s.connects(1, "B")
			s.acks(1, s.r.Last().Seq)
			s.seals("B")
			return s
		}},
		{"standby in maintenance", func(t *testing.T) *scene {
			t.Helper()
			s := settled(of("B", 1), "B")(t)
			r := rec(11, 3, of("B", 1), "B")
			r.HeldOut = []UUID{"A"}
			s.takes(r)
			return s
		}},
		{"primary that does not serve yet", settled(of("A", 1), "A", "B")},
		{"standby in sync", settled(of("B", 1), "A", "B")},
		{"standby that catches up", settled(of("B", 1), "B")},
		{"waiting for its own next epoch", settled(of("A", 0), "A")},
		{"spare", func(t *testing.T) *scene {
			t.Helper()
			s := settled(of("B", 1), "B")(t)
			r := rec(11, 3, of("B", 1), "B")
			r.Members = []UUID{"B", "C"}
			s.takes(r)
			return s
		}},
		{"in the middle of a change", func(t *testing.T) *scene {
			t.Helper()
			s := settled(of("B", 1), "A", "B")(t)
			s.held = true
			s.takes(rec(12, 3, of("A", 1), "A", "B"))
			s.held = false
			return s
		}},
	}
	assigned := []struct {
		name  string
		rec   func() GroupRecord
		role  Role
		state State
	}{
		{"primary", func() GroupRecord { return rec(20, 4, of("A", 1), "A", "B") }, RolePrimary, StateStarting},
		{"primary alone", func() GroupRecord { return rec(20, 4, of("A", 1), "A") }, RolePrimary, StateStarting},
		{"standby", func() GroupRecord { return rec(20, 4, of("C", 1), "A", "C") }, RoleStandby, StateStandby},
		{"catching-up", func() GroupRecord { return rec(20, 4, of("C", 1), "C") }, RoleStandby, StateCatchingUp},
		{"out of the group", func() GroupRecord {
			r := rec(20, 4, of("C", 1), "C")
			r.Members = []UUID{"B", "C"}
			return r
		}, RoleNone, StateSpare},
		{"maintenance", func() GroupRecord {
			r := rec(20, 4, of("C", 1), "C")
			r.HeldOut = []UUID{"A"}
			return r
		}, RoleStandby, StateMaintenance},
		{"its own older boot", func() GroupRecord { return rec(20, 4, of("A", 0), "A") }, RoleNone, StateStarting},
	}
	for _, from := range places {
		for _, to := range assigned {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				s := from.at(t)
				s.takes(to.rec())
				require.Equal(t, to.role, s.r.Role())
				require.Equal(t, Epoch(4), s.r.Accepted(), "the epoch was persisted")
				require.Equal(t, Epoch(4), s.accepted)
				if s.r.State() == StateFenced {
					// A former primary says so until its new primary has welcomed it.
					require.NotEqual(t, RolePrimary, to.role)
					return
				}
				require.Equal(t, to.state, s.r.State())
				if to.role == RolePrimary {
					s.writes(1) // its epoch-start
					require.Equal(t, len(to.rec().InSync) == 1, s.r.Serving())
				}
			})
		}
	}
}
