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
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
)

// Bounds of the shell's own waits and buffers.
const (
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
	// SnapshotBytes is how much the journal grows between two snapshots; it is as
	// much as the map takes, if that is more.
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
	// feed is what watchers are fed from. It has its own lock.
	feed *feed
	// full tells that the disk had no room for the last batch. While uncut it has none
	// to set aside what the primary does not have, whatever else there is room for.
	full, uncut atomic.Bool
	// turned is when the control loop last came round, in nanoseconds since
	// began: a wall clock that jumps must not make the loop look stuck.
	turned atomic.Int64
	began  time.Time
	// hold, minCopies and chained are cluster settings.
	hold      atomic.Int64
	minCopies atomic.Int64
	chained   atomic.Bool

	rerouted chan struct{} // capacity 1: the way of the stream is to be looked at again

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
	opened  chan struct{}         // closed when a seal ends; nil: there is none
	// rounds are those that something waits for, by number: the one in flight
	// and the next.
	rounds []*round
	asking asking // while standby, on a stream
	conns  map[protocol.ConnID]*peerConn
	connID protocol.ConnID
	holds  []*hold      // journal kept for standbys that were sent a snapshot
	unread protocol.Seq // what the disk could not read of the journal, at the latest
	closed bool

	// heard is when the primary last said anything on the stream of this standby,
	// in nanoseconds since began; 0: nothing yet.
	heard atomic.Int64

	role  roleWork              // owned by the control loop
	asked protocol.ChangeInSync // the newest wish for the in-sync set; the control loop's, too

	// snapshotAt is the journal volume at the last snapshot, written how much
	// has been written since the snapshot that was loaded. Both are bytes.
	snapshotAt atomic.Int64
	written    atomic.Int64
	loaded     protocol.Seq // that of the snapshot found at the start; never changed
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
		wake: make(chan struct{}, 1), fatal: make(chan error, 1), rerouted: make(chan struct{}, 1),
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
	r.applied, r.loaded = m, m.Position().Seq
	last := r.opts.Journal.Last().Seq
	for next := m.Position().Seq + 1; next <= last; {
		chunk, end, err := r.opts.Journal.Read(next, nil, maxBatch)
		if err != nil {
			return fmt.Errorf("read the journal of group %d at %d: %w", r.opts.Group, next, err)
		}
		r.pending.add(chunk, next, end)
		r.written.Add(int64(len(chunk)))
		next = end + 1
		if err := r.pending.apply(r.applied, r.opts.Commit); err != nil {
			return fmt.Errorf("apply the journal of group %d: %w", r.opts.Group, err)
		}
	}
	r.view.Store(r.applied.View())
	r.feed = newFeed(r.applied.Position())
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
