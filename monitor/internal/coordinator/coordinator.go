// Package coordinator is the shell around the monitor's rules: it feeds
// protocol.Monitor heartbeats, probes and time, and carries its decisions to the
// registry and the registry's word to the nodes. Whoever brings an event has it
// judged under one mutex: nobody is woken for it.
package coordinator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Bounds of the shell's waits.
const (
	probeDeadline = protocol.ProbeDeadline
	pushDeadline  = 500 * time.Millisecond
	applyDeadline = 2 * time.Second
	killDeadline  = time.Second
)

// Registry is what the coordinator needs of the replicated record. Its methods
// may be called at the same time.
type Registry interface {
	State() protocol.Registry
	Apply(ctx context.Context, c protocol.Command) (protocol.Registry, error)
	// Leader tells whether this monitor leads, Informed whether it hears one that
	// does and knows what it knew a moment ago.
	Leader() bool
	Informed() bool
	LeaderName() string
	Term() uint64
}

// Peers is what the coordinator needs of the other monitors. Its methods may be
// called at the same time.
type Peers interface {
	// Views describes all monitors, this one among them.
	Views(leader string) []wire.MonitorView
	// AskHears asks the others how long ago they heard each node, and tells of each
	// answer as it comes.
	AskHears(ctx context.Context, tell func(peer string, ago map[string]time.Duration))
	// AddressOf returns where a monitor is, by its name.
	AddressOf(name string) (string, bool)
	// Yield has another monitor lead.
	Yield(ctx context.Context, to string) error
}

// Options is what a coordinator is made of.
type Options struct {
	Name     string // of this monitor
	Address  string
	Registry Registry
	Config   protocol.MonitorConfig
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// Peers are the other monitors; nil: there is only this one.
	Peers Peers
	// Settings is told of the cluster's settings whenever the registry's may be
	// others than before. It must not block.
	Settings func(protocol.Settings)
	Metrics  *Metrics
	Log      zerolog.Logger
}

// Coordinator is a running monitor's judgement. Its exported methods may be
// called concurrently.
type Coordinator struct {
	opts   Options
	log    zerolog.Logger
	probes *http.Client // a fresh connection for each
	client *http.Client // pushes and orders

	begun chan struct{} // closed when Run has begun
	done  chan struct{} // closed when Run takes no more events
	work  sync.WaitGroup
	// changed says that the registry or the leadership changed; capacity 1.
	changed chan struct{}
	timer   *time.Timer // of the rules' next deadline

	// assignment is the registry's word for nodes, picture what the proxy
	// needs to know, and news what subscribers are told. They are replaced, never
	// changed.
	assignment atomic.Pointer[wire.Assignment]
	passed     atomic.Pointer[wire.Assignment] // the same, from one who does not lead
	nothing    *wire.Assignment                // of one who has no word
	picture    atomic.Pointer[picture]
	news       atomic.Pointer[news]

	mu      sync.Mutex // guards the fields below
	ctx     context.Context
	stopped bool
	monitor *protocol.Monitor
	reg     protocol.Registry
	leads   bool           // reg holds all that was acknowledged before this monitor led
	current map[string]any // the connection of each node's newest heartbeat
	conns   map[any]beating
	shown   map[string]*shown // each node's newest message, for people
	orders  map[uint64]chan ended
	stale   bool      // the picture may be of the past
	armed   time.Time // when the timer fires
	rest    time.Time // no tick and no new picture before
}

// shown is a node's message with what only people need of it.
type shown struct {
	message *wire.Heartbeat
	skew    time.Duration // of its wall clock against this one's
}

// beating is the node whose heartbeats come on a connection.
type beating struct {
	name string
	boot protocol.Boot
}

// ErrStopped is returned by calls on a coordinator that has stopped.
var ErrStopped = errors.New("the monitor is stopping")

