package bubble

import (
	"testing"

	"understudy.example/pkg/protocol"
)

// chained has the standbys take their streams from one another.
func chained(o clusterOptions) clusterOptions {
	with := o.settings
	o.settings = func(s *protocol.Settings) {
		if with != nil {
			with(s)
		}
		s.Topology = protocol.Chain
	}
	return o
}

// waitChained waits until all standbys in sync but the first take their streams
// from another one.
func (c *cluster) waitChained() {
	c.t.Helper()
	c.eventually("a chain", func() bool {
		view, relayed := c.http.cluster(), 0
		if len(view.Groups) != 1 {
			return false
		}
		for _, n := range view.Nodes {
			for _, g := range n.Groups {
				if g.Upstream != "" && g.Upstream != view.Groups[0].Primary {
					relayed++
				}
			}
		}
		return relayed == len(view.Groups[0].InSync)-2
	})
}

// TestChaosInAChain does the harm of TestChaos to a chain, whose links are cut,
// frozen and killed as well.
func TestChaosInAChain(t *testing.T) {
	forSeeds(t, func(t *testing.T, seed uint64, _ clusterOptions) {
		inBubble(t, chained(clusterOptions{nodes: 3 + 2*int(seed%2)}), func(t *testing.T, c *cluster) {
			c.waitChained()
			newChaos(c, seed).run()
			c.waitChained()
		})
	})
}
