package protocol

import (
	"fmt"
	"slices"
	"time"
)

// ConnID numbers the stream connections of one process, from 1. Zero is none.
type ConnID uint64

// ReplicaConfig holds the bounds of a replica's waits. All are constants of the
// protocol's promises, kept in one place so that tests can shorten them.
type ReplicaConfig struct {
	// AckTimeout is how long an awaited acknowledgement or confirm may take
	// before its standby is removed.
	AckTimeout time.Duration
	// ReturnGrace is how long a standby may stay away after its connection
	// closed.
	ReturnGrace time.Duration
	// EnterWithin bounds how long a standby may hold the commit seq still
	// before its addition is asked for.
	EnterWithin time.Duration
	// EnterBytes is how near to the tail a standby must be to enter the view.
	EnterBytes int64
	// SlowAfter, SlowBudget and SlowWindow: waits for a standby of at least
	// SlowAfter may add up to SlowBudget within SlowWindow.
	SlowAfter, SlowBudget, SlowWindow time.Duration
	// OutMin to OutMax is how long a removed standby is kept out, doubling
	// each time, back to OutMin after QuietAfter in sync.
	OutMin, OutMax, QuietAfter time.Duration
	// AskAgain is how often an unanswered proposal is repeated.
	AskAgain time.Duration
	// ConfirmEvery is how often a confirm is sent where nothing else is.
	ConfirmEvery time.Duration
	// SleptAfter is the gap between two ticks after which the process counts
	// as having slept: what it waited for may be here, unread.
	SleptAfter time.Duration
	// SealFor is how long a sealed primary waits for its successor before it
	// reopens.
	SealFor time.Duration
}

// DefaultReplicaConfig returns the bounds that the promises are stated for.
func DefaultReplicaConfig() ReplicaConfig {
	return ReplicaConfig{
		AckTimeout: 500 * time.Millisecond, ReturnGrace: 50 * time.Millisecond,
		EnterWithin: 200 * time.Millisecond, EnterBytes: 1 << 20,
		SlowAfter: 50 * time.Millisecond, SlowBudget: time.Second, SlowWindow: 10 * time.Second,
		OutMin: time.Second, OutMax: time.Minute, QuietAfter: 5 * time.Minute,
		AskAgain: 100 * time.Millisecond, ConfirmEvery: 90 * time.Millisecond,
		SleptAfter: 200 * time.Millisecond, SealFor: 2 * time.Second,
	}
}

// Saved is what a replica finds on its disk when it starts.
type Saved struct {
	Accepted   Epoch      // the highest epoch accepted
	Last       Position   // end of the journal, all of it durable
	Commit     Seq        // highest seq known to be committed
	Boundaries []Boundary // where each epoch begins in the journal
}

// EffectKind says what the shell is to do.
type EffectKind uint8

// The effects, in the order in which a change of role emits them.
const (
	// EffectEndRole ends the work of the present role, the incoming stream
	// above all, and waits until nothing of it can touch the journal any more.
	EffectEndRole EffectKind = iota + 1
	// EffectPersistEpoch makes Effect.Epoch the accepted epoch, durably.
	EffectPersistEpoch
	// EffectSettle calls [Replica.Settled] once the effects before it are done.
	EffectSettle
	// EffectBeginReign starts the work of a primary: the first record that it
	// appends is the epoch-start of Effect.Epoch.
	EffectBeginReign
	// EffectBeginFollow starts the work of a standby of Effect.Peer.
	EffectBeginFollow
	// EffectServe tells that the epoch-start is committed: requests may be
	// answered.
	EffectServe
	// EffectPropose sends Effect.Change to the monitors.
	EffectPropose
	// EffectDropPeer closes connection Effect.Conn.
	EffectDropPeer
	// EffectLog reports a decision about Effect.Peer: Effect.Text.
	EffectLog
	// EffectSealed tells that everything up to Effect.Position is committed, and
	// so is on the disk of Effect.Peer: whoever asked for the seal is answered.
	EffectSealed
	// EffectReopen tells that a seal has ended without a successor: requests are
	// judged and answered again.
	EffectReopen
)

// Effect is one thing for the shell to do. Effects are done in order.
type Effect struct {
	Kind     EffectKind
	Epoch    Epoch
	Peer     UUID
	Conn     ConnID
	Position Position
	Change   ChangeInSync
	Text     string
}

type phase uint8

const (
	phaseIdle phase = iota // no primary to follow, and not the primary
	phaseChanging
	phaseFollowing
	phaseReigning
)

