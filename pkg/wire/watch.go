package wire

import "understudy.example/pkg/protocol"

// PathWatch is where committed changes are followed, as server-sent events, at a
// monitor or at any node, whatever its role: ?prefix= names the keys.
//
// A watch begins with the state, in EventSnapshot events, or without it behind
// ?since=POSITION or the header Last-Event-ID, which counts more. Then comes an
// EventBatch for every committed record that touches the keys, each once, in the
// order of the journal, with the record's position as its id. A block that has an
// id and no data says that nothing of the keys has changed up to there: it comes
// about once a second while others write. A stream that has nothing to say at all
// carries a comment each 10 s.
//
// A position that is still to come is waited for. One of another branch of
// history is refused with history_lost, one before what is kept with compacted;
// then the reader begins again with the state. Whoever had caught up, and takes
// so long that more than 1 MiB of events is committed meanwhile, is cut
// (overloaded), and so is whoever takes nothing for 10 s: it may go on with its
// last id.
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
