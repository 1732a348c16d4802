package store

import "understudy.example/pkg/protocol"

// Level says how fresh a read must be.
type Level uint8

// The levels of reads.
const (
	Linearizable Level = iota // nothing older than the newest write acknowledged before the read began
	Session                   // at least a given position
	Stale                     // the state as it is here
)

// Outcome is what became of a request that was judged, replicated and
// committed. Beside a refusal only View and Repeated are told.
type Outcome struct {
	View     *View             // a state that contains the write
	Position protocol.Position // of the write, or of the state it was judged on if it has no record
	Copies   int               // replicas that hold the write durably
	Missing  bool              // the request had no effect: what it deletes was not there
	Repeated bool              // the request was answered before: this is that answer again
}
