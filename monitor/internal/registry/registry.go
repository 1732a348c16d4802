// Package registry keeps the monitors' replicated record of nodes, groups and
// settings: [protocol.Registry] as a Raft state machine, with its log in the
// monitor's data directory. One monitor is a cluster of one voter; several take
// the same road.
//
// A command is acknowledged when it is on the disks of a majority, and every
// state that is handed out is the result of acknowledged commands alone.
package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"understudy.example/pkg/protocol"
)

// Registry is an open registry. All methods may be called at the same time.
type Registry struct {
	opt      Options
	identity identity
	machine  *machine
	raft     *raft.Raft
	store    *raftboltdb.BoltStore
	leads    atomic.Bool

	transport raft.Transport

	changed chan struct{}      // capacity 1: there is something to spread
	stop    context.CancelFunc // ends the watch
	watched sync.WaitGroup     // the watch for leadership, and spread

	mu      sync.Mutex // guards closed, and adding to pending
	closed  bool
	pending sync.WaitGroup // futures that Raft has not answered yet
}

// Open opens the registry in o.Dir, creating it where there is none. It fails
// when another process holds the directory, when the directory belongs to a
// monitor of another name, and when a file in it cannot be read; it never
// repairs by leaving something out. It does not wait for a leader.
func Open(ctx context.Context, o Options) (*Registry, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	store, err := openStore(ctx, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r := &Registry{opt: o, store: store, changed: make(chan struct{}, 1)}
	r.machine = newMachine(func(state protocol.Registry) {
		r.noteChange()
		o.OnChange(state)
	})
	// A garbled file can make the libraries panic where they trust it.
	if err := guard(r.start); err != nil {
		return nil, fmt.Errorf("open registry in %s: %w", o.Dir, errors.Join(err, store.Close()))
	}
	watch, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.watched.Go(func() { r.watch(watch) })
	r.watched.Go(func() { r.spread(watch) })
	return r, nil
}

// start reads what the directory holds and starts Raft on it.
func (r *Registry) start() (err error) {
	if err := checkLog(r.store); err != nil {
		return err
	}
	if r.identity, err = openIdentity(r.opt, r.store); err != nil {
		return err
	}
	logger := raftLogger(r.opt.Log)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(r.opt.Dir, retainSnapshots, logger)
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	conf := raftConfig(r.identity.raftID())
	conf.Logger = logger
	r.transport = r.connect(logger)
	if r.opt.Several {
		err = forgetHalfBirth(r.store)
	} else {
		err = bootstrap(conf, r.store, snapshots, r.transport)
	}
	if err == nil {
		r.raft, err = raft.NewRaft(conf, r.machine, r.store, r.store, snapshots, r.transport)
		err = errors.Join(err, r.machine.err())
	}
	if err != nil {
		r.closeTransport()
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

func (r *Registry) connect(log hclog.Logger) raft.Transport {
	if r.opt.Connect != nil {
		return r.opt.Connect(r.identity.raftID(), log)
	}
	_, transport := raft.NewInmemTransport(raft.ServerAddress(r.identity.raftID()))
	return transport
}

// closeTransport ends all connections, so that nothing waits for an answer.
func (r *Registry) closeTransport() {
	if c, ok := r.transport.(raft.WithClose); ok {
		_ = c.Close() // Raft never sends again
	}
}

func raftConfig(id raft.ServerID) *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = id
	conf.HeartbeatTimeout = heartbeatTimeout
	conf.ElectionTimeout = electionTimeout
	conf.LeaderLeaseTimeout = leaseTimeout
	conf.CommitTimeout = commitTimeout
	conf.SnapshotThreshold = snapshotEvery
	conf.TrailingLogs = trailingLogs
	conf.NoLegacyTelemetry = true
	return conf
}

// State returns the newest applied state, which must not be changed. It never
// blocks. Before the registry is founded its Cluster is empty.
func (r *Registry) State() protocol.Registry { return *r.machine.state.Load() }

// Leader tells whether this monitor leads and has applied all that earlier
// leaders acknowledged.
func (r *Registry) Leader() bool { return r.leads.Load() }

// LeaderName returns the name of the monitor that leads, or "" while none is known.
func (r *Registry) LeaderName() string {
	_, id := r.raft.LeaderWithID()
	return monitorName(id)
}

// Term returns Raft's current term: it grows with every election.
func (r *Registry) Term() uint64 { return r.raft.CurrentTerm() }

// Failed is closed when the registry cannot go on because a committed command
// cannot be read; [Registry.Err] then says why. The state stays as it was
// before that command, and the process is to be ended.
func (r *Registry) Failed() <-chan struct{} { return r.machine.failed }

// Err returns why the registry failed, or nil while it has not.
func (r *Registry) Err() error { return r.machine.err() }

// Close stops taking part and releases the directory. It waits for the disk to
// answer what is under way; commands under way are answered first.
func (r *Registry) Close() error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.mu.Unlock()
	if again {
		return nil
	}
	r.stop()
	r.watched.Wait()
	// Before the shutdown: a future that waits for the state machine when
	// Raft stops is never answered.
	r.pending.Wait()
	ended := r.raft.Shutdown()
	r.closeTransport()
	return errors.Join(ended.Error(), r.store.Close())
}
