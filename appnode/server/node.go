package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"understudy.example/appnode/internal/datadir"
	"understudy.example/appnode/internal/httpapi"
	"understudy.example/appnode/internal/replica"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

type mux = chi.Mux

// node is one life of a data directory. Its fields are set before the daemon's
// goroutines start, but for the atomic ones.
type node struct {
	opts    Options
	log     zerolog.Logger
	dir     *datadir.Dir
	replica *replica.Replica // nil if the journal is corrupt
	corrupt string           // why it is
	client  *http.Client

	// known is the registry's newest word. It is replaced under knowing.
	known   atomic.Pointer[wire.Assignment]
	knowing sync.Mutex
	// seen is the highest version of the group's record that a corrupt replica
	// has seen in this boot.
	seen atomic.Uint64
	// probeSince is when the disk probe under way began, in nanoseconds since
	// started; 0: none is.
	probeSince atomic.Int64
	started    time.Time
	// stopping tells that this node hands over what it has, and exits.
	stopping atomic.Bool
	// answering counts the monitors whose last answer to a heartbeat came.
	answering atomic.Int32
	monitors  monitors
	said      spoken
	links     *link.Server // the same interface as on HTTP, for monitors and the client library

	peers    peers
	nudges   []chan struct{} // one for each monitor, capacity 1: send a heartbeat now
	proposal chan protocol.ChangeInSync
	reborn   chan struct{} // capacity 1: the directory may be set aside
	serving  chan struct{} // capacity 1: this node may have begun to serve
}

func newNode(o Options, dir *datadir.Dir) *node {
	n := &node{
		opts: o, dir: dir, started: time.Now(),
		log: o.Log.With().Str("node", o.Name).Logger(),
		client: &http.Client{Transport: &http.Transport{
			DialContext: o.Network.Dial, DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		}},
		peers:    peers{seen: map[protocol.UUID]sight{}},
		proposal: make(chan protocol.ChangeInSync, 1),
		reborn:   make(chan struct{}, 1),
		serving:  make(chan struct{}, 1),
	}
	for range o.Monitors {
		n.nudges = append(n.nudges, make(chan struct{}, 1))
	}
	return n
}

// changed tells monitors and members at once that the replica's status did.
func (n *node) changed() {
	n.nudge()
	select {
	case n.serving <- struct{}{}:
	default:
	}
}

