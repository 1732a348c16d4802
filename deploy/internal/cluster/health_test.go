package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// well is two copies and a spare, as a monitor shows them when nothing ails them.
func well() wire.Cluster {
	return wire.Cluster{
		Leader:   "m1",
		Monitors: []wire.MonitorView{{Name: "m1", Leader: true, Reachable: true}},
		Groups: []wire.GroupView{{
			Primary: "a", Serving: true, InSync: []string{"a", "b"}, Members: []string{"a", "b"}, Spares: []string{"c"},
			Failover: wire.FailoverView{Possible: true, Candidate: "b"},
		}},
		Nodes: []wire.NodeView{
			{Name: "a", State: protocol.StatePrimary, Sees: map[string]string{"b": wire.SeesUp, "c": wire.SeesUp}},
			{Name: "b", State: protocol.StateStandby},
			{Name: "c", State: protocol.StateSpare},
		},
	}
}

func TestAilments(t *testing.T) {
	require.Empty(t, Ailment(well(), 2))
	for want, harm := range map[string]func(c *wire.Cluster){
		"no monitor leads yet":             func(c *wire.Cluster) { c.Leader = "" },
		"a is the primary, but does":       func(c *wire.Cluster) { c.Groups[0].Serving = false },
		"2 copies are wanted, and in sync": func(c *wire.Cluster) { c.Groups[0].InSync = []string{"a"} },
		"2 copies are wanted; members are": func(c *wire.Cluster) { c.Groups[0].Members = []string{"a", "b", "c"} },
		"b is to leave the in-sync set":    func(c *wire.Cluster) { c.Groups[0].Leaving = []string{"b"} },
		"1 nodes are no members":           func(c *wire.Cluster) { c.Groups[0].Spares = nil },
		"nobody could take over: why":      func(c *wire.Cluster) { c.Groups[0].Failover = wire.FailoverView{Reason: "why"} },
		"m1 is not reached":                func(c *wire.Cluster) { c.Monitors[0].Reachable = false },
		"b is catching-up":                 func(c *wire.Cluster) { c.Nodes[1].State = protocol.StateCatchingUp },
		"a is primary-alone":               func(c *wire.Cluster) { c.Nodes[0].State = protocol.StatePrimaryAlone },
		"b is kept out by an operator":     func(c *wire.Cluster) { c.Nodes[1].Maintenance = true },
		"b was heard 2s ago":               func(c *wire.Cluster) { c.Nodes[1].HeartbeatAgeMS = 2000 },
		"a sees c down":                    func(c *wire.Cluster) { c.Nodes[0].Sees["c"] = wire.SeesDown },
	} {
		c := well()
		harm(&c)
		require.Contains(t, Ailment(c, 2), want)
	}
}

func TestOneCopyIsWellAlone(t *testing.T) {
	c := well()
	c.Groups[0].InSync, c.Groups[0].Members, c.Groups[0].Spares = []string{"a"}, []string{"a"}, []string{"b", "c"}
	c.Groups[0].Failover = wire.FailoverView{}
	c.Nodes[0].State, c.Nodes[1].State = protocol.StatePrimaryAlone, protocol.StateSpare
	require.Empty(t, Ailment(c, 1))
}
