package replica

import (
	"encoding/json"
	"fmt"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// StreamProtocol names the protocol that a stream connection is upgraded to.
const StreamProtocol = "understudy-stream/1"

// The frames of a stream. Every one names its epoch.
const (
	frameHello     frame.Type = 1  // standby: JSON helloMessage
	frameWelcome   frame.Type = 2  // primary: JSON welcomeMessage
	frameRefuse    frame.Type = 3  // either: JSON refuseMessage; it ends the connection
	frameRecords   frame.Type = 4  // primary: encoded records, back to back
	frameCommit    frame.Type = 5  // primary: the commit seq
	frameConfirm   frame.Type = 6  // primary: number of a confirm round
	frameAck       frame.Type = 7  // standby: durable up to this seq
	frameConfirmed frame.Type = 8  // standby: answer to a confirm
	frameTrouble   frame.Type = 9  // standby: why it cannot hold records, as text
	frameAsk       frame.Type = 10 // standby: a question for the confirmed commit seq, by number
	frameTold      frame.Type = 11 // primary: the number of the question, and the commit seq
	frameTake      frame.Type = 12 // primary, to a relay: first and last seq of the records that belong here
)

// helloMessage is a standby's first word. It carries the newest group record
// that the standby knows, so that a deposed primary learns of its fate even
// from a standby.
type helloMessage struct {
	V          int                   `json:"v"`
	Cluster    string                `json:"cluster"`
	Group      protocol.GroupID      `json:"group"`
	UUID       protocol.UUID         `json:"uuid"`
	Boot       protocol.Boot         `json:"boot"`
	Name       string                `json:"name"`
	Last       protocol.Seq          `json:"last"`
	Boundaries []protocol.Boundary   `json:"boundaries"`
	Record     *protocol.GroupRecord `json:"record,omitempty"`
	// Via is the standby that this stream passes through, and that can fill in the
	// records that it was sent itself; empty for none.
	Via protocol.UUID `json:"via,omitempty"`
}

// welcomeMessage answers a hello: where the histories part, and whether the
// journal still reaches back that far.
type welcomeMessage struct {
	V        int          `json:"v"`
	Part     protocol.Seq `json:"part"`
	Snapshot bool         `json:"snapshot,omitempty"`
}

// refuseMessage ends a stream: why, and the newest record that its sender
// knows.
type refuseMessage struct {
	V      int                   `json:"v"`
	Code   problem.Code          `json:"code"`
	Detail string                `json:"detail"`
	Record *protocol.GroupRecord `json:"record,omitempty"`
}

func encodeJSON(t frame.Type, epoch protocol.Epoch, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a stream message: %v", err)) // plain structs always encode
	}
	return frame.Append(nil, t, epoch, b)
}

// parseHello reads and checks a standby's first frame.
func (r *Replica) parseHello(h frame.Header, payload []byte) (helloMessage, error) {
	var m helloMessage
	if h.Type != frameHello {
		return m, problem.Errorf(problem.BadRequest, "a stream begins with a hello, not with a frame of type %d", h.Type)
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return m, problem.Errorf(problem.BadRequest, "the hello is not valid: %v", err)
	}
	if err := wire.CheckFormat(m.V); err != nil {
		return m, err
	}
	if m.Cluster != r.opts.Cluster() || m.Group != r.opts.Group {
		return m, problem.Errorf(problem.WrongCluster, "%s belongs to cluster %s, group %d, and %s to cluster %s, group %d",
			m.Name, m.Cluster, m.Group, r.opts.Name, r.opts.Cluster(), r.opts.Group)
	}
	if err := protocol.CheckBoundaries(m.Boundaries, m.Last); err != nil {
		return m, problem.Errorf(problem.BadRequest, "the hello of %s is not valid: %v", m.Name, err)
	}
	return m, nil
}
