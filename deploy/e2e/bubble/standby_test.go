package bubble

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// A standby that takes 100 ms for each answer slows writes down for a while,
// and is then moved out.
func TestSlowStandbyIsMovedOut(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.net.SetLink(standby, primary, memnet.Link{Delay: 100 * time.Millisecond})
		began := time.Now()
		pause := c.pause("p", func() { c.waitInSync(primary) })
		require.Less(t, time.Since(began), 5*time.Second)
		require.Less(t, pause, 700*time.Millisecond)
		began = time.Now()
		c.mustPut("quick", "v")
		require.Less(t, time.Since(began), 10*time.Millisecond)
		c.net.HealAll()
		c.finish()
	})
}

// A standby on a link of 1 KiB/s is moved out as well.
func TestStarvedStandbyIsMovedOut(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.net.SetLink(primary, standby, memnet.Link{Rate: 1 << 10})
		pause := c.pause("p", func() { c.waitInSync(primary) })
		require.Less(t, pause, 700*time.Millisecond)
		c.net.HealAll()
		c.finish()
	})
}

// A standby that comes and goes is kept out for longer each time.
func TestFlappingStandbyIsKeptOut(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		var outs []time.Duration
		for range 5 {
			c.waitInSync(c.names()...)
			c.freeze(standby)
			c.waitInSync(primary)
			c.unfreeze(standby)
			out := time.Now()
			c.waitInSync(c.names()...)
			outs = append(outs, time.Since(out))
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16} {
			require.InDelta(t, (want * time.Second).Seconds(), outs[i].Seconds(), 0.7, "time %d it was out for %s", i+1, outs[i])
		}
		require.EqualValues(t, 1, c.group().Epoch)
		c.finish()
	})
}

// big is a value that fills half a segment.
func big() string { return strings.Repeat("x", segmentBytes/2) }

// A standby without room says so and is removed at once; writes go on.
func TestFullDiskAtStandby(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.nodes[standby].disk.FailAlways("journal prepare", syscall.ENOSPC)
		for i := range 10 { // more than the segments that it has
			c.mustPut(fmt.Sprintf("big-%d", i), big())
		}
		c.waitInSync(primary)
		c.mustPut("alone", "v")
		require.False(t, c.group().Failover.Possible)
		c.nodes[standby].disk.Heal("journal prepare")
		c.finish()
	})
}

// A primary without room refuses writes and serves reads; there is no failover.
func TestFullDiskAtPrimary(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, _ := c.roles()
		c.mustPut("before", "v")
		c.nodes[primary].disk.FailAlways("journal prepare", syscall.ENOSPC)
		code := problem.Code("")
		for i := 0; i < 10 && code == ""; i++ {
			code = c.put(monitorAddress, fmt.Sprintf("big-%d", i), big())
		}
		require.Equal(t, problem.DiskFull, code)
		require.Equal(t, "v", string(c.http.get(monitorAddress, "before").body))
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 1, c.group().Epoch)
		c.nodes[primary].disk.Heal("journal prepare")
		c.eventually("room is noticed", func() bool { return c.put(monitorAddress, "room", "v") == "" })
		c.ledger.forgetRefusal("room")
		c.finish()
	})
}

// A failed sync ends the primary: it acknowledges nothing more, and its journal
// counts for nothing until it has been copied anew.
func TestFailedSyncAtPrimary(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, standby := c.roles()
		l := c.startLoad("load", 3)
		time.Sleep(500 * time.Millisecond)
		c.nodes[primary].disk.Fail("journal sync", 1, syscall.EIO)
		c.waitInSync(standby)
		l.stop()
		<-c.nodes[primary].ended
		require.ErrorContains(t, c.nodes[primary].err, syscall.EIO.Error())
		c.net.Crash(primary)
		c.start(primary)
		c.finish()
		require.Equal(t, 1, c.story.count("setting its data aside"))
	})
}

func TestFailedSyncAtStandby(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, standby := c.roles()
		pause := c.pause("p", func() {
			c.nodes[standby].disk.Fail("journal sync", 1, syscall.EIO)
			c.waitInSync(primary)
		})
		require.Less(t, pause, 150*time.Millisecond)
		<-c.nodes[standby].ended
		c.net.Crash(standby)
		c.start(standby)
		c.finish()
	})
}

