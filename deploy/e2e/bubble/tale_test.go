package bubble

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	health "understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/protocol"
)

// five is what most tales are told of: three copies, and two nodes that wait.
func five() clusterOptions { return clusterOptions{nodes: 5, copies: 3} }

// topologies are the ways in which the standbys may get their records.
var topologies = []struct {
	name string
	set  func(*protocol.Settings)
}{
	{protocol.Star, func(*protocol.Settings) {}},
	{protocol.Chain, func(s *protocol.Settings) { s.Topology = protocol.Chain }},
}

// tale is what befalls a larger cluster under load, and what it may cost.
type tale struct {
	name  string
	hit   func(s *scene)
	pause time.Duration  // bounds the time in which no write is acknowledged
	epoch protocol.Epoch // at the end; 0: it does not matter
	// refuses tells that requests are refused, as hit asserts; in all other tales
	// none may fail.
	refuses bool
}

// scene is the cluster of a tale, and who was what when it began.
type scene struct {
	*cluster
	primary          string
	standbys, spares []string
}

// tell tells each tale in each topology: with the harm undone the cluster is well by
// itself, and the ledger holds.
func tell(t *testing.T, o clusterOptions, tales ...tale) {
	for _, topology := range topologies {
		o.settings = func(s *protocol.Settings) {
			s.ReplaceAfter = protocol.Duration(5 * time.Second)
			topology.set(s)
		}
		for _, told := range tales {
			t.Run(topology.name+"/"+told.name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, o, told.run)
			})
		}
	}
}

func (told tale) run(t *testing.T, c *cluster) {
	c.plainLinks()
	g := c.group()
	s := &scene{cluster: c, primary: g.Primary, standbys: c.standbys(), spares: g.Spares}
	l := c.startLoad("load", 2)
	time.Sleep(300 * time.Millisecond)
	pause := c.pause("p", func() {
		told.hit(s)
		time.Sleep(time.Second)
	})
	c.heal()
	for _, n := range c.nodes {
		n.disk.Heal("journal prepare")
	}
	c.waitWell()
	l.stop()
	t.Logf("pause %s", pause)
	require.Less(t, pause, told.pause)
	if !told.refuses {
		require.Equal(t, c.ledger.total(), c.ledger.acknowledged(), "no request failed")
	}
	if told.epoch > 0 {
		require.Equal(t, told.epoch, c.group().Epoch)
	}
	c.finish()
}

// waitWell waits until the status shows nothing that is not as it should be.
func (c *cluster) waitWell() {
	c.t.Helper()
	ailment := ""
	for began := time.Now(); ; time.Sleep(poll) {
		if ailment = health.Ailment(c.http.cluster(), c.copies()); ailment == "" {
			return
		}
		require.Less(c.t, time.Since(began), patience, ailment)
	}
}

// inSync waits until exactly so many copies are in sync, with the members as they are.
func (s *scene) inSync(n int) {
	s.t.Helper()
	s.eventually("a change of the in-sync set", func() bool { g := s.group(); return g.Serving && len(g.InSync) == n })
}

// stepsIn waits until all these are members in the place of others.
func (s *scene) stepsIn(names ...string) {
	s.t.Helper()
	s.eventually("spares step in", func() bool {
		members := s.group().Members
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(members, name) })
	})
}

// served waits until another primary than that of the beginning serves.
func (s *scene) served() {
	s.t.Helper()
	s.eventually("another primary", func() bool { g := s.group(); return g.Serving && g.Primary != s.primary })
}

// refused requires that nobody serves, and that who is waited for is named.
func (s *scene) refused(names ...string) {
	s.t.Helper()
	g := s.group()
	require.False(s.t, g.Serving)
	require.False(s.t, g.Failover.Possible)
	for _, name := range names {
		require.Contains(s.t, g.Failover.Reason, name)
	}
}

// cutFromMonitors cuts a node from all monitors.
func (s *scene) cutFromMonitors(name string) {
	for _, m := range s.monitorNames() {
		s.net.CutBoth(name, m)
	}
}
