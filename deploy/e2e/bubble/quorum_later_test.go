package bubble

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// A monitor that lost its disk is taken in as a new voter, the lowest name and the
// leader too: the registry is never begun a second time.
func TestMonitorLosesItsDisk(t *testing.T) {
	for _, name := range []string{"m1", "m2", "m3"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
				before := c.http.cluster()
				c.crashMonitorOf(name)
				c.wipeMonitor(name)
				c.startMonitorOf(name)
				c.waitReady(name)
				c.eventually("a leader", func() bool { return c.leader() != "" })
				after := c.http.clusterAt(monitorAt(name))
				require.Equal(t, before.Cluster, after.Cluster)
				require.Len(t, after.Monitors, 3)
				// It counts: the registry goes on with it and without another.
				for _, other := range c.monitorNames() {
					if other != name {
						c.crashMonitorOf(other)
						break
					}
				}
				c.eventually("a leader of the two", func() bool { return c.leader() != "" })
				primary, standby := c.roles()
				c.crash(primary)
				c.via = monitorAt(name)
				c.mustPut("after", "v")
				c.start(primary)
				_ = standby
				c.finish()
			})
		})
	}
}

// While others keep a registry, a lowest name with an empty disk that reaches only
// some of them, or none, begins nothing.
func TestNoSecondBirth(t *testing.T) {
	for _, reach := range [][]string{nil, {"m2"}} {
		t.Run(fmt.Sprint(reach), func(t *testing.T) {
			inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
				before := c.http.cluster().Cluster
				c.crashMonitorOf("m1")
				c.wipeMonitor("m1")
				for _, other := range []string{"m2", "m3"} {
					if len(reach) == 0 || other != reach[0] {
						c.net.CutBoth("m1", other)
					}
				}
				c.startMonitorOf("m1")
				time.Sleep(20 * time.Second)
				if len(reach) == 0 {
					alone := c.http.clusterAt(monitorAt("m1"))
					require.Empty(t, alone.Cluster)
					require.Empty(t, alone.Leader)
				}
				c.net.HealAll()
				c.waitReady(c.monitorNames()...)
				require.Equal(t, before, c.http.clusterAt(monitorAt("m1")).Cluster)
				c.finish()
			})
		})
	}
}

// Monitors join and leave while requests are under way.
func TestMonitorsJoinAndLeave(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		order := func(method, at, path, body string) answer {
			return c.http.send(method, monitorAt(at)+path, body)
		}
		follower := c.followers()[0]
		a := order(http.MethodPost, follower, wire.PathMonitors, `{"name":"m4","address":"m4:8080"}`)
		require.Equal(t, problem.BadRequest, a.code(), "it does not run yet")
		c.startMonitorOf("m4")
		defer c.stopMonitorOf("m4")
		time.Sleep(2 * time.Second)
		require.False(t, c.ready("m4"), "nobody has asked for it")
		l := c.startLoad("load", 2)
		a = order(http.MethodPost, follower, wire.PathMonitors, `{"name":"m4","address":"m4:8080"}`)
		require.Empty(t, a.code(), string(a.body))
		c.waitReady("m4")
		require.Len(t, c.http.clusterAt(monitorAt("m4")).Monitors, 4)

		leader := c.leader()
		a = order(http.MethodDelete, follower, wire.PathMonitors+"/"+leader, "")
		require.Empty(t, a.code(), string(a.body))
		time.Sleep(5 * time.Second)
		require.False(t, c.ready(leader))
		for _, name := range append(c.monitorNames(), "m4") {
			if view := c.http.clusterAt(monitorAt(name)); name != leader {
				require.Len(t, view.Monitors, 3)
				require.NotEmpty(t, view.Leader)
				require.NotEqual(t, leader, view.Leader)
			}
		}
		require.Equal(t, problem.NotFound, order(http.MethodDelete, follower, wire.PathMonitors+"/m9", "").code())
		l.stop()
	})
}

// A removal that would leave no majority is refused.
func TestMonitorThatIsNeededStays(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		followers := c.followers()
		c.crashMonitorOf(followers[0])
		a := c.http.send(http.MethodDelete, monitorAt(c.leader())+wire.PathMonitors+"/"+followers[1], "")
		require.Equal(t, problem.WouldLoseData, a.code())
		a = c.http.send(http.MethodDelete, monitorAt(c.leader())+wire.PathMonitors+"/"+followers[0], "")
		require.Empty(t, a.code(), string(a.body))
		c.startMonitorOf(followers[0])
		c.finish()
	})
}

