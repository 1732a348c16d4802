package bubble

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// The primary cannot be reached by the monitor, but by its standby: the standby
// takes over, and the old primary is fenced.
func TestPrimaryCutFromMonitor(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		l := c.startLoad("load", 2)
		time.Sleep(time.Second)
		c.net.CutBoth(primary, monitorName)
		c.eventually("the standby takes over", func() bool { g := c.group(); return g.Serving && g.Primary == standby })
		c.waitInSync(c.names()...) // the old primary follows the new one, although the monitor is out of its reach
		require.Equal(t, problem.NotPrimary, c.put(address(primary), "to-the-old-primary", "v"))
		l.stop()
		c.net.HealAll()
		c.finish()
		require.EqualValues(t, 2, c.group().Epoch, "healing changes nothing")
	})
}

// Primary and standby cannot reach each other, and the monitor sees both: the
// standby leaves the set, and cannot be promoted.
func TestPrimaryCutFromStandby(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		pause := c.pause("p", func() {
			c.net.CutBoth(primary, standby)
			c.waitInSync(primary)
			time.Sleep(5 * time.Second) // longer than either side's deadlines
		})
		require.Less(t, pause, 700*time.Millisecond)
		g := c.group()
		require.False(t, g.Failover.Possible)
		require.Contains(t, g.Failover.Reason, "only "+primary)
		hb, err := c.http.heartbeat(standby)
		require.NoError(t, err)
		require.Equal(t, protocol.StateCatchingUp, hb.State)
		hb, err = c.http.heartbeat(primary)
		require.NoError(t, err)
		require.False(t, hb.Groups[0].Peers[0].Connected, "a connection that is open and dead is noticed by a deadline")
		c.net.HealAll()
		c.finish()
		require.EqualValues(t, 1, c.group().Epoch)
	})
}

// The primary is alone on one side: it acknowledges nothing.
func TestPrimaryAlone(t *testing.T) {
	for _, nodes := range []int{2, 3} {
		inBubble(t, clusterOptions{nodes: nodes}, func(t *testing.T, c *cluster) {
			primary, _ := c.roles()
			c.mustPut("before", "v")
			for _, host := range append(c.names(), monitorName) {
				if host != primary {
					c.net.CutBoth(primary, host)
				}
			}
			code := c.put(address(primary), "into-the-void", "v")
			require.Equal(t, problem.OutcomeUnknown, code, "nobody else can hold it")
			c.eventually("another primary", func() bool { g := c.group(); return g.Serving && g.Primary != primary })
			c.mustPut("after", "v")
			require.Equal(t, problem.NoPrimary, c.http.get(address(primary), "after").code(), "it would be a stale read")
			stale := c.http.send(http.MethodGet, address(primary)+"/v1/kv/before", "", wire.HeaderConsistency, wire.Stale)
			require.Equal(t, "v", string(stale.body))
			c.net.HealAll()
			c.finish()
			require.EqualValues(t, 2, c.group().Epoch)
		})
	}
}

// With three nodes, {A, S | C, monitor}: the side without the monitor acknowledges
// nothing, however long it lasts.
func TestMinoritySide(t *testing.T) {
	inBubble(t, three(), func(t *testing.T, c *cluster) {
		for _, a := range []string{"app1", "app2"} {
			c.net.CutBoth(a, "app3")
			c.net.CutBoth(a, monitorName)
		}
		c.eventually("the third takes over", func() bool { g := c.group(); return g.Serving && g.Primary == "app3" })
		c.mustPut("majority", "v")
		require.Equal(t, problem.OutcomeUnknown, c.put(address("app1"), "minority", "v"))
		time.Sleep(time.Minute)
		require.NotEmpty(t, c.put(address("app1"), "minority-later", "v"))
		c.mustPut("majority-later", "v")
		c.net.HealAll()
		c.finish()
		require.Equal(t, http.StatusNotFound, c.http.get(monitorAddress, "minority").status)
	})
}

// The standby cannot be reached by the monitor: there are two copies, and no
// failover; the cluster says so.
func TestStandbyCutFromMonitor(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		c.net.CutBoth(standby, monitorName)
		c.eventually("it is said that nobody can take over", func() bool { return !c.group().Failover.Possible })
		g := c.group()
		require.Contains(t, g.Failover.Reason, standby)
		require.Len(t, g.InSync, 2)
		c.mustPut("k", "v")
		c.net.HealAll()
		c.finish()
		require.Equal(t, primary, c.group().Primary)
		require.EqualValues(t, 1, c.group().Epoch)
	})
}

// The monitor is cut from both: clients that reach the primary are served, and
// when it is healed nothing changes.
func TestMonitorCutFromBoth(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		before := c.group()
		for _, name := range c.names() {
			c.net.CutBoth(name, monitorName)
		}
		for i := range 50 {
			require.Empty(t, c.put(address(before.Primary), fmt.Sprintf("direct-%d", i), "v"))
			time.Sleep(100 * time.Millisecond)
		}
		for _, name := range []string{"app2", "app1"} { // the standby is heard first
			c.net.HealBoth(name, monitorName)
			time.Sleep(60 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		c.finish()
		require.Equal(t, before, c.group())
	})
}

// Every direction of every link, cut alone.
func TestOneWayCuts(t *testing.T) {
	for _, cut := range [][2]string{
		{"app1", "app2"},
		{"app2", "app1"},
		{"app1", monitorName},
		{monitorName, "app1"},
		{"app2", monitorName},
		{monitorName, "app2"},
	} {
		t.Run(cut[0]+" to "+cut[1], func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				pause := c.pause("p", func() {
					c.net.Cut(cut[0], cut[1])
					time.Sleep(2500 * time.Millisecond)
					require.True(t, c.group().Serving)
				})
				require.Less(t, pause, time.Second)
				c.net.HealAll()
				c.finish()
			})
		})
	}
}

// Links that delay and lose: slow at worst.
func TestBadLinks(t *testing.T) {
	delayed := memnet.Link{Delay: 200 * time.Millisecond}
	lossy := memnet.Link{Delay: time.Millisecond, Loss: 0.3}
	for _, test := range []struct {
		name      string
		a, b      string
		link      memnet.Link
		failovers bool // may happen: the monitor's own link is bad
	}{
		{"200 ms to the client", clientHost, monitorName, delayed, false},
		{"200 ms between the nodes", "app1", "app2", delayed, false},
		{"200 ms from standby to monitor", "app2", monitorName, delayed, false},
		{"200 ms from primary to monitor", "app1", monitorName, delayed, true},
		{"loss to the client", clientHost, monitorName, lossy, false},
		{"loss between the nodes", "app1", "app2", lossy, false},
		{"loss from standby to monitor", "app2", monitorName, lossy, false},
		{"loss from primary to monitor", "app1", monitorName, lossy, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				c.link(test.a, test.b, test.link)
				l := c.startLoad("load", 2)
				time.Sleep(5 * time.Second)
				l.stop()
				c.net.HealAll()
				c.finish()
				require.Greater(t, c.ledger.acknowledged(), 5)
				if !test.failovers {
					require.EqualValues(t, 1, c.group().Epoch, "no needless failover")
					require.Equal(t, c.ledger.acknowledged(), c.ledger.total(), "slow, and no worse")
				}
			})
		})
	}
}
