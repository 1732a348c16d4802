package bubble

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// loseRegistry has every monitor die with its disk, and starts them again as new.
func (c *cluster) loseRegistry() {
	c.story.note("the registry is lost")
	for _, name := range c.monitorNames() {
		c.crashMonitorOf(name)
	}
	for _, name := range c.monitorNames() {
		c.wipeMonitor(name)
		c.startMonitorOf(name)
	}
	c.eventually("a leader", func() bool { return c.leader() != "" })
	time.Sleep(2 * time.Second) // whoever is there has knocked
}

// adopt orders that the registry be rebuilt with a node as the primary.
func (c *cluster) adopt(node string, force bool) answer {
	order, err := json.Marshal(wire.AdoptOrder{Node: node, Reason: "the disk is lost", Force: force})
	require.NoError(c.t, err)
	return c.order(http.MethodPost, wire.PathAdopt, string(order))
}

func (c *cluster) adopted(node string, force bool) wire.Adopted {
	c.t.Helper()
	a := c.adopt(node, force)
	require.Empty(c.t, a.code(), "%s", a.body)
	var out wire.Adopted
	require.NoError(c.t, json.Unmarshal(a.body, &out))
	require.True(c.t, out.Serving)
	return out
}

func (c *cluster) refusesAdoption(node string, code problem.Code, why string) {
	c.t.Helper()
	a := c.adopt(node, false)
	require.Equal(c.t, code, a.code(), "%s", a.body)
	require.ErrorContains(c.t, a.failure(), why)
}

// The monitor loses its disk under load, and both nodes live on: they are refused with
// a way out, applications that reach them go on, and all that was acknowledged is there
// when the registry is rebuilt.
func TestALostRegistryIsAdopted(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		lib := c.library()
		defer lib.Close()
		k := c.count(lib, 3)
		l := c.startLoad("load", 3)
		time.Sleep(time.Second)
		primary, standby := c.roles()
		cluster := c.http.cluster().Cluster
		c.loseRegistry()

		now := c.http.cluster()
		require.NotEqual(t, cluster, now.Cluster)
		require.Empty(t, now.Nodes, "an empty registry takes no journals")
		require.Len(t, now.Refused, 2)
		require.NotZero(t, c.story.count("client -adopt"), "the log says what to do")
		p := newScraper(c)
		p.scrape()
		p.expect("UnderstudyNoPrimary", "UnderstudyHearsNoMonitor")
		c.refusesAdoption(standby, problem.WouldLoseData, primary+" is the primary and serves")
		require.Equal(t, problem.NotFound, c.adopt("app9", true).code())

		out := c.adopted(primary, false)
		require.Equal(t, cluster, out.Cluster)
		require.Empty(t, out.Loss)
		c.waitInSync(c.names()...)
		time.Sleep(time.Second)
		l.stop()
		k.stop()
		require.Less(t, k.longer, time.Second, "who reaches the nodes did without the monitor")
		c.finish()
		g := c.group()
		require.EqualValues(t, 1002, g.Epoch, "no epoch is used twice")
		require.Equal(t, primary, g.Primary)
		require.Empty(t, c.http.cluster().Refused)
		require.True(t, slices.ContainsFunc(c.past(), func(e protocol.HistoryEvent) bool { return e.Kind == protocol.KindAdopted }))

		c.crash(primary) // and the cluster is what it was
		c.eventually("the standby serves", func() bool { g := c.group(); return g.Serving && g.Primary == standby })
		c.mustPut("after", "1")
		c.start(primary)
		c.finish()
		require.Equal(t, problem.StaleVersion, c.adopt(standby, true).code(), "it is in use")
	})
}

// A node that lags is all that is left of the cluster. It is adopted by force, and
// what it lacks is lost as it was said, also for whoever brings it back.
func TestALostRegistryIsAdoptedByForce(t *testing.T) {
	for _, test := range []struct {
		name  string
		there bool // the one that is ahead is heard, too
	}{{"alone", false}, {"beside the one that is ahead", true}} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				first, second := c.roles()
				put := func(key, value string) string {
					a := c.http.put(monitorAddress, key, value)
					require.Empty(t, a.code(), "%s", a.body)
					return a.header.Get(wire.HeaderPosition)
				}
				put("kept", "1")
				if test.there {
					c.net.Cut(first, second)
					c.net.Cut(second, first)
				} else {
					c.crash(second)
				}
				c.waitInSync(first)
				lost := put("lost", "1")
				put("lost", "2") // whose record says that the first was committed
				if !test.there {
					c.powerOff(first)
				}
				c.crashMonitor()
				if !test.there {
					c.start(second)
				}
				c.loseRegistry()
				why := "has started anew"
				if test.there {
					why = first + " is the primary and serves"
				}
				c.refusesAdoption(second, problem.WouldLoseData, why)
				out := c.adopted(second, true)
				require.Contains(t, out.Loss, why)
				require.Greater(t, out.Groups[0].Epoch, protocol.Epoch(1000), "no epoch is used twice, though somebody was not heard")
				require.Equal(t, "1", string(c.http.get(monitorAddress, "kept").body))
				require.Equal(t, problem.NotFound, c.http.get(monitorAddress, "lost").code())
				put("after", "1")
				a := c.http.send(http.MethodGet, address(second)+"/v1/kv/kept", "", wire.HeaderConsistency, wire.Session, wire.HeaderPosition, lost)
				require.Equal(t, problem.HistoryLost, a.code(), "a position of the lost branch")
				if !test.there {
					c.start(first)
				}
				c.net.HealAll()
				c.waitInSync(first, second)
				require.Equal(t, 1, c.story.count("the group goes on without what only this replica holds"))
				for _, name := range c.names() {
					s, err := c.http.replica(name)
					require.NoError(t, err)
					require.Equal(t, map[string]string{"kept": "1", "after": "1"}, s.values, name)
				}
			})
		})
	}
}

