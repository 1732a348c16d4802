// Package herd sends the heartbeats of many nodes to one monitor, and measures its
// answers. There is nothing behind the heartbeats: no journal, no copy, nobody who
// answers at the address that they name.
package herd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/pulse"
	"understudy.example/pkg/wire"
)

// registerPause is the pause between the first heartbeats of two nodes: each newcomer
// is a command of the registry.
const registerPause = 5 * time.Millisecond

// prefix begins the names of the nodes.
const prefix = "sim"

// timeout bounds one heartbeat, as a node does.
const timeout = time.Second

// Options says whose heartbeats to send. All are required, but Cluster.
type Options struct {
	Nodes   int
	Monitor string        // host:port
	Every   time.Duration // between two heartbeats of a node
	Cluster string        // that the nodes belong to
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// Result is what was measured.
type Result struct {
	Rate   float64 `json:"per_s"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	Max    float64 `json:"max_us"`
	Failed int     `json:"failed"`
}

// Herd is many nodes. Its methods may be called at the same time.
type Herd struct {
	opts Options

	mu        sync.Mutex // guards the fields below
	measuring bool
	began     time.Time
	took      []time.Duration
	failed    int
}

// New returns a herd that does nothing yet.
func New(o Options) *Herd { return &Herd{opts: o} }

// Run registers the nodes, one after the other, and then sends the heartbeats of all
// until ctx ends. Meanwhile those that are registered are silent: if all listened
// while the others come, each would be told of every newcomer.
func (h *Herd) Run(ctx context.Context) {
	h.register(ctx)
	var nodes sync.WaitGroup
	defer nodes.Wait()
	for i := range h.opts.Nodes {
		nodes.Go(func() { h.beat(ctx, i) })
		select {
		case <-ctx.Done():
			return
		case <-time.After(h.opts.Every / time.Duration(h.opts.Nodes)): // they do not beat in step
		}
	}
}

// register sends heartbeats of nodes that the registry does not name yet, until there
// are none.
func (h *Herd) register(ctx context.Context) {
	s := pulse.Sender{Dial: h.opts.Dial, Monitor: h.opts.Monitor, Timeout: timeout}
	defer s.Close()
	named := map[protocol.UUID]bool{}
	for ctx.Err() == nil && len(named) < h.opts.Nodes {
		for i := range h.opts.Nodes {
			hb := h.says(i)
			if named[hb.UUID] {
				continue
			}
			message, err := json.Marshal(hb)
			if err != nil {
				return // it is a value of this package
			}
			if word, err := s.Send(ctx, message); err == nil {
				h.learn(word, named)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(registerPause):
			}
		}
	}
}

// learn notes which of the nodes a word names.
func (h *Herd) learn(word *wire.Assignment, named map[protocol.UUID]bool) {
	for _, n := range word.Nodes {
		if strings.HasPrefix(n.Name, prefix) {
			named[n.UUID] = true
		}
	}
}

func (h *Herd) beat(ctx context.Context, i int) {
	s := pulse.Sender{Dial: h.opts.Dial, Monitor: h.opts.Monitor, Timeout: timeout}
	defer s.Close()
	ticker := time.NewTicker(h.opts.Every)
	defer ticker.Stop()
	for {
		message, err := json.Marshal(h.says(i))
		if err == nil {
			began := time.Now()
			_, err = s.Send(ctx, message)
			h.note(ctx, time.Since(began), err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// says is the heartbeat of a spare.
func (h *Herd) says(i int) wire.Heartbeat {
	name := fmt.Sprint(prefix, i+1)
	return wire.Heartbeat{
		V: wire.Format, Cluster: h.opts.Cluster, Name: name, UUID: protocol.UUID(fmt.Sprintf("%032x", i+1)),
		Boot: protocol.Boot{Count: 1, Nonce: fmt.Sprintf("%08x", i+1)}, Address: "127.0.0.1:9", Priority: 50, Sent: time.Now(), State: protocol.StateSpare,
		Groups: []wire.GroupStatus{{Role: protocol.RoleNone, State: protocol.StateSpare}},
		Sees:   map[string]string{"app1": wire.SeesUp, "app2": wire.SeesUp}, SeenMS: map[string]int64{"app1": 10, "app2": 20},
	}
}

func (h *Herd) note(ctx context.Context, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.measuring || ctx.Err() != nil:
	case err != nil:
		h.failed++
	default:
		h.took = append(h.took, took)
	}
}

// Begin begins to measure.
func (h *Herd) Begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.measuring, h.began, h.took, h.failed = true, time.Now(), nil, 0
}

// End ends it, and returns what was measured since Begin.
func (h *Herd) End() Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.measuring = false
	slices.Sort(h.took)
	r := Result{Rate: float64(len(h.took)) / time.Since(h.began).Seconds(), Failed: h.failed}
	if n := len(h.took); n > 0 {
		micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
		r.P50, r.P99, r.Max = micros(h.took[n/2]), micros(h.took[n*99/100]), micros(h.took[n-1])
	}
	return r
}
