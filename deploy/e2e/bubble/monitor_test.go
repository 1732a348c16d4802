package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// The monitor dies at every moment of a failover, and another starts on its
// data: it finishes what was begun, and there is one primary.
func TestMonitorDiesInFailover(t *testing.T) {
	for _, after := range []time.Duration{0, 40, 50, 60, 61, 80} {
		after *= time.Millisecond
		t.Run(after.String(), func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				c.plainLinks()
				primary, standby := c.roles()
				l := c.startLoad("load", 2)
				time.Sleep(300 * time.Millisecond)
				c.crash(primary)
				time.Sleep(after)
				c.crashMonitor()
				c.startMonitor()
				c.waitInSync(standby)
				l.stop()
				require.EqualValues(t, 2, c.group().Epoch)
				c.start(primary)
				c.finish()
				require.EqualValues(t, 2, c.group().Epoch)
			})
		})
	}
}

// The steps of a failover follow each other within a millisecond on a quick
// network. On a slow one the monitor dies between any two of them.
func TestMonitorDiesBetweenSteps(t *testing.T) {
	for _, after := range []time.Duration{70, 90, 100, 110, 120, 130, 150, 200} {
		after *= time.Millisecond
		t.Run(after.String(), func(t *testing.T) {
			inBubble(t, three(), func(t *testing.T, c *cluster) {
				c.slowLinks()
				primary, _ := c.roles()
				c.mustPut("before", "v")
				c.crash(primary)
				time.Sleep(after)
				c.crashMonitor()
				time.Sleep(50 * time.Millisecond)
				c.startMonitor()
				c.eventually("another primary", func() bool { g := c.group(); return g.Serving && g.Primary != primary })
				c.mustPut("after", "v")
				require.EqualValues(t, 2, c.group().Epoch)
				c.start(primary)
				c.finish()
			})
		})
	}
}

// A monitor that starts has heard nobody, which is not a reason to judge.
func TestMonitorStartsOnARunningCluster(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		before := c.group()
		for _, away := range []time.Duration{0, 50 * time.Millisecond, time.Second, 10 * time.Second} {
			c.crashMonitor()
			time.Sleep(away)
			require.Empty(t, c.put(address(before.Primary), "meanwhile-"+away.String(), "v"))
			c.startMonitor()
			c.waitInSync(c.names()...)
			time.Sleep(time.Second)
		}
		c.finish()
		require.Equal(t, before, c.group())
	})
}

// A monitor whose sockets stood still hears everybody at once when it goes on.
func TestMonitorFreezes(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		before := c.group()
		for _, frozen := range []time.Duration{200 * time.Millisecond, 700 * time.Millisecond, 5 * time.Second} {
			c.freeze(monitorName)
			time.Sleep(frozen)
			c.unfreeze(monitorName)
			time.Sleep(2 * time.Second)
			require.Equal(t, before, c.group(), "frozen for %s", frozen)
		}
		c.mustPut("k", "v")
		c.finish()
	})
}

// A standby is lost while there is no monitor: reads and writes wait, and go on
// when either returns.
func TestStandbyLostWithoutMonitor(t *testing.T) {
	for _, back := range []string{"standby", "monitor"} {
		t.Run(back+" returns", func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				primary, standby := c.roles()
				c.crashMonitor()
				c.crash(standby)
				written := make(chan problem.Code, 1)
				go func() { written <- c.put(address(primary), "waits", "v") }()
				time.Sleep(2 * time.Second)
				require.Empty(t, written, "nobody may say that it can do without the standby")
				if back == "monitor" {
					c.startMonitor()
				} else {
					c.start(standby) // the primary tells it where to go
				}
				require.Empty(t, <-written)
				if back == "standby" {
					require.Empty(t, c.put(address(primary), "goes-on", "v"))
					c.startMonitor()
				}
				c.revive(standby)
				c.finish()
			})
		})
	}
}

// The clocks of the nodes are shown and trusted in nothing: one that is an hour
// off changes nothing.
func TestWallClockAnHourOff(t *testing.T) {
	for _, hours := range []int{-1, 1} {
		t.Run(fmt.Sprintf("%+dh", hours), func(t *testing.T) {
			o := two()
			o.network = shiftSent("app2", time.Duration(hours)*time.Hour)
			inBubble(t, o, func(t *testing.T, c *cluster) {
				time.Sleep(time.Second)
				for _, n := range c.http.cluster().Nodes {
					want := int64(0)
					if n.Name == "app2" {
						want = time.Duration(hours * int(time.Hour)).Milliseconds()
					}
					require.InDelta(t, want, n.ClockSkewMS, 200, "the skew of %s is shown", n.Name)
				}
				time.Sleep(5 * time.Second)
				require.EqualValues(t, 1, c.group().Epoch)
				primary, standby := c.roles()
				c.crash(primary)
				c.waitInSync(standby)
				c.start(primary)
				c.finish()
				require.EqualValues(t, 2, c.group().Epoch)
			})
		})
	}
}

// A node with an empty disk returns while the monitor is starting, and is told
// the records before it can be registered.
func TestEmptyNodeMeetsAStartingMonitor(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.crash(primary)
		c.waitInSync(standby)
		c.wipe(primary)
		c.crashMonitor()
		c.start(primary)
		c.startMonitor()
		c.finish()
		g := c.group()
		require.Equal(t, standby, g.Primary)
		require.Equal(t, protocol.Epoch(2), g.Epoch)
	})
}
