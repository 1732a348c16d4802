package coordinator

import (
	"maps"
	"slices"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Explain says for every group who could take over, and what would happen if
// its primary died now.
func (c *Coordinator) Explain() (wire.Explain, error) {
	out := wire.Explain{Groups: []wire.Explanation{}}
	err := c.ask(func(now time.Time) {
		out.Cluster, out.Paused, out.Leads = c.reg.Cluster, c.reg.Settings.Paused, c.leads
		for _, id := range slices.Sorted(maps.Keys(c.reg.Groups)) {
			out.Groups = append(out.Groups, explanation(id, c.monitor.Explain(id, now)))
		}
	})
	return out, err
}

func explanation(id protocol.GroupID, x protocol.Explanation) wire.Explanation {
	out := wire.Explanation{
		Group: id, Primary: x.Primary, Rule: x.Rule, When: x.When, Does: x.Do,
		IfPrimaryDied: wire.IfPrimaryDied{
			Candidate: x.Candidate, Reason: x.Reason, Loss: x.Loss,
			CrashedMS: x.Crashed.Milliseconds(), SilentMS: x.Silent.Milliseconds(),
		},
		Nodes: []wire.NodeProspect{},
	}
	for _, n := range x.Nodes {
		out.Nodes = append(out.Nodes, wire.NodeProspect{Name: n.Name, InSync: n.InSync, CanBePromoted: n.Can, Why: n.Why})
	}
	return out
}
