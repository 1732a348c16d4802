// Package replica is the shell around one replica of one group: it owns the
// protocol's state machine, the journal and the map, and moves records between
// clients, disk and the other replicas. What may be done is decided in
// pkg/protocol; what is done is here: persist, then act, then answer.
package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// Bounds of the shell's own waits and buffers.
const (
	tickEvery      = 10 * time.Millisecond
	maxBatch       = 1 << 20  // bytes of records synced together
	recentBytes    = 8 << 20  // bytes of records kept in memory for the streams
	windowBytes    = 8 << 20  // bytes sent to a standby and not acknowledged
	maxQueued      = 10_000   // requests waiting to be judged
	maxQueuedBytes = 64 << 20 // of those requests
	maxBatches     = 10_000   // batches judged and not committed
	maxUnsettled   = 64 << 20 // bytes of their records
)

// Epochs keeps the accepted epoch of the group durably.
type Epochs interface {
	AcceptedEpoch(protocol.GroupID) protocol.Epoch
	SetAcceptedEpoch(protocol.GroupID, protocol.Epoch) error
	MarkFailed(g protocol.GroupID, reason string) error
}

// Options is what a replica is made of.
type Options struct {
	Name    string
	Cluster func() string // the cluster's id, "" before the node has joined one
	Group   protocol.GroupID
	Me      protocol.ReplicaBoot
	Epochs  Epochs
	Journal *journal.Journal
	// Commit is the highest seq that the disk shows to be committed.
	Commit  protocol.Seq
	Config  protocol.ReplicaConfig
	Profile []byte // JSON, for the birth of the group; nil for none
	// MaxBytes bounds the map, 0: no bound.
	MaxBytes int64
	// SnapshotBytes is how much journal may grow between two snapshots.
	SnapshotBytes int64
	Dial          func(ctx context.Context, network, address string) (net.Conn, error)
	// Address returns where a replica is reached.
	Address func(protocol.UUID) (string, bool)
	// NameOf returns a replica's name for people.
	NameOf func(protocol.UUID) string
	// Propose sends a wish to the monitors. It does not block.
	Propose func(protocol.ChangeInSync)
	// Changed tells that the status changed in a way that the monitors should
	// hear of at once. It does not block.
	Changed func()
	Metrics *Metrics
	Log     zerolog.Logger
}

// Replica is one running replica. Its exported methods may be called
// concurrently.
type Replica struct {
	opts Options
	log  zerolog.Logger

	// serving mirrors core.Serving for readers that take no lock.
	serving atomic.Bool
	// alone tells that a read needs no confirm: nobody else is in the view. It
	// is cleared before anybody else can have been promoted.
	alone atomic.Bool
	// following tells that questions reach the primary.
	following atomic.Bool
	// view is the state to read from: every record up to the commit seq, as
	// far as it has been applied. Never nil.
	view atomic.Pointer[store.View]
	// full tells that the disk had no room for the last batch.
	full atomic.Bool
	// turned is when the control loop last came round, in nanoseconds since
	// began: a wall clock that jumps must not make the loop look stuck.
	turned atomic.Int64
	began  time.Time
	// hold and minCopies are cluster settings.
	hold      atomic.Int64
	minCopies atomic.Int64

	wake  chan struct{} // capacity 1: effects or records wait for the control loop
	fatal chan error    // capacity 1: why this replica cannot go on

	// mu guards everything below. It is never held during I/O.
	mu      sync.Mutex
	core    *protocol.Replica
	inbox   *protocol.GroupRecord // newest record not handed to the core yet
	applied *store.Map            // the state behind view
	pending pending               // journal beyond applied; unused while lead is set
	waiting []positionWait        // session reads
	lead    *lead                 // while primary
	// rounds are those that something waits for, by number: the one in flight
	// and the next.
	rounds []*round
	asking asking // while standby, on a stream
	conns  map[protocol.ConnID]*peerConn
	connID protocol.ConnID
	closed bool

	role roleWork // owned by the control loop

	// snapshotAt is the journal volume at the last snapshot, written how much
	// has been written since the start. Both are bytes.
	snapshotAt atomic.Int64
	written    atomic.Int64
}

// positionWait is a reader that waits until seq is applied.
type positionWait struct {
	seq  protocol.Seq
	done chan struct{}
}

// New builds the state from snapshot and journal and returns the replica. Run
// starts it.
func New(opts Options) (*Replica, error) {
	r := &Replica{
		opts: opts, log: opts.Log,
		wake: make(chan struct{}, 1), fatal: make(chan error, 1),
		conns: map[protocol.ConnID]*peerConn{}, began: time.Now(),
	}
	r.hold.Store(int64(time.Duration(protocol.DefaultSettings().Hold)))
	r.minCopies.Store(int64(protocol.DefaultSettings().MinCopies))
	if err := r.load(); err != nil {
		return nil, err
	}
	last := opts.Journal.Last()
	r.core = protocol.NewReplica(opts.Config, opts.Group, opts.Me, protocol.Saved{
		Accepted: opts.Epochs.AcceptedEpoch(opts.Group), Last: last,
		Commit: r.applied.Position().Seq, Boundaries: opts.Journal.Boundaries(),
	})
	return r, nil
}

