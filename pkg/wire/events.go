package wire

import "understudy.example/pkg/protocol"

// PathEvents is where a monitor tells what it learns, as server-sent events.
const PathEvents = "/v1/events"

// QueryKeepAlive is the parameter of PathEvents by which a subscriber chooses
// how often a stream with nothing to tell shows that it lives.
const QueryKeepAlive = "keepalive"

// Names of the events of PathEvents. Their id is that of the newest event of the
// history that the subscriber has been told, or need not be.
const (
	EventPrimary = "primary" // PrimaryEvent
	EventHistory = "history" // protocol.HistoryEvent
)

// PrimaryEvent says who the primary of a group is: as it is when the stream
// begins, and again whenever any of it has changed.
type PrimaryEvent struct {
	Cluster string           `json:"cluster"` // empty before its birth
	Group   protocol.GroupID `json:"group"`
	Name    string           `json:"name"` // empty: there is none
	Address string           `json:"address"`
	Epoch   protocol.Epoch   `json:"epoch"`
	Version protocol.Version `json:"version"` // of the group's record
	Serving bool             `json:"serving"` // as far as the monitor has heard
}
