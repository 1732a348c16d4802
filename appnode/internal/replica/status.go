package replica

import (
	"fmt"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Status returns the replica as it sees itself. It never waits for a disk.
func (r *Replica) Status() wire.GroupStatus {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := wire.GroupStatus{
		Group: r.opts.Group, Role: r.core.Role(), State: r.core.State(),
		Epoch: r.core.Accepted(), Version: r.core.GroupRecord().Version,
		Position: r.core.Last(), Durable: r.core.Durable(), Commit: r.core.Commit(), Serving: r.core.Serving() && !r.closed,
	}
	if r.asking.stream != nil {
		s.Upstream = r.asking.stream.route.upstream()
	}
	for _, p := range r.core.Peers(now) {
		s.Peers = append(s.Peers, wire.PeerStatus{
			UUID: p.UUID, Connected: p.Connected, InView: p.InView, Durable: p.Durable, BehindMS: p.Behind.Milliseconds(),
		})
	}
	return s
}

// PrimaryHeard returns when the primary of the newest record last said anything on
// this standby's stream; the zero time if it did not.
func (r *Replica) PrimaryHeard() (primary protocol.UUID, at time.Time) {
	heard := r.heard.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.core.GroupRecord()
	if heard == 0 || rec.Epoch == 0 || rec.Primary.UUID == r.opts.Me.UUID {
		return rec.Primary.UUID, time.Time{}
	}
	return rec.Primary.UUID, r.began.Add(time.Duration(heard))
}

// Full tells whether the disk had no room for the last batch.
func (r *Replica) Full() bool { return r.full.Load() }

// Unsynced returns how long the disk has left the oldest append unanswered.
func (r *Replica) Unsynced() time.Duration { return r.opts.Journal.Unsynced(time.Now()) }

// Record returns the newest group record that this replica has taken.
func (r *Replica) Record() protocol.GroupRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.GroupRecord()
}

// InSync tells how many replicas the newest record has in sync.
func (r *Replica) InSync() int { return len(r.Record().InSync) }

// CheckRoom asks the disk again after it was full, so that a node without
// writes learns that there is room. It may wait for the disk.
func (r *Replica) CheckRoom() {
	if r.full.Load() {
		_ = r.reserve(maxBatch) // the answer is in full
	}
}

// maxTurn is how long the control loop may take for one turn before the replica
// counts as stuck: it waits for nothing longer than a write of the disk.
const maxTurn = 10 * time.Second

// Alive says so if the control loop does not run.
func (r *Replica) Alive() error {
	if age := time.Since(r.began) - time.Duration(r.turned.Load()); age > maxTurn {
		return fmt.Errorf("the loop of group %d has not come round for %s", r.opts.Group, age.Round(time.Second))
	}
	return nil
}
