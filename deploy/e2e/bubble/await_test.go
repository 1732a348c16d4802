package bubble

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

// poll is how often a condition is looked at, patience how long, in fake time.
const (
	poll     = 5 * time.Millisecond
	patience = 90 * time.Second
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

// waitCopies waits until the primary serves, as many copies as are wanted are in
// sync, and there are no other members.
func (c *cluster) waitCopies() wire.GroupView {
	c.t.Helper()
	var g wire.GroupView
	n := c.copies()
	c.eventually(fmt.Sprintf("%d copies", n), func() bool {
		g = c.group()
		return g.Serving && len(g.InSync) == n && len(g.Members) == n
	})
	return g
}

// finish waits for the wanted copies, and judges everything: they are equal, and the
// ledger holds against them.
func (c *cluster) finish() {
	c.t.Helper()
	holders := c.waitCopies().InSync
	var states []state
	c.eventually("copies that are equal", func() bool {
		states = nil
		for _, name := range holders {
			s, err := c.http.replica(name)
			if err != nil || len(states) > 0 && s.position != states[0].position {
				return false
			}
			states = append(states, s)
		}
		return true
	})
	for i, name := range holders {
		require.Equal(c.t, states[0], states[i], "%s differs", name)
		c.ledger.judge(states[i].values)
	}
}
