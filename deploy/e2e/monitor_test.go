package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/forward"
)

// TestTheMonitorDiesDuringAFailover kills it at moments all over a failover.
func TestTheMonitorDiesDuringAFailover(t *testing.T) {
	s := tell(t)
	s.write()
	for _, after := range []time.Duration{0, 30, 60, 75, 90, 120} {
		before := s.group()
		s.kill(before.Primary)
		time.Sleep(after * time.Millisecond) // where in the failover it dies is the point
		s.kill("m1")
		s.start("m1")
		s.await("another primary serves", func() bool { return s.group().Epoch > before.Epoch && s.group().Serving })
		s.start(before.Primary)
		s.awaitInSync("app1", "app2")
		s.moreAcknowledged(10)
	}
	s.rest()
	s.settled()
}

func TestTheMonitorDiesBetweenDecisionAndOrder(t *testing.T) {
	s := tell(t, links)
	s.write()
	// The monitor hears app2 and decides, and nothing that it says arrives.
	s.monitorLink("app2", forward.Cut{Answers: true}, bothWays)
	s.kill("app1")
	s.await("app2 is promoted", func() bool { return s.group().Epoch == 2 })
	require.EqualValues(t, 1, s.status("app2").Epoch)
	s.kill("m1")
	s.healMonitor("app2")
	s.start("m1")
	s.awaitPrimary("app2")
	s.moreAcknowledged(20)
	require.EqualValues(t, 2, s.group().Epoch)
	s.rest()
	s.start("app1")
	s.settled()
}

func TestAMonitorThatStartsOrWakesJudgesNobodyAtOnce(t *testing.T) {
	s := tell(t)
	s.write()
	for range 2 {
		s.kill("m1")
		s.start("m1")
		s.awaitPrimary("app1")
		s.moreAcknowledged(20)
	}
	lines := len(s.logged("m1"))
	s.freeze("m1")
	time.Sleep(700 * time.Millisecond) // longer than anything expires
	s.thaw("m1")
	s.await("the monitor notices", func() bool {
		return len(s.said("m1", lines, "monitor slept, learning anew before it judges")) > 0
	})
	s.moreAcknowledged(50)
	s.rest()
	s.settled()
	require.EqualValues(t, 1, s.group().Epoch)
	require.Empty(t, s.said("m1", 0, "primary down, failing over"))
}