// New returns a coordinator that knows what the registry holds now. Run starts
// it.
func New(o Options) *Coordinator {
	c := &Coordinator{
		opts: o, log: o.Log,
		probes:  &http.Client{Transport: &http.Transport{DialContext: o.Dial, DisableKeepAlives: true, DisableCompression: true}},
		client:  &http.Client{Transport: &http.Transport{DialContext: o.Dial, DisableCompression: true, IdleConnTimeout: time.Minute}},
		begun:   make(chan struct{}),
		done:    make(chan struct{}),
		changed: make(chan struct{}, 1),
		current: map[string]any{},
		conns:   map[any]beating{},
		shown:   map[string]*shown{},
		orders:  map[uint64]chan ended{},
	}
	c.picture.Store(&picture{changed: make(chan struct{})})
	c.news.Store(&news{changed: make(chan struct{})})
	c.nothing = &wire.Assignment{V: wire.Format}
	c.assignment.Store(c.nothing)
	c.passed.Store(c.nothing)
	return c
}

// RegistryChanged tells that the registry holds a new state. It does not block.
func (c *Coordinator) RegistryChanged(protocol.Registry) { c.poke() }

// LeaderChanged tells that this monitor begins or ceases to lead. It does not
// block.
func (c *Coordinator) LeaderChanged(bool) { c.poke() }

func (c *Coordinator) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Run judges until ctx ends.
func (c *Coordinator) Run(ctx context.Context) error {
	defer c.probes.CloseIdleConnections()
	defer c.client.CloseIdleConnections()
	defer c.work.Wait()
	defer c.end()
	c.begin(ctx)
	defer c.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
			c.turn(c.learn)
		case <-c.timer.C:
			c.turn(c.tick)
		}
	}
}

func (c *Coordinator) begin(ctx context.Context) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx, c.timer = ctx, time.NewTimer(0)
	c.reg = c.opts.Registry.State()
	c.monitor = protocol.NewMonitor(c.opts.Config, c.reg, now)
	c.learn(now)
	close(c.begun)
}

// end takes no more events.
func (c *Coordinator) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.announceEnd()
	close(c.done)
}

// learn takes the registry's newest state, and pushes it to the nodes if a
// group record changed. c.mu is held.
func (c *Coordinator) learn(now time.Time) {
	before := c.reg
	// In this order: who leads has applied all that was acknowledged, and the
	// state read after the answer holds it.
	led := c.leads
	c.leads = c.opts.Registry.Leader()
	c.reg = c.opts.Registry.State()
	a := assignmentOf(c.reg)
	a.Leads = c.leads
	c.assignment.Store(a)
	other := *a
	other.Leads = false
	c.passed.Store(&other)
	c.stale = true
	c.monitor.Registry(c.reg, now)
	c.monitor.Lead(c.leads, now)
	push := c.leads && !led
	for id, rec := range c.reg.Groups {
		push = push || rec.Version != before.Groups[id].Version
	}
	c.redraw()
	if c.reg.Cluster != "" { // before, those of the command line hold
		c.opts.Settings(c.reg.Settings)
	}
	if push && c.leads {
		question := c.monitor.Ask()
		for _, n := range c.reg.Nodes {
			c.spawn(func() { c.push(c.ctx, n, a, question) })
		}
	}
}

func assignmentOf(reg protocol.Registry) *wire.Assignment {
	a := &wire.Assignment{V: wire.Format, Cluster: reg.Cluster, Event: reg.NextID, Settings: reg.Settings, Groups: []protocol.GroupRecord{}, Nodes: []wire.NodeInfo{}}
	for id := range max(1, reg.Settings.Groups) {
		if rec, ok := reg.Groups[protocol.GroupID(id)]; ok {
			a.Groups = append(a.Groups, rec)
		}
	}
	for _, n := range reg.Nodes {
		a.Nodes = append(a.Nodes, wire.NodeInfo{Name: n.Name, UUID: n.UUID, Boot: n.Boot, Address: n.Address})
	}
	return a
}

// spawn starts a bounded piece of work that Run waits for. c.mu is held, and Run has
// not ended.
func (c *Coordinator) spawn(fn func()) { c.work.Go(fn) }
