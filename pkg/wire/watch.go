package wire

import "understudy.example/pkg/protocol"

// PathWatch is where committed changes are followed, as server-sent events.
const PathWatch = "/v1/watch"

// Names of the events of PathWatch.
const (
	EventSnapshot = "snapshot" // WatchSnapshot
	EventBatch    = "batch"    // WatchBatch
	EventError    = "error"    // problem.Body; the stream ends with it
)

// WatchSnapshot is a page of the state from which a watch begins. Pages come in
// the order of the keys, one after the other; the last one carries the id.
type WatchSnapshot struct {
	First bool   `json:"first,omitempty"` // forget what an earlier page brought
	Last  bool   `json:"last,omitempty"`
	Items []Item `json:"items"`
}

// WatchBatch is what one committed record did to the keys that are watched: all
// of it at once. The ETag of each key that was set is the position, in quotes.
type WatchBatch struct {
	Position protocol.Position `json:"position"` // also the event's id
	Changes  []KeyChange       `json:"changes"`  // in order
}

// KeyChange sets a key to a value, or deletes it. Exactly one of Value, Base64
// and Deleted is set.
type KeyChange struct {
	Key     string  `json:"key"`
	Value   *string `json:"value,omitempty"`
	Base64  *string `json:"base64,omitempty"` // of a value that is not UTF-8
	Deleted bool    `json:"deleted,omitempty"`
}