// Replica is the state machine of one replica of one group: what it accepts,
// when it may call a record committed, and whom it counts. It is not safe for
// concurrent use; the shell owns it under one mutex.
//
// Each method is one event. What is to be done collects in order and is
// fetched with [Replica.Effects]; the commit seq is read with [Replica.Commit].
type Replica struct {
	cfg   ReplicaConfig
	group GroupID
	me    ReplicaBoot

	accepted   Epoch // durable
	record     GroupRecord
	phase      phase
	last       Position
	durable    Seq
	commit     Seq
	boundaries []Boundary
	deposed    bool // was primary in this boot, and follows nobody yet

	reign  *reign
	follow follow

	lastTick time.Time
	out      []Effect
}

// NewReplica returns the machine of a replica that has just started.
func NewReplica(cfg ReplicaConfig, group GroupID, me ReplicaBoot, s Saved) *Replica {
	return &Replica{
		cfg: cfg, group: group, me: me,
		accepted: s.Accepted, last: s.Last, durable: s.Last.Seq, commit: s.Commit,
		boundaries: slices.Clone(s.Boundaries),
	}
}

// Effects returns what is to be done, in order, and forgets it. The slice is
// valid until the next event.
func (r *Replica) Effects() []Effect {
	out := r.out
	r.out = r.out[:0]
	return out
}

// Pending tells whether [Replica.Effects] would return anything.
func (r *Replica) Pending() bool { return len(r.out) > 0 }

func (r *Replica) emit(e Effect) { r.out = append(r.out, e) }

// Commit returns the commit seq. It never goes back.
func (r *Replica) Commit() Seq { return r.commit }

// Last returns the end of the journal, durable or not.
func (r *Replica) Last() Position { return r.last }

// Durable returns the highest seq that this replica's disk holds.
func (r *Replica) Durable() Seq { return r.durable }

// Accepted returns the highest epoch accepted.
func (r *Replica) Accepted() Epoch { return r.accepted }

// GroupRecord returns the newest record taken.
func (r *Replica) GroupRecord() GroupRecord { return r.record }

// Boundaries returns where each epoch begins in the journal.
func (r *Replica) Boundaries() []Boundary { return slices.Clone(r.boundaries) }

// Serving tells whether this is a primary whose epoch-start is committed.
func (r *Replica) Serving() bool { return r.reign != nil && r.reign.serving }

// Role returns what the replica does by the newest record that it took.
func (r *Replica) Role() Role {
	switch r.phase {
	case phaseReigning:
		return RolePrimary
	case phaseFollowing:
		return RoleStandby
	case phaseIdle, phaseChanging:
	}
	return RoleNone
}

// State returns the replica's condition as shown to people.
func (r *Replica) State() State {
	switch {
	case r.reign != nil && !r.reign.serving:
		return StateStarting
	case r.Sealed():
		return StateDraining
	case r.reign != nil && len(r.record.InSync) == 1:
		return StatePrimaryAlone
	case r.reign != nil:
		return StatePrimary
	case r.deposed && r.belongs():
		return StateFenced
	case r.record.Version == 0 || r.record.Primary.UUID == r.me.UUID:
		return StateStarting
	case r.record.IsHeldOut(r.me.UUID):
		return StateMaintenance
	case r.record.IsInSync(r.me.UUID):
		return StateStandby
	case r.record.IsMember(r.me.UUID):
		return StateCatchingUp
	}
	return StateSpare
}

// Record hands the replica a group record, from whomever it came. A record is
// taken only if its version is above the one held and its epoch is not below
// the accepted one: a late copy of an older one changes nothing.
func (r *Replica) Record(rec GroupRecord, now time.Time) (taken bool) {
	if rec.Group != r.group || rec.Version <= r.record.Version || rec.Epoch < r.accepted {
		return false
	}
	before := r.record
	r.record = rec
	switch {
	case r.phase == phaseChanging: // Settled looks at the newest record
	case r.reign != nil && rec.Epoch == r.reign.epoch && rec.Primary == r.me:
		r.reignRecord(before, now)
	case r.phase == phaseFollowing && rec.Epoch == r.accepted && rec.Primary == before.Primary && r.belongs():
	default:
		r.beginChange()
	}
	return true
}

// belongs tells whether the newest record wants this replica to hold a copy.
func (r *Replica) belongs() bool {
	return r.record.IsMember(r.me.UUID) || r.record.IsInSync(r.me.UUID)
}

// beginChange leaves the present role. From here until Settled every event of
// a connection is refused, so nothing of the old role has an effect.
func (r *Replica) beginChange() {
	if r.reign != nil {
		r.deposed = true
	}
	r.reign = nil
	r.follow = follow{}
	r.phase = phaseChanging
	r.emit(Effect{Kind: EffectEndRole})
	r.settle()
}

func (r *Replica) settle() {
	if r.record.Epoch > r.accepted {
		r.emit(Effect{Kind: EffectPersistEpoch, Epoch: r.record.Epoch})
	}
	r.emit(Effect{Kind: EffectSettle})
}

