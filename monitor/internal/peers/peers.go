// Package peers is a monitor among its like: it learns who the others are, agrees
// with them on the first birth of the registry, has itself taken in where it lost
// its disk or was added later, and passes on to the leader what only the leader
// can do.
package peers

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/monitor/internal/registry"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/together"
	"understudy.example/pkg/wire"
)

const (
	// roundEvery is how often the others are asked how they are, and birthEvery how
	// often before the birth.
	roundEvery = 2 * time.Second
	birthEvery = 50 * time.Millisecond
	// askTimeout bounds a question to another monitor.
	askTimeout = 300 * time.Millisecond
	// joinEvery is how often a monitor asks to be taken in, joinTimeout how long the
	// leader may take for it.
	joinEvery   = 500 * time.Millisecond
	joinTimeout = 5 * time.Second
)

// Peer is a monitor as the command line names it.
type Peer struct{ Name, Address string }

// Registry is what a monitor needs of its registry to find the others. Its methods
// may be called at the same time.
type Registry interface {
	ID() string
	Born() bool
	Begin(voters []registry.Member) error
	Members() []registry.Member
	Admit(ctx context.Context, m registry.Member) error
	Dismiss(ctx context.Context, name string) error
	HandOver(ctx context.Context, to string) error
	Leader() bool
	LeaderName() string
	LeaderAddress() string
	Term() uint64
	State() protocol.Registry
}

// Options are what [New] needs.
type Options struct {
	Name    string
	Address string // host:port under which the others reach this monitor
	// Peers are the monitors that begin a registry together, this one among them;
	// empty: it has begun one alone, or none.
	Peers    []Peer
	Registry Registry
	// Hears returns how long ago this monitor heard each node that it hears, in
	// milliseconds.
	Hears func() map[string]int64
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Log   zerolog.Logger
}

// Peers is a monitor among the others. Its methods may be called at the same time.
type Peers struct {
	Options
	client *http.Client
	// changing is held while the voters are changed: one change at a time.
	changing chan struct{}

	mu    sync.Mutex // guards the fields below
	heard map[string]answer
	said  string // why this monitor has no part in the registry, as it was told last
}

// answer is what came of asking another monitor.
type answer struct {
	self wire.MonitorSelf
	err  error
}

// New returns a monitor among the others. Run has it find them.
func New(o Options) *Peers {
	return &Peers{
		Options: o, changing: make(chan struct{}, 1), heard: map[string]answer{},
		client: &http.Client{Transport: &http.Transport{
			DialContext: o.Dial, DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		}},
	}
}

// Run looks after this monitor's place among the others until ctx ends.
func (p *Peers) Run(ctx context.Context) error {
	defer p.client.CloseIdleConnections()
	joined := time.Time{}
	for {
		p.round(ctx)
		switch {
		case !p.Registry.Born() && p.begin():
		case p.member() || time.Since(joined) < joinEvery:
		default:
			p.join(ctx)
			joined = time.Now()
		}
		wait := together.Until(roundEvery)
		if !p.Registry.Born() {
			wait = birthEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// others lists the monitors beside this one that it knows of, by name.
func (p *Peers) others() []Peer {
	var out []Peer
	for _, m := range p.Registry.Members() {
		if m.Name != p.Name {
			out = append(out, Peer{m.Name, m.Address})
		}
	}
	if len(out) == 0 && !p.Registry.Born() { // it has no part in a registry yet
		for _, o := range p.Peers {
			if o.Name != p.Name {
				out = append(out, o)
			}
		}
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b Peer) bool { return a.Name == b.Name })
}

// round asks every other monitor how it is.
func (p *Peers) round(ctx context.Context) {
	others := p.others()
	heard := make(map[string]answer, len(others))
	var mu sync.Mutex // guards heard
	var asking sync.WaitGroup
	for _, o := range others {
		asking.Go(func() {
			self, err := p.ask(ctx, o.Address)
			mu.Lock()
			defer mu.Unlock()
			heard[o.Name] = answer{self, err}
		})
	}
	asking.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = heard
}

// AskHears asks every other monitor what nodes it hears, and tells of each answer as
// it comes: how long ago each node was heard, at the least.
func (p *Peers) AskHears(ctx context.Context, tell func(peer string, ago map[string]time.Duration)) {
	var asking sync.WaitGroup
	for _, o := range p.others() {
		asking.Go(func() {
			asked := time.Now()
			self, err := p.ask(ctx, o.Address)
			if err != nil {
				return // it can say nothing for the suspect
			}
			ago := make(map[string]time.Duration, len(self.Hears))
			for node, ms := range self.Hears {
				ago[node] = time.Duration(ms)*time.Millisecond + time.Since(asked)
			}
			tell(o.Name, ago)
		})
	}
	asking.Wait()
}

// answers returns what the newest round brought.
func (p *Peers) answers() map[string]answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// Self returns what this monitor says of itself.
func (p *Peers) Self() wire.MonitorSelf {
	return wire.MonitorSelf{
		V: wire.Format, Name: p.Name, ID: p.Registry.ID(), Address: p.Address,
		Born: p.Registry.Born(), Peers: p.names(), Cluster: p.Registry.State().Cluster,
		Leader: p.Registry.LeaderName(), Term: p.Registry.Term(), Hears: p.Hears(),
	}
}

// names lists the monitors that begin a registry together.
func (p *Peers) names() []string {
	var out []string
	for _, o := range p.Peers {
		out = append(out, o.Name)
	}
	slices.Sort(out)
	return out
}

// Views describes all monitors for people.
func (p *Peers) Views(leader string) []wire.MonitorView {
	out := []wire.MonitorView{{Name: p.Name, Address: p.Address, Leader: leader == p.Name, Reachable: true}}
	heard := p.answers()
	for _, o := range p.others() {
		a, asked := heard[o.Name]
		out = append(out, wire.MonitorView{Name: o.Name, Address: o.Address, Leader: leader == o.Name, Reachable: asked && a.err == nil})
	}
	slices.SortFunc(out, func(a, b wire.MonitorView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// AddressOf returns where a monitor is, by its name.
func (p *Peers) AddressOf(name string) (string, bool) {
	if name == p.Name {
		return p.Options.Address, true
	}
	for _, o := range p.others() {
		if o.Name == name {
			return o.Address, true
		}
	}
	return "", false
}