// Without a majority of the monitors nothing is decided, and everything else goes
// on: also through the one that is left.
func TestNoMajority(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		left := c.followers()[0]
		for _, name := range c.monitorNames() {
			if name != left {
				c.crashMonitorOf(name)
			}
		}
		c.via = monitorAt(left)
		time.Sleep(2 * time.Second)
		c.mustPut("without-a-majority", "v")
		view := c.http.clusterAt(monitorAt(left))
		require.Empty(t, view.Leader)
		require.Len(t, view.Monitors, 3)
		a := c.http.send(http.MethodPost, monitorAt(left)+"/v1/switchover", "{}")
		require.Equal(t, problem.NoLeader, a.code())
		require.Contains(t, string(a.body), "no leader")
		require.False(t, c.ready(left))

		c.crash(standby)
		c.crash(primary)
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 1, c.http.clusterAt(monitorAt(left)).Groups[0].Epoch, "it may not decide")
		for _, name := range c.monitorNames() {
			if name != left {
				c.startMonitorOf(name)
			}
		}
		c.eventually("the third takes over", func() bool { return c.group().Serving })
		c.start(primary)
		c.start(standby)
		c.finish()
	})
}

// A leader alone with the primary changes nothing; the others, with the standbys,
// go on within the promise.
func TestLeaderAloneWithThePrimary(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, _ := c.roles()
		leader, others := c.leader(), c.followers()
		c.via = monitorAt(others[0])
		pause := c.pause("p", func() {
			time.Sleep(300 * time.Millisecond)
			for _, minority := range []string{primary, leader} {
				for _, host := range append(c.names(), others...) {
					if host != primary {
						c.net.CutBoth(minority, host)
					}
				}
				c.net.CutBoth(minority, clientHost)
			}
			time.Sleep(3 * time.Second)
		})
		t.Logf("pause %s", pause)
		require.Less(t, pause, 1500*time.Millisecond)
		require.EqualValues(t, 2, c.group().Epoch)
		c.net.HealBoth(leader, clientHost)
		cut := c.http.clusterAt(monitorAt(leader))
		require.Empty(t, cut.Leader)
		require.EqualValues(t, 1, cut.Groups[0].Epoch, "the minority changes nothing")
		c.net.HealAll()
		c.finish()
		require.EqualValues(t, 2, c.group().Epoch)
	})
}

// A leader that is frozen past its term wakes up as a follower.
func TestFrozenLeaderWakes(t *testing.T) {
	for _, frozen := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second} {
		inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
			leader := c.leader()
			c.via = monitorAt(c.followers()[0])
			l := c.startLoad("load", 2)
			time.Sleep(500 * time.Millisecond)
			c.freeze(leader)
			time.Sleep(frozen)
			c.unfreeze(leader)
			time.Sleep(3 * time.Second)
			l.stop()
			require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
			c.waitReady(c.monitorNames()...)
			c.finish()
			require.EqualValues(t, 1, c.group().Epoch)
		})
	}
}

// The leader dies between any two steps of a failover, and the next one finishes it.
func TestLeaderDiesInFailover(t *testing.T) {
	for _, after := range []time.Duration{0, 60, 70, 90, 100, 110, 120, 130, 150, 200} {
		after *= time.Millisecond
		t.Run(after.String(), func(t *testing.T) {
			inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
				c.slowLinks()
				primary, _ := c.roles()
				leader := c.leader()
				c.via = monitorAt(c.followers()[0])
				c.mustPut("before", "v")
				c.crash(primary)
				time.Sleep(after)
				c.crashMonitorOf(leader)
				c.mustPut("after", "v")
				c.eventually("it is known who leads", func() bool { return c.leader() != "" })
				require.EqualValues(t, 2, c.group().Epoch)
				c.startMonitorOf(leader)
				c.start(primary)
				c.finish()
			})
		})
	}
}

// All monitors and then all nodes are started again, one after the other, under
// load: no request fails.
func TestRollingRestart(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		for _, name := range c.monitorNames() {
			for _, other := range c.monitorNames() {
				if other != name {
					c.via = monitorAt(other)
				}
			}
			l := c.startLoad("load-"+name, 2)
			time.Sleep(500 * time.Millisecond)
			c.stopMonitorOf(name)
			time.Sleep(500 * time.Millisecond)
			c.startMonitorOf(name)
			c.waitReady(c.monitorNames()...)
			l.stop()
		}
		l := c.startLoad("load", 2)
		for _, name := range c.names() {
			time.Sleep(500 * time.Millisecond)
			c.stopNode(name)
			c.start(name)
			c.waitInSync(c.names()...)
		}
		l.stop()
		require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
		c.finish()
	})
}

// Two operators order different things at the same moment, through two monitors:
// one wins, and the other is told.
func TestTwoOperatorsAtTwoMonitors(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		primary, _ := c.roles()
		var others []string
		for _, name := range c.names() {
			if name != primary {
				others = append(others, name)
			}
		}
		answers := make(chan answer, 2)
		for i, via := range c.followers() {
			go func() {
				answers <- c.http.send(http.MethodPost, monitorAt(via)+"/v1/switchover", fmt.Sprintf(`{"to":%q}`, others[i]))
			}()
		}
		a, b := <-answers, <-answers
		codes := []problem.Code{a.code(), b.code()}
		require.ElementsMatch(t, []problem.Code{"", problem.StaleVersion}, codes, "%s %s", a.body, b.body)
		c.finish()
		require.EqualValues(t, 2, c.group().Epoch)
	})
}
