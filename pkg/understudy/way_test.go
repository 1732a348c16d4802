package understudy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// unreachable cuts the client off from both nodes.
func (s *scene) unreachable() {
	s.net.CutBoth("client", "a")
	s.net.CutBoth("client", "b")
}

// relayed counts what went through the monitors.
func (s *scene) relayed() (n int) {
	for _, m := range s.monitors {
		passed, _ := m.counts()
		n += len(passed)
	}
	return n
}

func TestANodeThatCannotBeReachedIsReachedThroughAMonitor(t *testing.T) {
	play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
		s.unreachable()
		began := time.Now()
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 2*time.Second)
		began = time.Now()
		for range 100 {
			_, err := s.Put(t.Context(), "k", []byte("v"))
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(began), "it does not knock again each time")

		// The next primary is not tried for long either.
		s.crash("a")
		s.failover("b")
		began = time.Now()
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 100*time.Millisecond)

		// The direct way is taken again when there is one.
		s.net.HealAll()
		time.Sleep(scoutEvery + scoutTimeout)
		before := s.relayed()
		require.NotZero(t, before)
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Equal(t, before, s.relayed())
		applied, _ := s.group.counts()
		require.Equal(t, 103, applied)
	})
}

func TestAWriteThatIsSentBothWaysIsAppliedOnce(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		s.group.meddles(func(stage, node string) {
			if stage == "after" {
				s.net.CutBoth("client", node)
			}
		})
		began := time.Now()
		_, err = s.Put(t.Context(), "k", []byte("w"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 6*time.Second)
		applied, repeats := s.group.counts()
		require.Equal(t, 2, applied)
		require.Equal(t, 1, repeats)
		require.Equal(t, 1, s.relayed())
	})
}

func TestARelayThatDiesIsReplaced(t *testing.T) {
	play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
		s.unreachable()
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		used, other := "m1", "m2"
		if passed, _ := s.monitors["m2"].counts(); len(passed) > 0 {
			used, other = other, used
		}
		s.net.Freeze(used)
		began := time.Now()
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 2*time.Second)
		passed, _ := s.monitors[other].counts()
		require.Len(t, passed, 1)
	})
}

// Without a monitor there is only the direct way.
func TestWithoutAMonitorTheDirectWayIsTaken(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.unreachable()
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		s.crash("m1")
		s.net.HealAll()
		began := time.Now()
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), time.Second)
	})
}
