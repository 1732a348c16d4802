package bubble

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// Moments all over a switchover on slow links.
func momentsOfASwitchover() (moments []time.Duration) {
	for ms := time.Duration(2); ms < 80; ms += 13 {
		moments = append(moments, ms*time.Millisecond)
	}
	return moments
}

// A node dies in the middle of a switchover: one primary, and no request fails.
func TestNodeDiesInASwitchover(t *testing.T) {
	for _, victim := range []string{"app1", "app2"} {
		for _, after := range momentsOfASwitchover() {
			t.Run(victim+" after "+after.String(), func(t *testing.T) {
				inBubble(t, two(), func(t *testing.T, c *cluster) {
					c.slowLinks()
					l := c.startStrict()
					time.Sleep(300 * time.Millisecond)
					done := c.orderMeanwhile("/v1/switchover", "")
					time.Sleep(after)
					c.crash(victim)
					c.eventually("somebody serves", func() bool { g := c.group(); return g.Serving && g.Primary != victim })
					require.Contains(t, []int{http.StatusOK, http.StatusConflict}, (<-done).status, "the operator is told")
					time.Sleep(300 * time.Millisecond)
					c.start(victim)
					c.waitInSync(c.names()...)
					require.Less(t, l.zeros(), 3*time.Second, "a sealed primary opens again after 2 s")
				})
			})
		}
	}
}

// orderMeanwhile gives an order, whose end is not waited for.
func (c *cluster) orderMeanwhile(path, body string) <-chan answer {
	done := make(chan answer, 1)
	go func() { done <- c.order(http.MethodPost, path, body) }()
	return done
}

// The monitor dies in the middle of a switchover: applications that reach the
// nodes notice nothing, and there is one primary when it is back.
func TestMonitorDiesInASwitchover(t *testing.T) {
	for _, after := range momentsOfASwitchover() {
		t.Run(after.String(), func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				lib := c.library()
				defer lib.Close()
				k := c.count(lib, 3)
				c.slowLinks()
				l := c.startLoad("load", 2)
				time.Sleep(time.Second)
				done := c.orderMeanwhile("/v1/switchover", "")
				time.Sleep(after)
				c.crashMonitor()
				<-done
				time.Sleep(3 * time.Second)
				c.startMonitor()
				c.waitInSync(c.names()...)
				time.Sleep(2 * time.Second)
				l.stop()
				k.stop()
				require.Less(t, k.longer, 3*time.Second, "a sealed primary opens again after 2 s")
				c.finish()
				require.LessOrEqual(t, int(c.group().Epoch), 2)
			})
		})
	}
}

// Two operators give orders that do not go together: one wins, and the other is
// told what is the case.
func TestTwoOperators(t *testing.T) {
	for _, test := range []struct{ name, path, one, other string }{
		{"two successors", "/v1/switchover", `{"to":"app2"}`, `{"to":"app3"}`},
		{"two failovers", "/v1/failover", `{"to":"app2"}`, `{"to":"app3"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, three(), func(t *testing.T, c *cluster) {
				c.plainLinks()
				l := c.startStrict()
				time.Sleep(300 * time.Millisecond)
				var answers [2]answer
				var both sync.WaitGroup
				both.Go(func() { answers[0] = c.order(http.MethodPost, test.path, test.one) })
				both.Go(func() { answers[1] = c.order(http.MethodPost, test.path, test.other) })
				both.Wait()
				winner, loser := answers[0], answers[1]
				if winner.code() != "" {
					winner, loser = loser, winner
				}
				require.Empty(t, winner.code(), "%s", winner.body)
				require.Equal(t, problem.StaleVersion, loser.code())
				require.Equal(t, http.StatusConflict, loser.status)
				require.ErrorContains(t, loser.failure(), "another change", "it says which")
				c.waitInSync(c.names()...)
				require.LessOrEqual(t, int(c.group().Epoch), 2, "one change at most")
				require.Less(t, l.zeros(), 250*time.Millisecond)
			})
		})
	}
}

// A standby is taken out for maintenance while the primary dies. Whichever comes
// first, there is a way on: the standby, if it still counts, or the primary, when
// it returns.
func TestMaintenanceWhileThePrimaryDies(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond, time.Second} {
		for _, first := range []string{"maintenance", "death"} {
			t.Run(first+" first by "+after.String(), func(t *testing.T) {
				inBubble(t, two(), func(t *testing.T, c *cluster) {
					c.slowLinks()
					primary, standby := c.roles()
					l := c.startStrict()
					time.Sleep(300 * time.Millisecond)
					if first == "maintenance" {
						go c.order(http.MethodPut, "/v1/nodes/"+standby+"/maintenance", `{"on":true}`)
						time.Sleep(after)
						c.crash(primary)
					} else {
						c.crash(primary)
						time.Sleep(after)
						c.maintain(standby, true)
					}
					time.Sleep(2 * time.Second)
					c.start(primary)
					c.eventually("somebody serves", func() bool { return c.group().Serving })
					time.Sleep(time.Second)
					c.maintain(standby, false)
					c.waitInSync(c.names()...)
					require.Less(t, l.zeros(), 4*time.Second, "as long as the primary was away, at most")
				})
			})
		}
	}
}