// A disk that does not answer for 2 s is as good as dead, if there is another.
func TestStalledDiskAtPrimary(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		release := c.nodes[primary].disk.Stall("journal sync")
		pause := c.pause("p", func() {
			c.eventually("the standby takes over", func() bool { g := c.group(); return g.Serving && g.Primary == standby })
			time.Sleep(time.Second)
		})
		require.Less(t, pause, 3*time.Second)
		hb, err := c.http.heartbeat(primary)
		require.NoError(t, err, "a heartbeat never waits for a disk")
		require.Greater(t, hb.Disk.OldestUnsyncedMS, int64(2000))
		release()
		c.finish()
	})
}

func TestStalledDiskAtStandby(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		release := c.nodes[standby].disk.Stall("journal sync")
		pause := c.pause("p", func() {
			c.waitInSync(primary)
			time.Sleep(time.Second)
		})
		require.Less(t, pause, 700*time.Millisecond)
		release()
		c.finish()
	})
}

// A restart that is quicker than the expiry: the new boot does not go on in the
// old epoch.
func TestQuickRestarts(t *testing.T) {
	for _, wiped := range []bool{false, true} {
		for _, who := range []string{"primary", "standby"} {
			name := who + " with its data"
			if wiped {
				name = who + " with an empty disk"
			}
			t.Run(name, func(t *testing.T) {
				inBubble(t, two(), func(t *testing.T, c *cluster) {
					c.plainLinks()
					primary, standby := c.roles()
					node, other := primary, standby
					if who == "standby" {
						node, other = standby, primary
					}
					l := c.startLoad("load", 3)
					time.Sleep(500 * time.Millisecond)
					c.crash(node)
					if wiped {
						c.wipe(node)
					}
					c.start(node)
					time.Sleep(time.Second)
					l.stop()
					require.Equal(t, other, c.group().Primary)
					c.finish()
					require.Equal(t, other, c.group().Primary)
				})
			})
		}
	}
}

// Both are lost and return in either order, with or without the monitor.
func TestBothDie(t *testing.T) {
	for _, first := range []int{0, 1} {
		for _, monitor := range []bool{false, true} {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				names := c.names()
				l := c.startLoad("load", 3)
				time.Sleep(300 * time.Millisecond)
				for _, name := range names {
					c.crash(name)
				}
				if monitor {
					c.crashMonitor()
					c.startMonitor()
				}
				time.Sleep(time.Second)
				c.start(names[first])
				c.eventually("the one that is back serves: it holds everything", func() bool { return c.group().Serving })
				l.stop()
				c.start(names[1-first])
				c.finish()
			})
		}
	}
}

// The last one in sync is lost: its standby returns first, and is refused.
func TestStaleStandbyIsRefused(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.crash(standby)
		c.waitInSync(primary)
		c.mustPut("alone", "v")
		c.crash(primary)
		c.start(standby)
		time.Sleep(5 * time.Second)
		g := c.group()
		require.False(t, g.Serving)
		require.Contains(t, g.Failover.Reason, primary)
		require.Equal(t, http.StatusServiceUnavailable, c.http.get(monitorAddress, "alone").status)
		c.start(primary)
		c.finish()
		require.Equal(t, "v", string(c.http.get(monitorAddress, "alone").body))
	})
}

// The standby takes over, serves alone and dies; the old primary returns alone,
// and is refused.
func TestOldPrimaryIsRefused(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.crash(primary)
		c.waitInSync(standby)
		c.mustPut("in-epoch-2", "v")
		c.crash(standby)
		c.start(primary)
		time.Sleep(5 * time.Second)
		g := c.group()
		require.False(t, g.Serving)
		require.Contains(t, g.Failover.Reason, standby)
		c.start(standby)
		c.finish()
	})
}

// A tail that the standby never had is set aside when the old primary returns.
func TestTailIsSetAside(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.mustPut("both", "v")
		c.net.Cut(primary, standby)
		a := c.http.sendWithin(50*time.Millisecond, http.MethodPut, monitorAddress+"/v1/kv/one", "v")
		require.Error(t, a.err)
		c.ledger.note("one", "v", a)
		c.crash(primary)
		c.waitInSync(standby)
		c.net.HealAll()
		c.start(primary)
		c.finish()
		require.Equal(t, 1, c.story.count("records that the primary does not have were set aside"))
		hb, err := c.http.heartbeat(primary)
		require.NoError(t, err)
		require.Equal(t, protocol.StateStandby, hb.State)
	})
}
