package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/netns"
)

var severed = netns.Link{Cut: true}

func TestTheSideWithoutTheMonitorAnswersNothingOld(t *testing.T) {
	s := tell(t, three, machines)
	s.write()
	judge := s.ticking()
	for _, n := range []string{"app1", "app2"} {
		s.net.Both(n, "app3", severed)
		s.net.Both(n, "m1", severed)
	}
	s.awaitPrimary("app3")
	s.moreAcknowledged(20)
	for range 3 {
		for _, n := range []string{"app1", "app2"} {
			status, _ := s.call(300*time.Millisecond, http.MethodGet, s.Node(n)+"/v1/kv/name", "")
			require.NotEqual(t, http.StatusOK, status, "%s answered a read", n)
			require.NotContains(t, success, s.put(200*time.Millisecond, s.Node(n), "minority", "x"))
		}
	}
	for _, n := range []string{"app1", "app2"} {
		require.EqualValues(t, 1, s.status(n).Epoch)
		require.True(t, s.has(n, "name"), "a stale read is answered")
	}
	s.net.Heal()
	s.awaitInSync("app1", "app2", "app3")
	s.moreAcknowledged(20)
	judge()
	s.rest()
	s.settled()
	require.Equal(t, "app3", s.group().Primary)
	require.False(t, s.has("app1", "minority"))
}

func TestAPrimaryThatLosesItsNetworkIsReplaced(t *testing.T) {
	s := tell(t, machines)
	s.write()
	judge := s.ticking()
	lines := len(s.logged("m1"))
	require.NoError(t, s.hosts["app1"].Up(false))
	s.awaitPrimary("app2")
	s.moreAcknowledged(20)
	took := s.awaitComplete(lines)["serving_ms"]
	require.Less(t, took, 2000.0) // the promise is measured on a quiet machine
	t.Logf("served %.0f ms after the last sign of life", took)
	require.NoError(t, s.hosts["app1"].Up(true))
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	judge()
	s.rest()
	s.settled()
	require.Equal(t, "app2", s.group().Primary)
	require.Less(t, s.ledger.Counts().LongestGap, 3*time.Second)
}

func TestOneWayCutsAreSlowAtWorst(t *testing.T) {
	for _, link := range [][2]string{{"app1", "app2"}, {"app1", "m1"}, {"app2", "m1"}} {
		t.Run(link[0]+" and "+link[1], func(t *testing.T) {
			s := tell(t, machines)
			s.write()
			for _, way := range [][2]string{link, {link[1], link[0]}} {
				judge := s.ticking()
				s.net.Set(way[0], way[1], severed)
				time.Sleep(700 * time.Millisecond) // longer than anything expires
				s.moreAcknowledged(20)
				require.Positive(t, s.net.Traffic(way[0], way[1]).Dropped)
				s.net.Heal()
				s.awaitInSync("app1", "app2")
				s.moreAcknowledged(20)
				judge()
			}
			s.rest()
			s.settled()
			require.Less(t, s.ledger.Counts().LongestGap, 3*time.Second)
		})
	}
}

func TestBadLinksAreSlowAtWorst(t *testing.T) {
	for name, bad := range map[string]netns.Link{
		"loss":                {Loss: 0.3},
		"delay":               {Delay: 200 * time.Millisecond},
		"doubled, disordered": {Delay: 5 * time.Millisecond, Duplicate: 0.3, Reorder: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t, machines)
			s.write()
			judge := s.ticking()
			for _, link := range [][2]string{{"app1", "app2"}, {"m1", "app2"}, {netns.Client, "m1"}} {
				s.through(link, bad)
				require.EqualValues(t, 1, s.group().Epoch, "a needless failover for %v", link)
			}
			s.through([2]string{"m1", "app1"}, bad) // the monitor may take the primary for dead
			s.awaitInSync("app1", "app2")
			s.moreAcknowledged(20)
			judge()
			s.rest()
			s.settled()
			require.Less(t, s.ledger.Counts().LongestGap, 10*time.Second)
		})
	}
}

// through has writes go on for a while beside a bad link.
func (s *story) through(link [2]string, bad netns.Link) {
	s.t.Helper()
	s.net.Both(link[0], link[1], bad)
	time.Sleep(700 * time.Millisecond) // longer than anything expires
	s.moreAcknowledged(5)
	s.net.Heal()
}
