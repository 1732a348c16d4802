package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// freshHeartbeat is the age up to which a node counts as heard.
const freshHeartbeat = time.Second

// Ailment says what keeps a cluster, as its leading monitor shows it, from being
// well, or "": the primary serves, exactly the wanted copies are in sync, one of
// them could take over, every node is heard and does its part, all monitors are
// reached, and everybody sees the same.
func Ailment(view wire.Cluster, copies int) string {
	if lack := missing(view, copies); lack != "" {
		return lack
	}
	for _, m := range view.Monitors {
		if !m.Reachable {
			return m.Name + " is not reached"
		}
	}
	for _, n := range view.Nodes {
		if ill := nodeAilment(n, copies); ill != "" {
			return ill
		}
	}
	if d := view.Differences(); len(d) > 0 {
		return fmt.Sprintf("%s sees %s %s, and the monitor sees it otherwise", d[0].By, d[0].Of, d[0].Sees)
	}
	return groupAilment(view.Groups[0], len(view.Nodes), copies)
}

func groupAilment(g wire.GroupView, nodes, copies int) string {
	switch {
	case len(g.InSync) != copies || len(g.Members) != copies:
		return fmt.Sprintf("%d copies are wanted; members are %s, in sync %s", copies, strings.Join(g.Members, ", "), strings.Join(g.InSync, ", "))
	case len(g.Leaving) > 0:
		return strings.Join(g.Leaving, ", ") + " is to leave the in-sync set"
	case len(g.Spares) != nodes-copies:
		return fmt.Sprintf("%d nodes are no members, and spares are %s", nodes-copies, strings.Join(g.Spares, ", "))
	case copies > 1 && !g.Failover.Possible:
		return "nobody could take over: " + g.Failover.Reason
	}
	return ""
}

func nodeAilment(n wire.NodeView, copies int) string {
	well := []protocol.State{protocol.StatePrimary, protocol.StateStandby, protocol.StateSpare}
	if copies == 1 {
		well = append(well, protocol.StatePrimaryAlone)
	}
	age := time.Duration(n.HeartbeatAgeMS) * time.Millisecond
	switch {
	case !slices.Contains(well, n.State):
		return fmt.Sprintf("%s is %s", n.Name, n.State)
	case n.Maintenance || n.Removed:
		return n.Name + " is kept out by an operator"
	case age < 0 || age > freshHeartbeat:
		return fmt.Sprintf("%s was heard %s ago", n.Name, age)
	}
	return ""
}
