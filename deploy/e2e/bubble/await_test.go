package bubble

import (
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

// poll is how often a condition is looked at, patience how long, in fake time.
const (
	poll     = 5 * time.Millisecond
	patience = 3 * time.Minute
)

func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(poll) {
		if time.Since(began) > patience {
			require.FailNow(c.t, "waited in vain", "%s; the cluster: %+v", what, c.http.cluster())
		}
	}
}

// group returns the group as the monitor sees it.
func (c *cluster) group() wire.GroupView {
	if groups := c.http.cluster().Groups; len(groups) == 1 {
		return groups[0]
	}
	return wire.GroupView{}
}

// waitInSync waits until exactly these nodes are in sync and the primary serves.
func (c *cluster) waitInSync(names ...string) wire.GroupView {
	c.t.Helper()
	slices.Sort(names)
	var g wire.GroupView
	c.eventually("in sync and served: "+strings.Join(names, ", "), func() bool {
		g = c.group()
		return g.Serving && slices.Equal(g.InSync, names)
	})
	return g
}

// roles returns the names of the primary and of one standby.
func (c *cluster) roles() (primary, standby string) {
	g := c.group()
	for _, name := range c.names() {
		if name != g.Primary && standby == "" {
			standby = name
		}
	}
	return g.Primary, standby
}

// finish waits until every node is in sync, and judges everything: the replicas
// are equal, and the ledger holds against them.
func (c *cluster) finish() {
	c.t.Helper()
	c.waitInSync(c.names()...)
	states := map[string]state{}
	c.eventually("replicas that are equal", func() bool {
		clear(states)
		for _, name := range c.names() {
			s, err := c.http.replica(name)
			if err != nil {
				return false
			}
			states[name] = s
		}
		first := states[c.names()[0]]
		for _, s := range states {
			if s.position != first.position {
				return false
			}
		}
		return true
	})
	for _, name := range c.names() {
		require.Equal(c.t, states[c.names()[0]], states[name], "%s differs", name)
		c.ledger.judge(states[name].values)
	}
}
