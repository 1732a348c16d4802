package bubble

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// replaceAfter is how long a member is waited for, and catchUp how long a spare may
// take to be in sync.
const (
	replaceAfter = 30 * time.Second
	catchUp      = 5 * time.Second
)

// withSpares runs a scenario on more nodes than there are copies.
func withSpares(t *testing.T, nodes, copies int, scenario func(t *testing.T, c *cluster)) {
	t.Helper()
	inBubble(t, clusterOptions{nodes: nodes, copies: copies}, func(t *testing.T, c *cluster) {
		c.plainLinks()
		c.mustPut("first", "v") // the proxy knows where its requests begin
		scenario(t, c)
	})
}

// trickle writes ten times a second, for as long as a scenario with spares takes. No
// write may fail. It returns what ends it.
func (c *cluster) trickle() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			key := fmt.Sprintf("trickle-%d", i)
			a := c.http.put(c.via, key, "v")
			if code := c.ledger.note(key, "v", a); code != "" {
				c.t.Errorf("write %d is answered %s: %s", i, code, a.body)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	stop = func() {
		cancel()
		wait.Wait()
	}
	c.t.Cleanup(stop) // a test that has failed leaves nothing behind
	return stop
}

func (c *cluster) standbys() []string {
	g := c.group()
	return slices.DeleteFunc(slices.Clone(g.InSync), func(name string) bool { return name == g.Primary })
}

// Every standby but one dies, one after the other, and there are two spares: nobody
// has to do anything.
func TestSparesStepIn(t *testing.T) {
	withSpares(t, 5, 3, func(t *testing.T, c *cluster) {
		stop := c.trickle()
		for range 2 {
			victim := c.standbys()[0]
			c.crash(victim)
			began := time.Now()
			c.eventually("it is out", func() bool { return len(c.group().InSync) == 2 })
			g := c.waitCopies()
			require.NotContains(t, g.Members, victim)
			took := time.Since(began)
			require.GreaterOrEqual(t, took, replaceAfter-time.Second, "it is waited for")
			require.Less(t, took, replaceAfter+catchUp)
		}
		require.Empty(t, c.group().Spares)
		stop()
		c.finish()
		require.EqualValues(t, 1, c.group().Epoch, "no failover was needed")
		for _, name := range c.names() {
			c.revive(name)
		}
		c.eventually("the dead are spares", func() bool { return len(c.group().Spares) == 2 })
		for _, name := range c.group().Spares {
			hb, err := c.http.heartbeat(name)
			require.NoError(t, err)
			require.Equal(t, protocol.StateSpare, hb.State)
		}
		c.finish()
		require.Equal(t, 2, c.events(protocol.KindReplaced))
	})
}

