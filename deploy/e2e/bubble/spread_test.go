package bubble

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// spread has reads answered by every replica in turn.
func spread(o clusterOptions) clusterOptions {
	before := o.settings
	o.settings = func(s *protocol.Settings) {
		if before != nil {
			before(s)
		}
		s.Reads = protocol.ReadsSpread
	}
	return o
}

// shares reads a key n times through the monitor, and counts who answers.
func (c *cluster) shares(n int) map[string]int {
	c.t.Helper()
	counts := map[string]int{}
	for range n {
		a := c.http.get(monitorAddress, "k")
		require.Empty(c.t, a.code())
		require.Equal(c.t, "v", string(a.body))
		counts[a.header.Get(wire.HeaderNode)]++
	}
	return counts
}

// Reads are spread evenly, from the setting on, until it is taken back, and never
// to who is not in sync.
func TestReadsAreSpread(t *testing.T) {
	inBubble(t, three(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, standby := c.roles()
		c.mustPut("k", "v")
		require.Equal(t, map[string]int{primary: 30}, c.shares(30))
		c.mustOrder(http.MethodPatch, "/v1/config", `{"reads":"spread"}`)
		require.Equal(t, map[string]int{"app1": 100, "app2": 100, "app3": 100}, c.shares(300))
		c.maintain(standby, true)
		c.eventually("out", func() bool { return len(c.group().InSync) == 2 })
		require.NotContains(t, c.shares(30), standby)
		c.maintain(standby, false)
		c.waitInSync(c.names()...)
		require.Equal(t, map[string]int{"app1": 100, "app2": 100, "app3": 100}, c.shares(300))
		require.Equal(t, http.StatusBadRequest, c.order(http.MethodPatch, "/v1/config", `{"reads":"standby"}`).status)
		c.mustOrder(http.MethodPatch, "/v1/config", `{"reads":"primary"}`)
		require.Equal(t, map[string]int{primary: 30}, c.shares(30))
		c.finish()
	})
}

// Also where reads are spread no request fails, whatever befalls one node or one
// link, and none is stale.
func TestNoSpreadRequestFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		hit     func(c *cluster, primary, standby string)
		promise time.Duration // of the longest request
	}{
		{"nothing", func(*cluster, string, string) {}, 10 * time.Millisecond},
		{"primary crashes", func(c *cluster, p, _ string) { c.crash(p) }, 250 * time.Millisecond},
		{"primary freezes", func(c *cluster, p, _ string) { c.freeze(p) }, time.Second},
		{"primary freezes and wakes", func(c *cluster, p, _ string) { c.freezeFor(p, 900*time.Millisecond) }, time.Second},
		{"primary and monitor are cut", func(c *cluster, p, _ string) { c.net.CutBoth(p, monitorName) }, time.Second},
		{"primary and a standby are alone", func(c *cluster, p, s string) {
			c.aside(p)
			c.aside(s)
			c.net.HealBoth(p, s)
		}, 2 * time.Second},
		{"standby crashes", func(c *cluster, _, s string) { c.crash(s) }, 150 * time.Millisecond},
		{"standby restarts empty", func(c *cluster, _, s string) { c.crash(s); c.wipe(s); c.start(s) }, 150 * time.Millisecond},
		{"standby loses its power", func(c *cluster, _, s string) { c.powerOff(s) }, 700 * time.Millisecond},
		{"standby freezes", func(c *cluster, _, s string) { c.freeze(s) }, 700 * time.Millisecond},
		{"standby freezes for a moment", func(c *cluster, _, s string) { c.freezeFor(s, 200*time.Millisecond) }, 300 * time.Millisecond},
		{"primary and standby are cut", func(c *cluster, p, s string) { c.net.CutBoth(p, s) }, 700 * time.Millisecond},
		{"standby and monitor are cut", func(c *cluster, _, s string) { c.net.CutBoth(s, monitorName) }, 75 * time.Millisecond},
		{"standby does not hear the monitor", func(c *cluster, _, s string) { c.net.Cut(monitorName, s) }, 75 * time.Millisecond},
		{"the monitor does not hear the standby", func(c *cluster, _, s string) { c.net.Cut(s, monitorName) }, 75 * time.Millisecond},
		{"connections are reset", func(c *cluster, _, s string) { c.net.Reset(s, monitorName) }, 50 * time.Millisecond},
		{"a switchover", func(c *cluster, _, _ string) { c.switchover() }, 50 * time.Millisecond},
		{"standby is told to stop", func(c *cluster, _, s string) { c.terminate(s) }, 50 * time.Millisecond},
		{"a rolling restart", rollingRestart, 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, spread(three()), func(_ *testing.T, c *cluster) { c.noneFails(test.hit, test.promise) })
		})
	}
}

// Trouble and harm at random moments, as without spread reads.
func TestSpreadTroubleWithoutAFailure(t *testing.T) {
	forSeeds(t, func(t *testing.T, seed uint64, o clusterOptions) {
		inBubble(t, spread(o), func(t *testing.T, c *cluster) {
			c.troubles(rand.New(rand.NewPCG(seed, 3)))
		})
	})
}

func TestSpreadChaos(t *testing.T) {
	forSeeds(t, func(t *testing.T, seed uint64, o clusterOptions) {
		inBubble(t, spread(o), func(t *testing.T, c *cluster) { newChaos(c, seed+1000).run() })
	})
}
