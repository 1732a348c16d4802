package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// success are the statuses by which a write is acknowledged.
var success = []int{http.StatusOK, http.StatusNoContent}

// insisting writes keys directly at a node until the returned function is
// called, which returns those that were acknowledged.
func (s *story) insisting(node string) (acknowledged func() []string) {
	s.t.Helper()
	end, keys := make(chan struct{}), []string{}
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
			key := "direct-" + time.Now().Format("150405.000000")
			if status := s.put(time.Second, s.Node(node), key, "x"); status == http.StatusNoContent {
				keys = append(keys, key)
			}
		}
	})
	return func() []string {
		close(end)
		writing.Wait()
		return keys
	}
}

func TestAFrozenPrimaryAcknowledgesNothingAfterItsReign(t *testing.T) {
	s := tell(t)
	s.write()
	lines := len(s.logged("m1"))
	s.freeze("app1")
	// A client that is connected to app1 has its requests in the socket.
	answers := make(chan int)
	for range 4 {
		go func() { answers <- s.put(soon, s.Node("app1"), "frozen", "lost") }()
	}
	s.awaitPrimary("app2")
	s.moreAcknowledged(20)
	require.Len(t, s.said("m1", lines, "heartbeat expired, retrying"), 3)
	complete := s.said("m1", lines, "failover complete")
	require.Len(t, complete, 1)
	require.Less(t, complete[0]["serving_ms"], 2000.0)
	s.thaw("app1")
	for range 4 {
		require.NotContains(t, success, <-answers)
	}
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
	require.False(t, s.has("app1", "frozen"))
	require.Equal(t, "app2", s.group().Primary)
}

func TestAPrimaryThatTheMonitorDoesNotHearIsFenced(t *testing.T) {
	s := tell(t, links)
	s.write()
	acknowledged := s.insisting("app1")
	s.cutMonitor("app1")
	s.await("app2 is promoted", func() bool { return s.group().Epoch == 2 })
	s.awaitPrimary("app2")
	s.moreAcknowledged(20)
	keys := acknowledged()
	for range 3 {
		require.NotContains(t, success, s.put(200*time.Millisecond, s.Node("app1"), "late", "x"))
	}
	s.healMonitor("app1")
	s.awaitInSync("app1", "app2")
	s.rest()
	s.settled()
	require.Equal(t, "app2", s.group().Primary)
	require.False(t, s.has("app1", "late"))
	for _, k := range keys {
		require.True(t, s.has("app2", k), "%s was acknowledged", k)
	}
}

func TestAStandbyThatCannotBeReachedIsLeftOut(t *testing.T) {
	s := tell(t, links)
	s.write()
	s.cutPeers()
	s.awaitInSync("app1")
	s.moreAcknowledged(20)
	s.await("app2 is told to be behind", func() bool { return s.status("app2").State == "catching-up" })
	require.False(t, s.group().Failover.Possible)
	require.Contains(t, s.group().Failover.Reason, "only app1 holds every acknowledged write")
	require.Contains(t, s.client("-status").stdout, "only app1 holds every acknowledged write")
	s.kill("app1")
	s.awaitRefused("app1 is down")
	s.staysRefused()
	s.healPeers()
	s.start("app1")
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
	require.Less(t, s.ledger.Counts().LongestGap, soon)
}

func TestWithTooFewCopiesWritesAreRefusedAtOnce(t *testing.T) {
	s := tell(t, links, with([]string{"-min-copies", "2"}, nil))
	s.write()
	s.cutPeers()
	s.awaitInSync("app1")
	began := time.Now()
	status, body := s.call(5*time.Second, http.MethodPut, s.Monitor()+"/v1/kv/few", "x")
	require.Less(t, time.Since(began), time.Second)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"code":"too_few_copies"`)
	status, _ = s.call(5*time.Second, http.MethodGet, s.Monitor()+"/v1/kv/name", "")
	require.Equal(t, http.StatusOK, status)
	s.healPeers()
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
	require.False(t, s.has("app1", "few"))
}

func TestAPrimaryThatIsAllAloneAcknowledgesNothing(t *testing.T) {
	s := tell(t, links)
	s.write()
	acknowledged := s.insisting("app1")
	s.cutPeers()
	s.cutMonitor("app1")
	s.awaitPrimary("app2")
	s.moreAcknowledged(20)
	alone := s.status("app1")
	require.EqualValues(t, 1, alone.Epoch)
	keys := acknowledged()
	for range 3 {
		require.NotContains(t, success, s.put(200*time.Millisecond, s.Node("app1"), "alone", "x"))
	}
	require.Equal(t, alone.Commit, s.status("app1").Commit)
	s.healPeers()
	s.healMonitor("app1")
	s.awaitInSync("app1", "app2")
	s.rest()
	s.settled()
	require.Equal(t, "app2", s.group().Primary)
	require.False(t, s.has("app1", "alone"))
	for _, k := range keys {
		require.True(t, s.has("app2", k), "%s was acknowledged", k)
	}
}

func TestHalfOpenConnectionsAreNoticed(t *testing.T) {
	s := tell(t, links)
	s.write()
	for _, n := range s.Nodes() {
		s.ways[">"+n].Abandon(peers)
		s.ways[n+">m1"].Abandon(monitors)
	}
	s.moreAcknowledged(100)
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
}
