package wire

import (
	"maps"
	"slices"

	"understudy.example/pkg/protocol"
)

// How a node sees another one.
const (
	SeesUp   = "up"
	SeesDown = "down"
)

// Peer is a node as another one sees it: part of GET /status at a node.
type Peer struct {
	Name    string            `json:"name"`
	UUID    protocol.UUID     `json:"uuid"`
	Address string            `json:"address"`
	Sees    string            `json:"sees"`   // up or down
	AgeMS   int64             `json:"age_ms"` // since it was last heard; -1: never
	Why     string            `json:"why,omitempty"`
	State   protocol.State    `json:"state,omitempty"` // the rest is what it said last
	Role    protocol.Role     `json:"role,omitempty"`
	Epoch   protocol.Epoch    `json:"epoch"`
	At      protocol.Position `json:"position"`
	// LagRecords is how far it is behind the newest position that the asked node
	// knows of.
	LagRecords int64 `json:"lag_records"`
}

// Removed answers DELETE /v1/nodes/{name} at a monitor.
type Removed struct {
	Node string `json:"node"`
	Why  string `json:"why"` // what happens next
}

// Difference is a node that another one sees otherwise than the monitor does.
type Difference struct {
	By, Of string
	Sees   string // up or down, for By
}

// Differences lists where the nodes' views differ from the monitor's. A node that
// the monitor does not hear is not asked for its view: it is an old one.
func (c Cluster) Differences() []Difference {
	up := map[string]bool{}
	for _, n := range c.Nodes {
		up[n.Name] = n.State != protocol.StateUnreachable
	}
	var out []Difference
	for _, n := range c.Nodes {
		for _, of := range slices.Sorted(maps.Keys(n.Sees)) {
			heard, known := up[of]
			if known && up[n.Name] && heard != (n.Sees[of] == SeesUp) {
				out = append(out, Difference{By: n.Name, Of: of, Sees: n.Sees[of]})
			}
		}
	}
	return out
}
