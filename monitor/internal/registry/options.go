package registry

import (
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"understudy.example/pkg/protocol"
)

// Raft's timeouts. A monitor's death is noticed after the heartbeat timeout, so
// these are part of the promise for a leader that dies together with a primary.
const (
	heartbeatTimeout = 300 * time.Millisecond
	electionTimeout  = 300 * time.Millisecond
	// leaseTimeout is below the election timeout: a leader that is cut off steps down
	// before another can be elected. It is well above the pace of the heartbeats, so
	// that a busy machine does not depose a leader.
	leaseTimeout = 250 * time.Millisecond
	// commitTimeout is how often each follower is sent an empty message beside the
	// heartbeats, whatever there is to tell. What a change needs is spread at once: see
	// spread.go.
	commitTimeout = 250 * time.Millisecond
)

// ApplyTimeout bounds [Registry.Apply] where the caller's context allows more.
const ApplyTimeout = 2 * time.Second

// lockTimeout bounds the wait for a data directory that another process holds.
const lockTimeout = time.Second

// The log is cut once per snapshotEvery entries. Twice as many stay behind the
// newest snapshot, so that the log still reaches back to the one before it: a
// snapshot that cannot be read costs nothing.
const (
	snapshotEvery   = 1024
	trailingLogs    = 2 * snapshotEvery
	retainSnapshots = 2
)

// The errors of [Registry.Apply] beside refusals.
var (
	// ErrNotLeader: another monitor leads, or none. The command was not applied.
	ErrNotLeader = errors.New("this monitor does not lead the registry")
	// ErrOutcomeUnknown: the command may have been applied, or may be yet.
	ErrOutcomeUnknown = errors.New("whether the registry applied the command is not known")
	// ErrClosed: the registry has been closed. The command was not applied.
	ErrClosed = errors.New("the registry is closed")
)

// Options are what [Open] needs.
type Options struct {
	Name string // the monitor's configured name; a data directory keeps the one it was made for
	Dir  string // the data directory; created where missing
	// Connect returns what carries Raft's messages between this voter and the
	// others. It is closed with the registry. Nil: a transport within the process.
	Connect func(self raft.ServerID, log hclog.Logger) raft.Transport
	// Several tells that the first birth of the registry is agreed on by several
	// monitors: see [Registry.Begin]. Otherwise an empty directory becomes a registry
	// of one voter at once.
	Several  bool
	Settings protocol.Settings // for the birth of a cluster; later the registry's hold
	Log      zerolog.Logger
	Rand     io.Reader // for the cluster id and the directory's uuid; nil: crypto/rand

	// OnChange receives every new state, in order, the replayed ones after a
	// start included. OnLeader tells when this monitor begins to lead, all
	// earlier commands applied and the registry founded, and when it ceases.
	// Both may be called before Open returns. Neither may block, and neither
	// may call Apply or Close. Each is never called twice at the same time.
	OnChange func(protocol.Registry)
	OnLeader func(leads bool)
}

func (o Options) withDefaults() Options {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.OnChange == nil {
		o.OnChange = func(protocol.Registry) {}
	}
	if o.OnLeader == nil {
		o.OnLeader = func(bool) {}
	}
	return o
}

func (o Options) validate() error {
	if o.Name == "" || o.Dir == "" {
		return errors.New("a registry needs the monitor's name and a data directory")
	}
	return o.Settings.Validate()
}
