package bubble

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

func TestClusterStartsFailsOverAndEnds(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		primary, standby := c.roles()
		require.Equal(t, "app1", primary, "the lowest name is the first primary")
		c.mustPut("before", "1")

		c.crash(primary)
		c.waitInSync(standby)
		require.Equal(t, "1", string(c.http.get(monitorAddress, "before").body))
		c.mustPut("between", "2")

		c.start(primary)
		g := c.waitInSync(c.names()...)
		require.Equal(t, standby, g.Primary, "the old primary returns as standby")
		require.EqualValues(t, 2, g.Epoch)
		c.mustPut("after", "3")
		c.finish()
	})
}

// A primary that is frozen past its reign wakes up among clients that are still
// connected to it: it acknowledges nothing, and answers nothing that is old.
func TestFrozenPrimaryWakes(t *testing.T) {
	for _, nodes := range []int{2, 3} {
		inBubble(t, clusterOptions{nodes: nodes}, func(t *testing.T, c *cluster) {
			c.plainLinks()
			primary, _ := c.roles()
			l := c.startLoad("load", 4) // it reads at the frozen one, too
			time.Sleep(500 * time.Millisecond)
			waiting := make(chan problem.Code, 1)
			c.freeze(primary)
			go func() { waiting <- c.put(address(primary), "sent-while-frozen", "v") }()
			c.eventually("another primary", func() bool { g := c.group(); return g.Serving && g.Primary != primary })
			time.Sleep(time.Second)
			c.unfreeze(primary)
			require.NotEmpty(t, <-waiting)
			c.waitInSync(c.names()...)
			l.stop()
			c.finish()
			require.EqualValues(t, 2, c.group().Epoch)
		})
	}
}

// The promises about time, at default settings, on a network of 0.2 ms.
func TestPausesArePromised(t *testing.T) {
	for _, test := range []struct {
		name    string
		hit     func(c *cluster, primary, standby string)
		promise time.Duration
	}{
		{"crashed primary", func(c *cluster, primary, _ string) { c.crash(primary) }, 250 * time.Millisecond},
		{"silent primary", func(c *cluster, primary, _ string) { c.powerOff(primary) }, time.Second},
		{"frozen primary", func(c *cluster, primary, _ string) { c.freeze(primary) }, time.Second},
		{"crashed standby", func(c *cluster, _, standby string) { c.crash(standby) }, 150 * time.Millisecond},
		{"silent standby", func(c *cluster, _, standby string) { c.powerOff(standby) }, 700 * time.Millisecond},
		{"frozen standby", func(c *cluster, _, standby string) { c.freeze(standby) }, 700 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				c.plainLinks()
				primary, standby := c.roles()
				pause := c.pause("p", func() {
					time.Sleep(300 * time.Millisecond)
					test.hit(c, primary, standby)
					time.Sleep(1500 * time.Millisecond)
				})
				t.Logf("pause %s", pause)
				require.Less(t, pause, test.promise)
				c.revive(primary)
				c.revive(standby)
				c.finish()
			})
		})
	}
}