// load reads the snapshot, applies the journal up to what is known to be
// committed, and keeps the rest as pending.
func (r *Replica) load() error {
	m, err := r.loadSnapshot()
	if err != nil {
		return err
	}
	m.LimitBytes(r.opts.MaxBytes)
	r.applied = m
	last := r.opts.Journal.Last().Seq
	for next := m.Position().Seq + 1; next <= last; {
		chunk, end, err := r.opts.Journal.Read(next, nil, maxBatch)
		if err != nil {
			return fmt.Errorf("read the journal of group %d at %d: %w", r.opts.Group, next, err)
		}
		r.pending.add(chunk, next, end)
		next = end + 1
		if err := r.pending.apply(r.applied, r.opts.Commit); err != nil {
			return fmt.Errorf("apply the journal of group %d: %w", r.opts.Group, err)
		}
	}
	r.view.Store(r.applied.View())
	return nil
}

func (r *Replica) loadSnapshot() (*store.Map, error) {
	_, body, err := r.opts.Journal.OpenSnapshot()
	if errors.Is(err, journal.ErrNoSnapshot) {
		return store.NewMap(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the snapshot of group %d: %w", r.opts.Group, err)
	}
	m, err := store.DecodeMap(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read the snapshot of group %d: %w", r.opts.Group, err)
	}
	return m, nil
}

// Run works until ctx ends or the replica cannot go on, which is an error. The
// journal is the caller's to close afterwards.
func (r *Replica) Run(ctx context.Context) error {
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	background.Go(func() { r.snapshots(ctx) })
	// Nothing of this is deferred: a broken invariant must end the process at
	// once, and not wait for locks that it holds itself.
	err := r.control(ctx)
	r.shut()
	if errors.Is(err, journal.ErrAtRisk) {
		err = errors.Join(err, r.opts.Epochs.MarkFailed(r.opts.Group, err.Error()))
	}
	cancel()
	background.Wait()
	return err
}

// control is the control loop.
func (r *Replica) control(ctx context.Context) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		r.turned.Store(int64(time.Since(r.began)))
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.fatal:
			return err
		case <-r.wake:
		case <-ticker.C:
			r.tick(time.Now())
		}
		if err := r.work(ctx); err != nil {
			return err
		}
	}
}

// kick wakes the control loop.
func (r *Replica) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// die ends the replica: its disk has failed, or an invariant is broken.
func (r *Replica) die(err error) {
	select {
	case r.fatal <- err:
	default: // it is dying already
	}
}

// Assign hands the replica a group record. Older ones change nothing.
func (r *Replica) Assign(rec protocol.GroupRecord) {
	r.mu.Lock()
	if rec.Version > r.core.GroupRecord().Version && (r.inbox == nil || rec.Version > r.inbox.Version) {
		r.inbox = &rec
		r.kick()
	}
	r.mu.Unlock()
}

// Settings hands the replica the cluster's settings.
func (r *Replica) Settings(s protocol.Settings) {
	r.hold.Store(int64(time.Duration(s.Hold)))
	r.minCopies.Store(int64(s.MinCopies))
}

func (r *Replica) tick(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.core.Tick(now)
	r.expireQuestion(now, time.Duration(r.hold.Load()))
	if r.lead != nil {
		r.lead.expire(now, time.Duration(r.hold.Load()))
		r.expireRounds(now, time.Duration(r.hold.Load()))
		if r.core.ConfirmDue(now) {
			r.core.NextConfirm(now)
			r.notifyPeers()
		}
		r.publish()
	}
}

// work hands waiting records to the core and does what it asks for, until
// nothing is left.
func (r *Replica) work(ctx context.Context) error {
	for {
		var taken *protocol.GroupRecord
		r.mu.Lock()
		if rec := r.inbox; rec != nil {
			r.inbox = nil
			if r.core.Record(*rec, time.Now()) {
				taken = rec
				r.publish()
			}
		}
		effects := append([]protocol.Effect(nil), r.core.Effects()...)
		r.serving.Store(r.core.Serving())
		r.checkRound()
		r.mu.Unlock()
		if taken != nil {
			r.log.Info().Uint64("version", uint64(taken.Version)).Uint64("epoch", uint64(taken.Epoch)).
				Str("primary", r.opts.NameOf(taken.Primary.UUID)).Int("in_sync", len(taken.InSync)).Msg("group record taken")
		}
		if len(effects) == 0 {
			return nil
		}
		for _, e := range effects {
			if err := r.do(ctx, e); err != nil {
				return err
			}
		}
	}
}

