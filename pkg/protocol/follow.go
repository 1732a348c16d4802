package protocol

import (
	"errors"
	"fmt"
	"slices"
)

// Hello is what a standby says of itself when it dials the primary.
type Hello struct {
	UUID       UUID
	Boot       Boot
	Epoch      Epoch // accepted
	Last       Seq   // end of its journal, all of it durable
	Boundaries []Boundary
}

// HelloAnswer is the primary's answer. Refused is empty for a welcome.
type HelloAnswer struct {
	Refused RefusalCode
	Epoch   Epoch
	// Part is the last seq up to which the two histories are equal.
	Part Seq
}

// follow is the work of a standby: at most one incoming stream.
type follow struct {
	conn     ConnID
	welcomed bool
	// matched is the seq up to which the journal is known to equal the primary's:
	// what is beyond waits to be cut, and must not be taken for committed.
	matched Seq
	// leaderCommit is the commit seq that the primary passed on.
	leaderCommit Seq
}

// ErrOldConnection tells that something came on a connection that a newer one,
// a newer epoch or another role has replaced. It has no effect.
var ErrOldConnection = errors.New("the connection has been replaced")

// ErrWouldUndo tells that the primary's history parts from this replica's below
// what this replica knows to be committed. Nothing is cut: somebody must look.
var ErrWouldUndo = errors.New("the primary's history would undo committed records")

// ErrHistoryLost tells that an override has given the group another history, which
// lacks records that this replica knows to be committed. Its directory is to be set
// aside as it is, and the replica to begin anew, empty and under another uuid.
var ErrHistoryLost = errors.New("the history of this replica was given up by an override")

// Dialled begins a new connection to the primary: from here on nothing of an
// earlier one has an effect.
func (r *Replica) Dialled(conn ConnID) (Hello, error) {
	if r.phase != phaseFollowing {
		return Hello{}, ErrOldConnection
	}
	r.follow = follow{conn: conn}
	return Hello{
		UUID: r.me.UUID, Boot: r.me.Boot, Epoch: r.accepted,
		Last: r.durable, Boundaries: slices.Clone(r.boundaries),
	}, nil
}

// Welcomed takes the primary's answer on the connection dialled last. Where
// the journal reaches beyond part, the shell sets that tail aside, cuts, calls
// [Replica.CutTo] and only then acknowledges part.
func (r *Replica) Welcomed(conn ConnID, epoch Epoch, part Seq) error {
	if err := r.current(conn, epoch); err != nil {
		return err
	}
	if part < r.commit && r.overridden() {
		return fmt.Errorf("histories part after %d and %d was committed, before the override of epoch %d: %w", part, r.commit, r.record.OverrideEpoch, ErrHistoryLost)
	}
	if part < r.commit {
		return fmt.Errorf("histories part after %d and %d is committed: %w", part, r.commit, ErrWouldUndo)
	}
	if part > r.last.Seq {
		return fmt.Errorf("the primary welcomes at %d, and the journal ends at %s", part, r.last)
	}
	r.follow.welcomed, r.follow.matched = true, part
	r.deposed = false
	return nil
}

// overridden tells whether an override may have given up committed records of this
// history: it ends before the override, and the replica has not been in sync since.
func (r *Replica) overridden() bool {
	return r.record.OverrideEpoch > r.last.Epoch && !r.record.IsInSync(r.me.UUID)
}

func (r *Replica) current(conn ConnID, epoch Epoch) error {
	if r.phase != phaseFollowing || conn != r.follow.conn || epoch != r.accepted {
		return ErrOldConnection
	}
	return nil
}

// Accepts tells whether a message of the given epoch on the given connection
// may have an effect: the connection is the newest, it has been welcomed, and
// no higher epoch has been accepted.
func (r *Replica) Accepts(conn ConnID, epoch Epoch) error {
	if err := r.current(conn, epoch); err != nil {
		return err
	}
	if !r.follow.welcomed {
		return ErrOldConnection
	}
	return nil
}

// CutTo tells that the journal has been cut durably after seq.
func (r *Replica) CutTo(seq Seq) {
	assert(seq >= r.commit, "cut to %d below the commit seq %d", seq, r.commit)
	assert(seq <= r.last.Seq, "cut to %d beyond the end %s", seq, r.last)
	r.boundaries = slices.DeleteFunc(r.boundaries, func(b Boundary) bool { return b.First > seq })
	r.last = Position{EpochAt(r.boundaries, seq), seq}
	r.durable = seq
}

// Installed tells that a snapshot has replaced the whole history.
func (r *Replica) Installed(p Position, boundaries []Boundary) {
	assert(p.Seq >= r.commit, "installed %s below the commit seq %d", p, r.commit)
	r.boundaries = slices.Clone(boundaries)
	r.last, r.durable, r.follow.matched = p, p.Seq, p.Seq
	r.commit = p.Seq
}

// LearnCommit takes the commit seq that the primary passed on.
func (r *Replica) LearnCommit(conn ConnID, epoch Epoch, commit Seq) error {
	if err := r.Accepts(conn, epoch); err != nil {
		return err
	}
	r.follow.leaderCommit = max(r.follow.leaderCommit, commit)
	r.learn()
	return nil
}

// learn raises a standby's commit seq as far as its own disk holds what the
// primary's does.
func (r *Replica) learn() {
	r.commit = max(r.commit, min(r.follow.leaderCommit, r.durable, r.follow.matched))
}