// nudge has a heartbeat sent to every monitor at once.
func (n *node) nudge() {
	n.said.forget()
	for _, c := range n.nudges {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// assign takes the registry's word, from whichever monitor. decided tells that the
// one that decides answers a heartbeat of this boot: a word that was pushed, or that
// another passes on, may be an old one.
func (n *node) assign(a *wire.Assignment, decided bool) error {
	if err := wire.CheckFormat(a.V); err != nil {
		return err
	}
	if a.Cluster == "" {
		return nil // the monitors have no registry yet
	}
	switch have := n.dir.Cluster(); have {
	case a.Cluster:
	case "":
		if err := n.dir.SetCluster(a.Cluster); err != nil {
			return err
		}
		n.log.Info().Str("cluster", a.Cluster).Msg("joined the cluster")
	default:
		return problem.Errorf(problem.WrongCluster, "%s belongs to cluster %s, and the word is of cluster %s", n.opts.Name, have, a.Cluster)
	}
	n.learn(a)
	for _, rec := range a.Groups {
		switch {
		case rec.Group != group:
		case n.replica != nil:
			n.replica.Assign(rec)
		case decided && n.leavesOut(rec):
			select {
			case n.reborn <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

// learn keeps a word for the newest, unless its records, or where these are the same
// its events, show that it is an older one that was under way for long.
func (n *node) learn(a *wire.Assignment) {
	n.knowing.Lock()
	defer n.knowing.Unlock()
	if have := n.known.Load(); have != nil && cmp.Or(cmp.Compare(version(a), version(have)), cmp.Compare(a.Event, have.Event)) < 0 {
		return
	}
	n.known.Store(a)
	if n.replica != nil {
		n.replica.Settings(a.Settings)
	}
}

func version(a *wire.Assignment) protocol.Version {
	for _, rec := range a.Groups {
		if rec.Group == group {
			return rec.Version
		}
	}
	return 0
}

// leavesOut tells whether a record does without this corrupt replica. Nobody adds
// it again while it is corrupt, so a record of this boot settles it; but not one
// that is older than what the replica has accepted or the registry has said.
func (n *node) leavesOut(rec protocol.GroupRecord) bool {
	for {
		seen := n.seen.Load()
		if uint64(rec.Version) < seen || rec.Epoch < n.dir.AcceptedEpoch(group) {
			return false
		}
		if n.seen.CompareAndSwap(seen, uint64(rec.Version)) {
			return !rec.IsInSync(n.dir.UUID())
		}
	}
}

// awaitRebirth sets the directory of a corrupt replica aside as soon as a
// record leaves it out, and not before: until then its copy may be the one that
// is needed.
func (n *node) awaitRebirth(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.reborn:
	}
	n.log.Warn().Msg("the in-sync set does without this replica now, setting its data aside")
	if err := n.dir.SetAside(n.corrupt); err != nil {
		return err
	}
	return errReborn
}

func (n *node) infoOf(u protocol.UUID) (wire.NodeInfo, bool) {
	if a := n.known.Load(); a != nil {
		for _, i := range a.Nodes {
			if i.UUID == u {
				return i, true
			}
		}
	}
	return wire.NodeInfo{}, false
}

func (n *node) addressOf(u protocol.UUID) (string, bool) {
	i, ok := n.infoOf(u)
	return i.Address, ok
}

func (n *node) nameOf(u protocol.UUID) string {
	if u == n.dir.UUID() {
		return n.opts.Name
	}
	if i, ok := n.infoOf(u); ok {
		return i.Name
	}
	return string(u)
}

// Read implements httpapi.Replica.
func (n *node) Read(ctx context.Context, level store.Level, at protocol.Position) (*store.View, error) {
	if n.replica == nil {
		return nil, n.corruptError()
	}
	return n.replica.Read(ctx, level, at)
}

// Watch implements httpapi.Replica.
func (n *node) Watch(ctx context.Context, since protocol.Position, prefix string) (httpapi.Watcher, error) {
	if n.replica == nil {
		return nil, n.corruptError()
	}
	return n.replica.Watch(ctx, since, prefix)
}

// Write implements httpapi.Replica.
func (n *node) Write(ctx context.Context, req *store.Request) (store.Outcome, error) {
	if n.replica == nil {
		return store.Outcome{}, n.corruptError()
	}
	return n.replica.Write(ctx, req)
}

func (n *node) corruptError() error {
	return problem.Errorf(problem.NotPrimary, "the journal of %s is corrupt: %s", n.opts.Name, n.corrupt)
}

// PrimaryAddress implements httpapi.Replica.
func (n *node) PrimaryAddress() string {
	if n.replica == nil {
		return ""
	}
	rec := n.replica.Record()
	if rec.Primary.UUID == n.dir.UUID() {
		return ""
	}
	address, _ := n.addressOf(rec.Primary.UUID)
	return address
}

// Status implements httpapi.Replica: it is the heartbeat. It never waits.
func (n *node) Status() wire.Heartbeat {
	hb := wire.Heartbeat{
		V: wire.Format, Cluster: n.dir.Cluster(), Name: n.opts.Name, UUID: n.dir.UUID(), Boot: n.dir.Boot(),
		Address: n.opts.address(), Priority: n.opts.Priority, Sent: time.Now(), Stopping: n.stopping.Load(),
	}
	n.look(&hb)
	if n.replica == nil {
		hb.State = protocol.StateCorrupt
		hb.Groups = []wire.GroupStatus{{
			Group: group, Role: protocol.RoleNone, State: protocol.StateCorrupt, Epoch: n.dir.AcceptedEpoch(group),
		}}
		return hb
	}
	status := n.replica.Status()
	hb.State, hb.Groups = status.State, []wire.GroupStatus{status}
	hb.Disk = wire.Disk{OldestUnsyncedMS: max(n.replica.Unsynced(), n.probeAge()).Milliseconds(), Full: n.replica.Full()}
	return hb
}

func (n *node) alive() error {
	if n.replica == nil {
		return errors.New("the journal is corrupt: " + n.corrupt)
	}
	return n.replica.Alive()
}
