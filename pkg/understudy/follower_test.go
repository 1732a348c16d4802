package understudy

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

func TestTheFirstMonitorIsDead(t *testing.T) {
	for name, kill := range map[string]func(s *scene){
		"refused": func(s *scene) { s.crash("m1") },
		"silent":  func(s *scene) { s.net.PowerOff("m1"); s.stop["m1"]() },
		"frozen":  func(s *scene) { s.net.Freeze("m1") },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
				kill(s)
				began := time.Now()
				_, err := s.Put(t.Context(), "k", []byte("v"))
				require.NoError(t, err)
				require.Less(t, time.Since(began), 1100*time.Millisecond)
			})
		})
	}
}

func TestAMonitorThatFallsSilentIsLeft(t *testing.T) {
	play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		s.net.Freeze("m1")
		s.crash("a")
		began := time.Now()
		s.failover("b")
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 1200*time.Millisecond)
		_, streams := s.monitors["m2"].counts()
		require.Equal(t, 1, streams)
		time.Sleep(time.Minute)
		_, streams = s.monitors["m2"].counts()
		require.Equal(t, 1, streams, "it stays with the one that works")
	})
}

// A monitor that is cut off from the others knows nothing of the new primary.
func TestAMonitorThatMisleadsIsLeft(t *testing.T) {
	play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		s.monitors["m2"].say("b", s.group.leads("b"), true)
		began := time.Now()
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), time.Second)
		// Back at the first one, by whatever accident, nothing old is believed.
		s.crash("m2")
		time.Sleep(time.Second)
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
	})
}

func TestTheMonitorsAbsenceStopsNothing(t *testing.T) {
	play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		s.crash("m1")
		s.crash("m2")
		for range 100 {
			_, err := s.Put(t.Context(), "k", []byte("v"))
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		// One returns, and the primary is another by then.
		s.crash("a")
		s.startMonitor("m2")
		began := time.Now()
		s.failover("b")
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), time.Second)
	})
}

func TestAnotherClusterIsNotTaken(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		m := s.monitors["m1"]
		m.mu.Lock()
		m.primary.Cluster, m.primary.Epoch, m.primary.Name, m.primary.Address = "c2", 9, "b", "b:8081"
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
		s.crash("a")
		_, err = s.Put(t.Context(), "k", []byte("v"))
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
		require.ErrorContains(t, err, `the monitor at m1:8080 is of cluster "c2", and this client of cluster "c1"`)
	})
}

func TestOldNewsAreNotBelieved(t *testing.T) {
	d := newDirectory()
	m2 := func(epoch protocol.Epoch, version protocol.Version, name string) {
		e := (&monitor{}).told()
		e.Cluster, e.Epoch, e.Version, e.Name, e.Address = "c", epoch, version, name, name
		require.NoError(t, d.take("m", e))
	}
	m2(3, 7, "a")
	first, reign, changed := d.primary()
	m2(2, 8, "b")
	m2(3, 6, "b")
	m2(3, 7, "a")
	select {
	case <-changed:
		t.Fatal("nothing is new")
	default:
	}
	require.Equal(t, "a", first)
	m2(3, 8, "a")
	<-changed
	require.NoError(t, reign.Err(), "the same reign")
	m2(4, 9, "a")
	require.Error(t, reign.Err())
	require.Equal(t, http.StatusServiceUnavailable, (&relay{directory: d, node: "a"}).probe().Status)
}