// The primary is alone, alive and cut off from the new monitor: nothing is guessed.
// Overruled, it learns of it as soon as it is reached, though it knew a higher version.
func TestAnAdoptionWithoutALivingPrimary(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		first, second := c.roles()
		c.net.Cut(first, second)
		c.net.Cut(second, first)
		c.waitInSync(first)
		c.mustPut("lost", "1")
		c.net.Cut(first, monitorName)
		c.net.Cut(monitorName, first)
		c.loseRegistry()
		c.refusesAdoption(second, problem.WouldLoseData, first+", which "+second+" knows, has not been heard")
		require.Empty(t, c.http.put(address(first), "lost", "2").code(), "it cannot know")
		c.adopted(second, true)
		c.net.HealAll()
		c.plainLinks()
		c.waitInSync(first, second)
		require.Equal(t, second, c.group().Primary)
		require.Equal(t, problem.NotFound, c.http.get(address(first), "lost").code())
	})
}

// The monitor comes back with an old copy of its disk.
func TestAnOldCopyOfTheRegistryIsAdopted(t *testing.T) {
	inBubble(t, three(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		c.stopMonitorOf(monitorName)
		data, copied := filepath.Join(c.dir, monitorName), filepath.Join(c.dir, "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(data)))
		c.startMonitor()
		c.waitInSync(c.names()...)
		first, _ := c.roles()
		c.crash(first)
		c.eventually("a successor", func() bool { g := c.group(); return g.Serving && g.Epoch == 2 })
		c.mustPut("kept", "1")
		c.start(first)
		c.waitInSync(c.names()...)

		c.crashMonitor()
		c.wipeMonitor(monitorName)
		require.NoError(t, os.CopyFS(data, os.DirFS(copied)))
		c.startMonitor()
		c.eventually("a refusal", func() bool { return c.story.count("the registry is older than the nodes") > 0 })
		require.False(t, c.group().Failover.Possible)
		require.Contains(t, c.group().Failover.Reason, "client -adopt")
		var serving string
		for _, name := range c.names() {
			if hb, err := c.http.heartbeat(name); err == nil && hb.Groups[0].Serving {
				serving = name
			}
		}
		c.refusesAdoption(first, problem.WouldLoseData, serving+" is the primary and serves")
		out := c.adopted(serving, false)
		require.EqualValues(t, 1003, out.Groups[0].Epoch)
		c.waitInSync(c.names()...)
		require.Equal(t, "1", string(c.http.get(monitorAddress, "kept").body))
		c.finish()
	})
}

// All of several monitors lose their disks. The order is given to one that follows.
func TestAllMonitorsAreLostAndTheRegistryAdopted(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		l := c.startLoad("load", 2)
		time.Sleep(500 * time.Millisecond)
		primary, _ := c.roles()
		c.loseRegistry()
		a := c.http.send(http.MethodPost, monitorAt(c.followers()[0])+wire.PathAdopt, `{"node":"`+primary+`","reason":"fire"}`)
		require.Empty(t, a.code(), "%s", a.body)
		c.waitInSync(c.names()...)
		leader := c.leader()
		c.crashMonitorOf(leader)
		c.crash(primary)
		c.eventually("a successor", func() bool { g := c.group(); return g.Serving && g.Primary != primary })
		c.startMonitorOf(leader)
		c.start(primary)
		c.waitInSync(c.names()...)
		l.stop()
		c.finish()
	})
}

// A node came with an empty disk when the registry was lost: no empty map is born
// beside the old one. It is of the new cluster by then, and starts again from nothing.
func TestNoEmptyMapIsBornBesideALostRegistry(t *testing.T) {
	inBubble(t, three(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		c.mustPut("kept", "1")
		primary, _ := c.roles()
		empty := "app3"
		require.NotEqual(t, primary, empty)
		for _, other := range []string{"app1", "app2"} { // who would tell it where it belongs
			c.net.Cut(empty, other)
			c.net.Cut(other, empty)
		}
		c.crash(empty)
		c.wipe(empty)
		c.waitInSync("app1", "app2")
		c.crashMonitor()
		c.start(empty)
		c.loseRegistry()
		require.Empty(t, c.group().Members)
		require.NotZero(t, c.story.count("birth-held"))
		c.refusesAdoption(primary, problem.WouldLoseData, empty+", which app1 knows, has not been heard")
		c.adopted(primary, true)
		c.net.HealAll()
		c.waitInSync("app1", "app2")
		require.Equal(t, "1", string(c.http.get(monitorAddress, "kept").body))
		c.eventually("it is refused", func() bool { r := c.http.cluster().Refused; return len(r) == 1 && r[0].Name == empty })
		c.crash(empty)
		c.wipe(empty)
		c.start(empty)
		c.waitInSync(c.names()...)
		c.finish()
	})
}

// A node that was away while the registry was rebuilt finds its way back by itself.
func TestWhoWasAwayDuringAnAdoptionFollows(t *testing.T) {
	inBubble(t, three(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, _ := c.roles()
		c.mustPut("kept", "1")
		c.crash("app3")
		c.waitInSync("app1", "app2")
		c.loseRegistry()
		c.refusesAdoption(primary, problem.WouldLoseData, "app3")
		c.adopted(primary, true)
		c.waitInSync("app1", "app2")
		c.mustPut("kept", "2")
		c.start("app3")
		c.waitInSync(c.names()...)
		require.Zero(t, c.story.count("the group goes on without what only this replica holds"), "it had nothing but what counts")
		c.finish()
	})
}
