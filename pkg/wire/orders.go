package wire

import "understudy.example/pkg/protocol"

// PathSeal is where a primary takes a [SealOrder]; it answers a [SealAnswer].
const PathSeal = "/internal/seal"

// SealOrder asks the primary of an epoch to let a standby take over.
type SealOrder struct {
	V       int              `json:"v"`
	Cluster string           `json:"cluster"`
	Group   protocol.GroupID `json:"group"`
	Epoch   protocol.Epoch   `json:"epoch"`
	To      protocol.UUID    `json:"to"`
}

// SealAnswer tells up to where the standby holds everything.
type SealAnswer struct {
	V        int               `json:"v"`
	Position protocol.Position `json:"position"`
}

// ChangeOrder is the body of POST /v1/switchover and /v1/failover at a monitor.
type ChangeOrder struct {
	Group  protocol.GroupID `json:"group,omitempty"`
	To     string           `json:"to,omitempty"` // the node's name; empty: the best candidate
	Reason string           `json:"reason,omitempty"`
	// Force and PrimaryIsStopped are for /v1/failover alone: an override, to a
	// node that may lack acknowledged writes.
	Force            bool `json:"force,omitempty"`
	PrimaryIsStopped bool `json:"primary_is_stopped,omitempty"`
}

// PrimaryChanged answers a [ChangeOrder] that was carried out.
type PrimaryChanged struct {
	Group protocol.GroupID `json:"group"`
	Kind  string           `json:"kind"` // switchover, failover or override
	From  string           `json:"from"`
	To    string           `json:"to"`
	Epoch protocol.Epoch   `json:"epoch"`
	Loss  string           `json:"loss,omitempty"` // of an override: what was lost, as far as is known
	// TimelineMS gives the milliseconds from the beginning to each step.
	TimelineMS map[string]float64 `json:"timeline_ms"`
}

// Maintenance is the body of PUT /v1/nodes/{name}/maintenance at a monitor, and
// its answer.
type Maintenance struct {
	Node string `json:"node,omitempty"`
	On   bool   `json:"on"`
}

// Freeze is the body of POST /v1/nodes/{name}/freeze at a monitor and of
// /v1/freeze at a node, and its answer: the process stands still for a while.
type Freeze struct {
	Node string            `json:"node,omitempty"`
	For  protocol.Duration `json:"for"`
}
