package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// All monitors are cut off from the nodes: clients that reach the primary are served,
// and healing changes nothing, whoever is heard first.
func TestMonitorsCutFromAllNodes(t *testing.T) {
	for _, first := range []string{"app1", "app2", "app3"} {
		t.Run(first+" is heard first", func(t *testing.T) {
			inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
				before := c.group()
				c.aloneWithEachOther(c.monitorNames()...)
				for i := range 30 {
					require.Empty(t, c.put(address(before.Primary), fmt.Sprintf("direct-%d", i), "v"))
					time.Sleep(100 * time.Millisecond)
				}
				for _, m := range c.monitorNames() {
					c.net.HealBoth(first, m)
				}
				time.Sleep(60 * time.Millisecond)
				c.net.HealAll()
				time.Sleep(2 * time.Second)
				c.finish()
				require.Equal(t, before, c.group())
			})
		})
	}
}

// aloneWithEachOther cuts monitors off from every node.
func (c *cluster) aloneWithEachOther(monitors ...string) {
	for _, m := range monitors {
		for _, n := range c.names() {
			c.net.CutBoth(m, n)
		}
	}
}

// The leader alone is cut off from every node, while the others hear them all: one of
// these leads instead, and the primary stays.
func TestLeaderCutFromAllNodes(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		leader := c.leader()
		c.via = monitorAt(c.followers()[0])
		l := c.startLoad("load", 2)
		time.Sleep(500 * time.Millisecond)
		c.aloneWithEachOther(leader)
		c.eventually("another leads", func() bool { next := c.leader(); return next != "" && next != leader })
		time.Sleep(3 * time.Second)
		l.stop()
		require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
		require.EqualValues(t, 1, c.group().Epoch, "nothing failed over")
		c.net.HealAll()
		c.waitWell()
		c.finish()
		require.EqualValues(t, 1, c.group().Epoch)
	})
}

// Monitors that start again on a running cluster, or wake up, all at once or one by
// one, judge nobody before they have heard.
func TestMonitorsStartOrWakeOnARunningCluster(t *testing.T) {
	for _, away := range []time.Duration{0, 50 * time.Millisecond, time.Second, 10 * time.Second} {
		for _, how := range []string{"crash", "freeze"} {
			t.Run(how+" for "+away.String(), func(t *testing.T) {
				inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
					before := c.group()
					for _, names := range [][]string{c.monitorNames(), c.followers(), {c.leader()}} {
						c.away(how, away, names...)
						c.waitWell()
						require.Equal(t, before, c.group())
					}
					c.mustPut("after", "v")
					c.finish()
				})
			})
		}
	}
}

// away has monitors crash and start again, or freeze, for a while.
func (c *cluster) away(how string, d time.Duration, names ...string) {
	for _, name := range names {
		if how == "crash" {
			c.crashMonitorOf(name)
		} else {
			c.freeze(name)
		}
	}
	time.Sleep(d)
	for _, name := range names {
		if how == "crash" {
			c.startMonitorOf(name)
		} else {
			c.unfreeze(name)
		}
	}
	time.Sleep(2 * time.Second) // longer than anybody takes to judge
}
