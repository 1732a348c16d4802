// Package pulse carries a node's heartbeats to a monitor, and the registry's word
// back, on one upgraded connection: what would be a POST of [wire.PathHeartbeat]
// each, without the cost of a request. Heartbeats are most of what an idle cluster
// does.
//
// The node sends a heartbeat as a frame and awaits its answer before the next. The
// word is sent when it is another than the last on this connection; else the answer
// is a frame without a payload.
package pulse

import (
	"time"

	"understudy.example/pkg/frame"
)

// protocol is the name that the connection is upgraded to.
const protocol = "understudy-heartbeat-1"

// The frames.
const (
	frameHeartbeat frame.Type = 1 // node → monitor: wire.Heartbeat
	frameWord      frame.Type = 2 // monitor → node: wire.Assignment
	frameSame      frame.Type = 3 // monitor → node: the word of the last frameWord
	frameRefused   frame.Type = 4 // monitor → node: problem.Body
)

const (
	// maxHeartbeat and maxWord bound the payloads, in bytes.
	maxHeartbeat = 1 << 20
	maxWord      = 4 << 20
	// buffer is the size of a connection's read buffer, in bytes: there is one for
	// each node.
	buffer = 4 << 10
	// answerTimeout bounds how long a node may take to read its answer.
	answerTimeout = time.Second
)
