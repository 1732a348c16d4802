package replica

import (
	"slices"
	"time"

	"understudy.example/pkg/protocol"
)

const (
	// holdFor is how long after a snapshot was sent the journal is kept for the
	// standby to install it and to connect.
	holdFor = time.Minute
	// holdTimes bounds the journal that is kept for standbys that catch up, as a
	// multiple of what it grows by between two snapshots.
	holdTimes = 4
)

// hold keeps the journal behind seq for a standby that was sent a snapshot.
type hold struct {
	seq protocol.Seq
	end time.Time // zero while the snapshot is being sent
}

// holdJournal keeps the journal behind a snapshot that is sent. The returned
// function tells that the sending has ended.
func (r *Replica) holdJournal(seq protocol.Seq) (sent func()) {
	h := &hold{seq: seq}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetHolds(time.Now()) // who writes nothing trims nothing, and asks for none
	r.holds = append(r.holds, h)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		h.end = time.Now().Add(holdFor)
	}
}

// keepFrom returns the oldest record that is to stay, where those from seq on
// would do but for standbys that catch up: one that needs what is gone begins
// anew, and would never come to an end while clients write fast. What is kept for
// them is bounded.
func (r *Replica) keepFrom(seq protocol.Seq) protocol.Seq {
	limit := holdTimes * r.snapshotEvery()
	keep := seq
	for _, s := range r.needed(time.Now()) {
		if s < keep && r.opts.Journal.BytesAfter(s-1) <= limit {
			keep = s
		}
	}
	return keep
}

// forgetHolds forgets standbys that have not come. mu is held.
func (r *Replica) forgetHolds(now time.Time) {
	r.holds = slices.DeleteFunc(r.holds, func(h *hold) bool { return !h.end.IsZero() && !now.Before(h.end) })
}

// needed returns the records that standbys take up next.
func (r *Replica) needed(now time.Time) []protocol.Seq {
	if r.full.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetHolds(now)
	var all []protocol.Seq
	for _, h := range r.holds {
		all = append(all, h.seq+1)
	}
	for _, c := range r.conns {
		if !c.snapshot {
			all = append(all, c.acked+1)
		}
	}
	return all
}
