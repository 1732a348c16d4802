package bubble

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func threeMonitors() clusterOptions { return clusterOptions{nodes: 3, monitors: 3} }

// Three equal monitors that start at the same moment have a leader within a second,
// whatever the elections' dice say.
func TestMonitorsBeginTogether(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, dir, threeMonitors())
			began := time.Now()
			for _, name := range c.monitorNames() {
				c.startMonitorOf(name)
			}
			c.eventually("a leader", func() bool { return c.leader() != "" })
			require.Less(t, time.Since(began), time.Second)
		})
	}
}

// The leader dies under load through another monitor: nobody notices.
func TestLeaderDies(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		leader := c.leader()
		c.via = monitorAt(c.followers()[0])
		l := c.startLoad("load", 3)
		time.Sleep(time.Second)
		c.crashMonitorOf(leader)
		began := time.Now()
		c.eventually("another leader", func() bool { next := c.leader(); return next != "" && next != leader })
		t.Logf("another leader after %s", time.Since(began))
		time.Sleep(time.Second)
		l.stop()
		require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
		c.startMonitorOf(leader)
		c.finish()
		require.EqualValues(t, 1, c.group().Epoch)
	})
}

// The leader and the primary die at the same instant: another monitor takes over
// and fails over.
func TestLeaderAndPrimaryDie(t *testing.T) {
	for range 10 {
		inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
			c.plainLinks()
			leader := c.leader()
			c.via = monitorAt(c.followers()[0])
			primary, _ := c.roles()
			pause := c.pause("p", func() {
				time.Sleep(300 * time.Millisecond)
				c.crashMonitorOf(leader)
				c.crash(primary)
				time.Sleep(3 * time.Second)
			})
			t.Logf("pause %s", pause)
			require.Less(t, pause, 1500*time.Millisecond)
			require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
			c.startMonitorOf(leader)
			c.start(primary)
			c.finish()
			require.EqualValues(t, 2, c.group().Epoch)
		})
	}
}
