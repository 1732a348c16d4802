package e2e

import (
	"fmt"
	"net/http"
	"strings"
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
	// So has a client that asks for what has been written meanwhile.
	require.Equal(t, http.StatusNoContent, s.put(soon, s.Monitor(), "fresh", "new"))
	reads := make(chan string)
	for range 4 {
		go func() {
			status, body := s.call(soon, http.MethodGet, s.Node("app1")+"/v1/kv/fresh", "")
			reads <- fmt.Sprint(status, " ", body)
		}()
	}
	retries := s.said("m1", lines, "heartbeat expired, retrying")
	require.GreaterOrEqual(t, len(retries), 3)
	require.Equal(t, "app1", retries[0]["subject"])
	require.Less(t, s.awaitComplete(lines)["serving_ms"], 2000.0)
	s.thaw("app1")
	for range 4 {
		require.NotContains(t, success, <-answers)
		read := <-reads
		require.True(t, read == "200 new" || !strings.HasPrefix(read, "200") && !strings.HasPrefix(read, "404"), read)
	}
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
	require.False(t, s.has("app1", "frozen"))
	require.Equal(t, "app2", s.group().Primary)
}

func TestAPrimaryThatTheMonitorDoesNotHearIsFenced(t *testing.T) {
	s := tell(t, wires)
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
	require.Empty(t, s.lacks("app2", keys...), "they were acknowledged")
}

func TestAStandbyThatCannotBeReachedIsLeftOut(t *testing.T) {
	s := tell(t, wires)
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
	s := tell(t, wires, with([]string{"-min-copies", "2"}, nil))
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
	s := tell(t, wires)
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
	require.Empty(t, s.lacks("app2", keys...), "they were acknowledged")
}

func TestHalfOpenConnectionsAreNoticed(t *testing.T) {
	s := tell(t, wires)
	s.write()
	s.abandonAll()
	s.moreAcknowledged(100)
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
}

func TestAStandbyThatTheMonitorDoesNotHearStaysInSync(t *testing.T) {
	s := tell(t, wires)
	s.write()
	s.cutMonitor("app2")
	s.await("it is said that nobody can take over", func() bool { return !s.group().Failover.Possible })
	require.Contains(t, s.client("-status").stdout, "can take over now: app2 ")
	s.moreAcknowledged(20)
	require.Equal(t, []string{"app1", "app2"}, s.group().InSync)
	s.healMonitor("app2")
	s.await("app2 can take over", func() bool { return s.group().Failover.Possible })
	s.rest()
	s.settled()
	require.EqualValues(t, 1, s.group().Epoch)
}

func TestAMonitorThatHearsNobodyChangesNothing(t *testing.T) {
	s := tell(t, wires)
	before := s.group()
	acknowledged := s.insisting("app1")
	s.cutMonitor("app1")
	s.cutMonitor("app2")
	s.await("the primary is judged", func() bool { return !s.group().Failover.Possible && !s.group().Serving })
	time.Sleep(time.Second)                      // longer than anything expires
	for _, n := range []string{"app2", "app1"} { // the standby is heard first
		s.healMonitor(n)
		time.Sleep(50 * time.Millisecond)
	}
	s.awaitPrimary("app1")
	keys := acknowledged()
	require.Greater(t, len(keys), 5, "the data path goes on")
	s.settled()
	require.Empty(t, s.lacks("app2", keys...), "they were acknowledged")
	after := s.group()
	require.Equal(t, before.Epoch, after.Epoch)
	require.Equal(t, before.Version, after.Version)
}
