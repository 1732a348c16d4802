package wire

import "understudy.example/pkg/protocol"

// PathAdopt is where an operator has the registry rebuilt from the nodes: POST takes
// an [AdoptOrder] and answers [Adopted]; GET answers [Witnesses].
const PathAdopt = "/v1/adopt"

// AdoptOrder asks for a lost registry to be rebuilt from the nodes.
type AdoptOrder struct {
	Node   string `json:"node"` // the next primary
	Reason string `json:"reason"`
	Force  bool   `json:"force,omitempty"` // also where acknowledged writes may be lost
}

// Adopted answers an [AdoptOrder] that was carried out.
type Adopted struct {
	Node    string                 `json:"node"`
	Cluster string                 `json:"cluster"` // the nodes' own, which is the registry's now
	Groups  []protocol.GroupRecord `json:"groups"`
	Loss    string                 `json:"loss,omitempty"` // why acknowledged writes may be lost; empty: none are
	Serving bool                   `json:"serving"`        // the primary answers already
	Heard   []Witness              `json:"heard"`          // what it was decided on
}

// Witnesses is every node that the leader has heard, those that it refuses included.
type Witnesses struct {
	Cluster string    `json:"cluster"` // of the registry
	Heard   []Witness `json:"heard"`
}

// Witness is what a node said last.
type Witness struct {
	Name    string         `json:"name"`
	UUID    protocol.UUID  `json:"uuid"`
	Address string         `json:"address"`
	Cluster string         `json:"cluster"`
	State   protocol.State `json:"state"`
	AgoMS   int64          `json:"ago_ms"` // since it was heard
	There   bool           `json:"there"`  // it was heard a moment ago
	Groups  []WitnessGroup `json:"groups"`
}

// WitnessGroup is a node's copy of a group, as it said itself.
type WitnessGroup struct {
	Group    protocol.GroupID  `json:"group"`
	Epoch    protocol.Epoch    `json:"epoch"`
	Version  protocol.Version  `json:"version"`
	Position protocol.Position `json:"position"`
	Serving  bool              `json:"serving"`
}
