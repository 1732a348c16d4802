package bubble

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever befalls one node or one link, no request through the monitor fails:
// some take as long as the promise says.
func TestNoRequestFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		nodes   int
		hit     func(c *cluster, primary, standby string)
		promise time.Duration // of the longest request
	}{
		{"nothing", 2, func(*cluster, string, string) {}, 10 * time.Millisecond},
		{"primary crashes", 2, func(c *cluster, p, _ string) { c.crash(p) }, 250 * time.Millisecond},
		{"primary crashes, of three", 3, func(c *cluster, p, _ string) { c.crash(p) }, 250 * time.Millisecond},
		{"primary loses its power", 2, func(c *cluster, p, _ string) { c.powerOff(p) }, time.Second},
		{"primary freezes", 2, func(c *cluster, p, _ string) { c.freeze(p) }, time.Second},
		{"primary freezes for a moment", 2, func(c *cluster, p, _ string) { c.freezeFor(p, 200*time.Millisecond) }, 300 * time.Millisecond},
		{"primary freezes and wakes", 2, func(c *cluster, p, _ string) { c.freezeFor(p, 900*time.Millisecond) }, time.Second},
		{"primary restarts at once", 2, func(c *cluster, p, _ string) { c.crash(p); c.start(p) }, 250 * time.Millisecond},
		{"primary restarts empty", 2, func(c *cluster, p, _ string) { c.crash(p); c.wipe(p); c.start(p) }, 250 * time.Millisecond},
		{"standby crashes", 2, func(c *cluster, _, s string) { c.crash(s) }, 150 * time.Millisecond},
		{"standby loses its power", 2, func(c *cluster, _, s string) { c.powerOff(s) }, 700 * time.Millisecond},
		{"standby freezes", 2, func(c *cluster, _, s string) { c.freeze(s) }, 700 * time.Millisecond},
		{"primary and monitor are cut", 2, func(c *cluster, p, _ string) { c.net.CutBoth(p, monitorName) }, time.Second},
		{"primary and standby are cut", 2, func(c *cluster, p, s string) { c.net.CutBoth(p, s) }, 700 * time.Millisecond},
		{"primary is alone", 2, func(c *cluster, p, s string) { c.net.CutBoth(p, s); c.net.CutBoth(p, monitorName) }, 1500 * time.Millisecond},
		{"primary and a standby are alone", 3, func(c *cluster, p, s string) {
			c.aside(p)
			c.aside(s)
			c.net.HealBoth(p, s)
		}, 2 * time.Second},
		{"standby and monitor are cut", 2, func(c *cluster, _, s string) { c.net.CutBoth(s, monitorName) }, 50 * time.Millisecond},
		{"connections are reset", 2, func(c *cluster, p, _ string) { c.net.Reset(p, monitorName) }, 250 * time.Millisecond},
		{"a switchover", 2, func(c *cluster, _, _ string) { c.switchover() }, 50 * time.Millisecond},
		{"a switchover, of three", 3, func(c *cluster, _, _ string) { c.switchover() }, 50 * time.Millisecond},
		{"there and back", 2, func(c *cluster, _, _ string) { c.switchover(); c.switchover() }, 50 * time.Millisecond},
		{"primary is told to stop", 2, func(c *cluster, p, _ string) { c.terminate(p) }, 50 * time.Millisecond},
		{"standby is told to stop", 2, func(c *cluster, _, s string) { c.terminate(s) }, 50 * time.Millisecond},
		{"a rolling restart", 2, rollingRestart, 50 * time.Millisecond},
		{"primary goes into maintenance", 2, func(c *cluster, p, _ string) { c.maintain(p, true) }, 50 * time.Millisecond},
		{"standby goes into maintenance", 2, func(c *cluster, _, s string) { c.maintain(s, true) }, 50 * time.Millisecond},
		{"primary crashes while failover is paused", 2, func(c *cluster, p, _ string) {
			c.pauseFailover(true)
			c.crash(p)
			time.Sleep(3 * time.Second)
			c.pauseFailover(false)
		}, 3200 * time.Millisecond},
		{"an operator's failover", 2, func(c *cluster, _, _ string) { c.mustOrder("POST", "/v1/failover", "") }, 250 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, clusterOptions{nodes: test.nodes}, func(_ *testing.T, c *cluster) { c.noneFails(test.hit, test.promise) })
		})
	}
}

// noneFails does harm under strict load and undoes it: no request fails, and none
// takes as long as is promised.
func (c *cluster) noneFails(hit func(c *cluster, primary, standby string), promise time.Duration) {
	c.t.Helper()
	c.plainLinks()
	primary, standby := c.roles()
	l := c.startStrict()
	time.Sleep(300 * time.Millisecond)
	hit(c, primary, standby)
	time.Sleep(1500 * time.Millisecond)
	c.heal()
	c.waitInSync(c.names()...)
	time.Sleep(100 * time.Millisecond)
	longest := l.zeros()
	c.t.Logf("the longest of %d requests took %s", l.calls, longest)
	require.Less(c.t, longest, promise)
}

// heal undoes whatever was done to a cluster.
func (c *cluster) heal() {
	c.net.HealAll()
	c.plainLinks()
	for _, n := range c.http.cluster().Nodes {
		if n.Maintenance {
			c.maintain(n.Name, false)
		}
	}
	for _, name := range c.names() {
		c.revive(name)
	}
}

// freezeFor freezes a node for a while.
func (c *cluster) freezeFor(name string, d time.Duration) {
	c.freeze(name)
	time.Sleep(d)
	c.unfreeze(name)
}

// aside cuts a node off from all others.
func (c *cluster) aside(name string) {
	for _, other := range append(c.names(), monitorName) {
		if other != name {
			c.net.CutBoth(name, other)
		}
	}
}

// rollingRestart restarts every node as an operator does for an upgrade.
func rollingRestart(c *cluster, primary, standby string) {
	for _, name := range []string{standby, primary} {
		c.terminate(name)
		c.start(name)
		c.waitInSync(c.names()...)
	}
}