// do carries out one effect of the core, in the control loop.
func (r *Replica) do(ctx context.Context, e protocol.Effect) error {
	switch e.Kind {
	case protocol.EffectEndRole:
		r.endRole()
		select {
		case err := <-r.fatal: // the journal failed under the old role
			return err
		default:
		}
	case protocol.EffectPersistEpoch:
		return r.persistEpoch(ctx, e.Epoch)
	case protocol.EffectSettle:
		r.mu.Lock()
		r.core.Settled(r.opts.Epochs.AcceptedEpoch(r.opts.Group), time.Now())
		r.mu.Unlock()
	case protocol.EffectBeginReign:
		return r.beginReign(ctx, e.Epoch)
	case protocol.EffectBeginFollow:
		r.beginFollow(ctx, e.Peer)
	case protocol.EffectServe:
		r.log.Info().Uint64("epoch", uint64(e.Epoch)).Msg("serving as primary")
		r.opts.Changed()
	case protocol.EffectPropose:
		r.log.Info().Uint64("version", uint64(e.Change.Version)).Int("in_sync", len(e.Change.InSync)).
			Str("reason", e.Change.Reason).Msg("asking for another in-sync set")
		r.opts.Propose(e.Change)
	case protocol.EffectDropPeer:
		r.dropConn(e.Conn)
	case protocol.EffectLog:
		r.log.Info().Str("standby", r.opts.NameOf(e.Peer)).Msg(e.Text)
	}
	return nil
}

// persistEpoch accepts an epoch durably. On a full disk it waits for room: the
// replica takes no part until then, and says why.
func (r *Replica) persistEpoch(ctx context.Context, epoch protocol.Epoch) error {
	for {
		err := r.opts.Epochs.SetAcceptedEpoch(r.opts.Group, epoch)
		switch {
		case err == nil:
			return nil
		case !disk.IsFull(err):
			return fmt.Errorf("persist epoch %d: %w", epoch, err)
		case ctx.Err() != nil:
			return nil // Settled sees that it was not accepted
		}
		r.fillUp(err)
		r.turned.Store(int64(time.Since(r.began)))
		pause(ctx, roomCheck)
	}
}

// roleWork is the goroutines of the present role.
type roleWork struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// startRole starts fn as part of the present role.
func (r *Replica) startRole(ctx context.Context, fn func(context.Context)) {
	ctx, r.role.cancel = context.WithCancel(ctx)
	r.role.wait.Go(func() { fn(ctx) })
}

// endRole ends the work of the present role and waits for it: afterwards
// nothing touches the journal, and whoever waited has been told.
func (r *Replica) endRole() {
	r.serving.Store(false)
	r.mu.Lock()
	l := r.lead
	r.lead = nil
	if l != nil {
		l.fail()
		r.failRounds()
	}
	for _, c := range r.conns {
		c.deposed(r.core.GroupRecord())
	}
	upstream, rec := r.asking.stream, r.core.GroupRecord()
	r.mu.Unlock()
	if upstream != nil {
		upstream.leave(rec)
	}
	if r.role.cancel != nil {
		r.role.cancel()
		r.role.wait.Wait()
		r.role.cancel = nil
	}
	if l != nil {
		r.mu.Lock()
		r.pending = l.unpublished()
		r.mu.Unlock()
	}
}

// shut ends everything at the end of Run.
func (r *Replica) shut() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.endRole()
	r.alone.Store(false)
	r.mu.Lock()
	for id, c := range r.conns {
		c.close()
		delete(r.conns, id)
	}
	for _, w := range r.waiting {
		close(w.done)
	}
	r.waiting = nil
	r.mu.Unlock()
}

// publish applies what is committed, shows it to readers, and then answers
// whoever waited for it. mu is held.
func (r *Replica) publish() {
	commit := r.core.Commit()
	before := r.applied.Position()
	if r.lead != nil {
		if state := r.lead.collect(commit); state != nil {
			r.applied = state
		}
	} else if err := r.pending.apply(r.applied, commit); err != nil {
		r.die(fmt.Errorf("apply committed records: %w", err))
		return
	}
	if r.applied.Position() != before {
		r.view.Store(r.applied.View())
		if len(r.waiting) > 0 {
			r.wakeReaders()
		}
	}
	if r.lead != nil {
		r.answer()
	}
}

func (r *Replica) wakeReaders() {
	applied := r.applied.Position().Seq
	left := r.waiting[:0]
	for _, w := range r.waiting {
		if w.seq <= applied {
			close(w.done)
		} else {
			left = append(left, w)
		}
	}
	r.waiting = left
}

// applyRecord applies one committed record to m.
func applyRecord(m *store.Map, rec record.Record) error {
	switch rec.Kind {
	case record.EpochStart:
		return m.ApplyEpochStart(rec.Position())
	case record.Profile:
		return m.ApplyProfile(rec.Position(), rec.Payload)
	case record.Batch:
		return m.ApplyBatch(rec.Position(), rec.Payload)
	}
	return fmt.Errorf("record %s is of an unknown kind %d", rec.Position(), rec.Kind)
}