// Settled tells that the old role has ended and which epoch is durably
// accepted now. It enters the role that the newest record gives.
func (r *Replica) Settled(accepted Epoch, now time.Time) {
	assert(r.phase == phaseChanging, "settled outside of a change")
	assert(accepted >= r.accepted, "the accepted epoch went back")
	assert(r.durable == r.last.Seq, "a role ended with an unsynced tail")
	r.accepted = accepted
	switch {
	case accepted < r.record.Epoch: // a newer record came meanwhile
		r.settle()
	case r.record.Primary == r.me && r.last.Epoch < r.record.Epoch:
		r.beginReign(now)
	case r.record.Primary.UUID != r.me.UUID && r.record.Epoch > 0 && r.belongs():
		r.phase = phaseFollowing
		r.emit(Effect{Kind: EffectBeginFollow, Peer: r.record.Primary.UUID})
	default:
		r.phase = phaseIdle
	}
}

// Appended tells that a record was written to the journal, not yet synced.
func (r *Replica) Appended(p Position, now time.Time) {
	assert(p.Seq == r.last.Seq+1, "appended %s after %s", p, r.last)
	assert(p.Epoch >= r.last.Epoch, "appended %s after %s", p, r.last)
	if p.Epoch > r.last.Epoch {
		r.boundaries = append(r.boundaries, Boundary{p.Epoch, p.Seq})
	}
	r.grow(p)
	if r.reign != nil {
		r.reignAppended(now)
	}
}

// grow moves the end of the journal. A standby's grows only from where it equals
// the primary's.
func (r *Replica) grow(p Position) {
	if r.phase == phaseFollowing {
		assert(r.last.Seq == r.follow.matched, "appended %s where the histories part after %d", p, r.follow.matched)
		r.follow.matched = p.Seq
	}
	r.last = p
}

// AppendedTo is [Replica.Appended] for a run of records of one epoch that ends
// at p.
func (r *Replica) AppendedTo(p Position, now time.Time) {
	if p.Seq > r.last.Seq+1 {
		if p.Epoch > r.last.Epoch {
			r.Appended(Position{p.Epoch, r.last.Seq + 1}, now)
		}
		r.grow(Position{p.Epoch, p.Seq - 1})
	}
	r.Appended(p, now)
}

// Synced tells that the journal is durable up to seq.
func (r *Replica) Synced(seq Seq, now time.Time) {
	assert(seq <= r.last.Seq, "synced %d beyond the end %s", seq, r.last)
	r.durable = max(r.durable, seq)
	if r.reign != nil {
		r.advance(now)
		return
	}
	r.learn()
}

// Tick lets time pass. The shell calls it when [Replica.NextTick] says.
func (r *Replica) Tick(now time.Time) {
	if r.reign != nil {
		r.reignTick(now)
	}
	r.lastTick = now
}

// EpochAt returns the epoch of the record at seq in a history of the given
// boundaries, 0 for seq 0.
func EpochAt(boundaries []Boundary, seq Seq) Epoch {
	var e Epoch
	for _, b := range boundaries {
		if b.First <= seq {
			e = b.Epoch
		}
	}
	return e
}

// CheckBoundaries tells what is wrong with boundaries that a peer sent, of a
// history that ends at last: epochs and firsts rise, from 1.
func CheckBoundaries(boundaries []Boundary, last Seq) error {
	var before Boundary
	for i, b := range boundaries {
		if b.Epoch <= before.Epoch || b.First <= before.First || b.First > last || i == 0 && b.First != 1 {
			return fmt.Errorf("boundary %d of epoch %d after %d of epoch %d, in a history of %d records", b.First, b.Epoch, before.First, before.Epoch, last)
		}
		before = b
	}
	if last > 0 && len(boundaries) == 0 {
		return fmt.Errorf("a history of %d records without boundaries", last)
	}
	return nil
}

// Part returns the last seq up to which two histories are equal. Journals that
// hold a record at the same position are equal up to it, so it is the end of
// the shorter one in the newest epoch that both have.
func Part(a []Boundary, aLast Seq, b []Boundary, bLast Seq) Seq {
	end := func(bs []Boundary, i int, last Seq) Seq {
		if i+1 < len(bs) {
			return bs[i+1].First - 1
		}
		return last
	}
	for i, x := range slices.Backward(a) {
		j := slices.IndexFunc(b, func(y Boundary) bool { return y.Epoch == x.Epoch })
		if j < 0 {
			continue
		}
		if part := min(end(a, i, aLast), end(b, j, bLast)); part >= max(x.First, b[j].First) {
			return part
		}
	}
	return 0
}

// assert stops the process on a broken invariant: going on could lose data.
func assert(ok bool, format string, args ...any) {
	if !ok {
		panic("protocol invariant broken: " + fmt.Sprintf(format, args...))
	}
}
