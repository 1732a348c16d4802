package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// standby returns B, a standby of A in epoch 2, with records up to 1.5 of which 3 are
// known to be committed.
func standby(t *testing.T) *scene {
	t.Helper()
	s := replicaOf(t, of("B", 1), Saved{Accepted: 1, Last: Position{1, 5}, Commit: 3, Boundaries: []Boundary{{1, 1}}})
	s.takes(rec(2, 2, of("A", 1), "A", "B"))
	return s
}

func TestHandshake(t *testing.T) {
	s := standby(t)
	h, err := s.r.Dialled(1)
	require.NoError(t, err)
	require.Equal(t, Hello{UUID: "B", Boot: boot(1), Epoch: 2, Last: 5, Boundaries: []Boundary{{1, 1}}}, h)
	require.ErrorIs(t, s.r.Accepts(1, 2), ErrOldConnection, "not welcomed yet")
	require.ErrorIs(t, s.r.LearnCommit(1, 2, 5), ErrOldConnection)
	require.NoError(t, s.r.Welcomed(1, 2, 4))
	require.NoError(t, s.r.LearnCommit(1, 2, 5))
	require.Equal(t, Seq(4), s.r.Commit(), "what waits to be cut is not committed")
	s.r.CutTo(4)
	require.Equal(t, Position{1, 4}, s.r.Last())
	require.Equal(t, Seq(4), s.r.Durable())
	s.r.Appended(Position{2, 5}, s.now)
	require.Equal(t, Seq(4), s.r.Commit(), "not on the disk")
	s.syncs()
	require.Equal(t, Seq(5), s.r.Commit())
	require.Equal(t, []Boundary{{1, 1}, {2, 5}}, s.r.Boundaries())
}

func TestOnlyAStandbyDials(t *testing.T) {
	for name, s := range map[string]*scene{
		"before a record": replicaOf(t, of("A", 1), Saved{}),
		"a primary":       primary(t, "A"),
	} {
		_, err := s.r.Dialled(1)
		require.ErrorIs(t, err, ErrOldConnection, name)
	}
	s := standby(t)
	s.held = true
	s.takes(rec(3, 3, of("A", 2), "A", "B"))
	_, err := s.r.Dialled(1)
	require.ErrorIs(t, err, ErrOldConnection, "while the role changes")
}

func TestNothingOfAnOldConnectionCounts(t *testing.T) {
	for name, replace := range map[string]func(s *scene){
		"a newer connection": func(s *scene) { _, _ = s.r.Dialled(2) },
		"a newer epoch":      func(s *scene) { s.takes(rec(3, 3, of("C", 1), "A", "B")) },
		"a newer epoch that is being persisted": func(s *scene) {
			s.held = true
			s.takes(rec(3, 3, of("C", 1), "A", "B"))
		},
		"another role": func(s *scene) { s.takes(rec(3, 3, of("B", 1), "A", "B")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := standby(t)
			_, err := s.r.Dialled(1)
			require.NoError(t, err)
			require.NoError(t, s.r.Welcomed(1, 2, 5))
			require.NoError(t, s.r.Accepts(1, 2))
			replace(s)
			require.ErrorIs(t, s.r.Accepts(1, 2), ErrOldConnection)
			require.ErrorIs(t, s.r.Welcomed(1, 2, 3), ErrOldConnection)
			require.ErrorIs(t, s.r.LearnCommit(1, 2, 5), ErrOldConnection)
			require.Equal(t, Seq(3), s.r.Commit())
		})
	}
	s := standby(t)
	_, err := s.r.Dialled(1)
	require.NoError(t, err)
	for _, e := range []Epoch{1, 3} {
		require.ErrorIs(t, s.r.Welcomed(1, e, 5), ErrOldConnection, "epoch %d", e)
	}
}

func TestCutBelowTheCommitSeqIsRefused(t *testing.T) {
	s := standby(t)
	_, err := s.r.Dialled(1)
	require.NoError(t, err)
	require.ErrorIs(t, s.r.Welcomed(1, 2, 2), ErrWouldUndo)
	require.ErrorIs(t, s.r.Accepts(1, 2), ErrOldConnection, "it was not welcomed")
	require.Panics(t, func() { s.r.CutTo(2) })
	require.Panics(t, func() { s.r.CutTo(6) })
	require.ErrorContains(t, s.r.Welcomed(1, 2, 6), "the journal ends at", "welcomed beyond its end")
	require.NoError(t, s.r.Welcomed(1, 2, 3))
	require.Panics(t, func() { s.r.Appended(Position{2, 6}, s.now) }, "appended before the cut")
}

func TestCommitSeqOfAStandbyDoesNotGoBack(t *testing.T) {
	s := standby(t)
	_, err := s.r.Dialled(1)
	require.NoError(t, err)
	require.NoError(t, s.r.Welcomed(1, 2, 5))
	for _, c := range []struct{ say, have Seq }{{2, 3}, {4, 4}, {3, 4}, {9, 5}} {
		require.NoError(t, s.r.LearnCommit(1, 2, c.say))
		require.Equal(t, c.have, s.r.Commit())
	}
	s.r.Appended(Position{2, 6}, s.now)
	s.syncs()
	require.Equal(t, Seq(6), s.r.Commit(), "what was learnt before the record came")
	_, err = s.r.Dialled(2)
	require.NoError(t, err)
	require.Equal(t, Seq(6), s.r.Commit())
}

func TestInstalledReplacesTheHistory(t *testing.T) {
	s := standby(t)
	_, err := s.r.Dialled(1)
	require.NoError(t, err)
	require.NoError(t, s.r.Welcomed(1, 2, 3))
	require.Panics(t, func() { s.r.Installed(Position{2, 2}, nil) }, "below what is committed")
	s.r.Installed(Position{2, 40}, []Boundary{{1, 1}, {2, 30}})
	require.Equal(t, Position{2, 40}, s.r.Last())
	require.Equal(t, Seq(40), s.r.Durable())
	require.Equal(t, Seq(40), s.r.Commit())
	h, err := s.r.Dialled(2)
	require.NoError(t, err)
	require.Equal(t, Seq(40), h.Last)
	require.Equal(t, []Boundary{{1, 1}, {2, 30}}, h.Boundaries)
}

func TestCheckBoundaries(t *testing.T) {
	require.NoError(t, CheckBoundaries(nil, 0))
	require.NoError(t, CheckBoundaries([]Boundary{{1, 1}, {3, 5}}, 5))
	for _, bad := range [][]Boundary{
		nil, {{1, 2}}, {{0, 1}}, {{1, 0}}, {{1, 1}, {1, 3}}, {{2, 1}, {1, 3}}, {{1, 1}, {2, 1}}, {{1, 1}, {2, 6}},
	} {
		require.Error(t, CheckBoundaries(bad, 5), "%v", bad)
	}
}
