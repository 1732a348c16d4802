package bubble

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
