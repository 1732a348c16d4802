package bubble

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// The leader alone cannot hear the primary: another monitor leads instead, and
// nothing fails over.
func TestDeafLeader(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, _ := c.roles()
		leader := c.leader()
		c.via = monitorAt(c.followers()[0])
		l := c.startLoad("load", 2)
		time.Sleep(500 * time.Millisecond)
		c.net.CutBoth(leader, primary)
		time.Sleep(5 * time.Second)
		require.NotEqual(t, leader, c.leader())
		require.EqualValues(t, 1, c.group().Epoch, "nothing failed over")
		l.stop()
		require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
		require.True(t, slices.ContainsFunc(c.past(), func(e protocol.HistoryEvent) bool { return e.Kind == "leader-deaf" && e.Node == primary }))
		c.net.HealAll()
		c.finish()
	})
}

// A primary that no monitor hears is failed over, however the others are asked.
func TestPrimaryThatNobodyHears(t *testing.T) {
	inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, _ := c.roles()
		leader := c.leader()
		c.via = monitorAt(c.followers()[0])
		pause := c.pause("p", func() {
			time.Sleep(300 * time.Millisecond)
			c.powerOff(primary)
			time.Sleep(2 * time.Second)
		})
		require.Less(t, pause, time.Second)
		require.Equal(t, leader, c.leader())
		c.start(primary)
		c.finish()
		require.EqualValues(t, 2, c.group().Epoch)
	})
}