// events counts the lines of the history that are of a kind.
func (c *cluster) events(kind string) int {
	n := 0
	for _, e := range c.http.history() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// The primary dies for good: a standby takes over, and a spare makes up for it.
func TestSpareStepsInForTheOldPrimary(t *testing.T) {
	withSpares(t, 4, 2, func(t *testing.T, c *cluster) {
		stop := c.trickle()
		old := c.group().Primary
		c.powerOff(old)
		c.eventually("somebody took over", func() bool { g := c.group(); return g.Serving && g.Primary != old })
		c.waitCopies()
		stop()
		c.revive(old)
		c.eventually("it is a spare", func() bool { return slices.Contains(c.group().Spares, old) })
		c.finish()
		require.EqualValues(t, 2, c.group().Epoch)
	})
}

// The monitor does not hear a standby that the primary has in sync: the spare is in
// sync before that one leaves, and no write waits.
func TestSpareStepsInBesideOneThatIsNotHeard(t *testing.T) {
	withSpares(t, 3, 2, func(t *testing.T, c *cluster) {
		standby := c.standbys()[0]
		c.net.CutBoth(standby, monitorName)
		stop := c.trickle()
		fewest := 2
		c.eventually("the spare is in its place", func() bool {
			g := c.group()
			fewest = min(fewest, len(g.InSync))
			return len(g.Members) == 2 && len(g.InSync) == 2 && !slices.Contains(g.Members, standby)
		})
		require.Equal(t, 2, fewest, "there were two copies all the time")
		require.True(t, c.group().Failover.Possible)
		stop()
		c.net.HealAll()
		c.plainLinks()
		c.eventually("it is a spare", func() bool { return slices.Contains(c.group().Spares, standby) })
		c.finish()
		require.EqualValues(t, 1, c.group().Epoch)
	})
}

func (c *cluster) remove(name string) answer {
	return c.http.send(http.MethodDelete, monitorAddress+"/v1/nodes/"+name, "")
}

func TestNodeIsRemoved(t *testing.T) {
	withSpares(t, 3, 2, func(t *testing.T, c *cluster) {
		primary, leaver := c.group().Primary, c.standbys()[0]
		require.Equal(t, problem.StaleVersion, c.remove(primary).code())
		require.Equal(t, problem.NotFound, c.remove("nobody").code())
		stop := c.trickle()
		answered := c.remove(leaver)
		require.Equal(t, http.StatusOK, answered.status, "%s", answered.body)
		c.eventually("the spare is in its place", func() bool {
			g := c.group()
			require.GreaterOrEqual(t, len(g.InSync), 2)
			return len(g.Members) == 2 && len(g.InSync) == 2 && !slices.Contains(g.Members, leaver)
		})
		stop()
		c.stopNode(leaver)
		c.eventually("it is forgotten", func() bool { return len(c.http.cluster().Nodes) == 2 })
		c.start(leaver) // with its old disk
		time.Sleep(3 * time.Second)
		require.Len(t, c.http.cluster().Nodes, 2)
		require.Positive(t, c.story.count("start it with an empty one"))
		c.stopNode(leaver)
		c.wipe(leaver)
		c.start(leaver)
		c.eventually("it has joined anew", func() bool { return slices.Equal(c.group().Spares, []string{leaver}) })
		c.finish()
	})
}

// The only other copy cannot be removed while the primary is dead, and a removal in
// the middle of a failover ends in no state without an exit.
func TestRemovalInTheMiddleOfAFailover(t *testing.T) {
	withSpares(t, 3, 2, func(t *testing.T, c *cluster) {
		c.mustPut("before", "1")
		old, standby := c.group().Primary, c.standbys()[0]
		c.crash(old)
		time.Sleep(30 * time.Millisecond)
		require.NotEqual(t, http.StatusOK, c.remove(standby).status, "it holds what nobody else does")
		c.eventually("it took over", func() bool { g := c.group(); return g.Serving && g.Primary == standby })
		require.Equal(t, http.StatusOK, c.remove(old).status)
		c.waitCopies()
		c.eventually("it is forgotten", func() bool { return len(c.http.cluster().Nodes) == 2 })
		c.finish()
	})
}

// Each node sees every other one, and tells it; where views differ, it shows.
func TestNodesSeeEachOther(t *testing.T) {
	withSpares(t, 5, 3, func(t *testing.T, c *cluster) {
		c.eventually("all see all", func() bool {
			for _, n := range c.http.cluster().Nodes {
				if len(n.Sees) != 4 {
					return false
				}
			}
			return len(c.http.cluster().Differences()) == 0
		})
		primary := c.group().Primary
		c.net.CutBoth(primary, "app5")
		c.eventually("they do not see each other", func() bool { return len(c.http.cluster().Differences()) == 2 })
		peers := c.http.peers("app5")
		require.Len(t, peers, 4)
		for _, p := range peers {
			require.Equal(t, p.Name == primary, p.Sees == wire.SeesDown, "%+v", p)
			require.NotEqual(t, p.Sees == wire.SeesUp, p.Why != "", "%+v", p)
		}
		c.net.HealAll()
		c.plainLinks()
		c.eventually("all see all again", func() bool { return len(c.http.cluster().Differences()) == 0 })

		// The history says what the next primary saw of the old one.
		c.net.CutBoth(primary, monitorName)
		c.eventually("somebody took over", func() bool { g := c.group(); return g.Serving && g.Primary != primary })
		next := c.group().Primary
		c.eventually("it is told", func() bool { return c.tells(next + " still heard " + primary) })
		c.net.HealAll()
		c.plainLinks()
		c.waitCopies()
		c.powerOff(next)
		c.eventually("another took over", func() bool { g := c.group(); return g.Serving && g.Primary != next })
		c.eventually("it is told", func() bool { return c.tells("did not hear " + next + " any more either") })
	})
}

// history reads the cluster's history.
func (c *client) history() []protocol.HistoryEvent {
	var h wire.History
	_ = json.Unmarshal(c.send(http.MethodGet, monitorAddress+"/v1/history", "").body, &h) // no answer: no events
	return h.Events
}

// peers reads what a node sees of the others.
func (c *client) peers(name string) []wire.Peer {
	var self struct {
		Peers []wire.Peer `json:"peers"`
	}
	_ = json.Unmarshal(c.send(http.MethodGet, address(name)+"/status", "").body, &self) // no answer: no peers
	return self.Peers
}

// tells looks for a text in the history.
func (c *cluster) tells(text string) bool {
	return slices.ContainsFunc(c.http.history(), func(e protocol.HistoryEvent) bool {
		return e.Kind == protocol.KindFailover && strings.Contains(e.Detail, text)
	})
}
