// Package proxy carries the client API from a monitor to the group's primary,
// reads to every in-sync replica in turn if the settings say so, or, where a caller
// asks for it, the state of a named replica.
//
// A caller sees a pause where there is no primary, not an error: requests are
// held and tried again, and a write is applied exactly once (package courier).
// What is held is bounded in time, number and bytes; beyond that a caller is
// told at once when to come again.
package proxy

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// The limits of the proxy.
const (
	MaxRequest = 8 << 20 // bytes of a request's body; more is answered 413

	retryAfter = time.Second
)

// Directory tells where the replicas are. Its methods may be called at the same
// time, for every request, and must not block. An address is host:port.
type Directory interface {
	courier.Directory
	// Standby returns the most advanced in-sync standby of g, else any that can
	// be reached.
	Standby(g protocol.GroupID) (name, address string, ok bool)
	// InSync returns the standbys of g that are in the in-sync set, mean to stay
	// and are heard, and a channel that is closed as soon as another answer can be
	// had.
	InSync(g protocol.GroupID) ([]courier.Target, <-chan struct{})
	// Replica returns the address of a node by its name.
	Replica(name string) (address string, ok bool)
	// Nodes returns the names of all nodes.
	Nodes() []string
}

// Options are what [New] needs.
type Options struct {
	Directory Directory
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	// Hold bounds a request, from when its body is here to the first byte of its
	// answer; 0 is 10 s.
	Hold time.Duration
	// Reads is who answers reads: protocol.ReadsPrimary, also if it is empty, or
	// protocol.ReadsSpread.
	Reads string
	// Reopened is told how each stretch without a primary ended; nil: nobody is.
	Reopened   func(courier.Reopening)
	Registerer prometheus.Registerer
}

// Proxy is an [http.Handler] for the client API. Run must be running.
type Proxy struct {
	directory Directory
	courier   *courier.Courier
	replicas  *replicas
	spread    *spread
	reads     *readMetrics
	admission admission
	metrics   *metrics
	newest    newest
	watches   watches
}

// New makes a proxy and registers its metrics.
func New(o Options) *Proxy {
	p := &Proxy{
		directory: o.Directory,
		courier:   courier.New(courier.Options{Directory: o.Directory, Dial: o.Dial, Hold: o.Hold, Reopened: o.Reopened}),
		replicas:  newReplicas(o.Dial),
		watches:   newWatches(o.Dial),
	}
	p.metrics = newMetrics(o.Registerer, p.courier.Held, p.admission.bytes.Load, p.watches.open.Load)
	p.reads = newReadMetrics(o.Registerer, o.Directory.Nodes)
	p.spread = &spread{
		directory: o.Directory, primary: p.courier.Do, hold: p.courier.Hold, measures: p.reads,
		connect: func(address string) courier.Node {
			return link.NewClient(link.ClientOptions{Dial: o.Dial, Address: address})
		},
	}
	o.Registerer.MustRegister(newWeights(p.spread))
	p.SetReads(o.Reads)
	return p
}

// Run finds the way to the primary, and to the standbys, until ctx ends. The
// server must have stopped taking requests.
func (p *Proxy) Run(ctx context.Context) error {
	defer p.replicas.close()
	var following sync.WaitGroup
	defer following.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	following.Go(func() { p.spread.run(ctx) })
	return p.courier.Run(ctx)
}

// Drain has nobody wait for a primary from now on, and ends watches; what else is
// under way goes on.
func (p *Proxy) Drain() {
	p.courier.Drain()
	p.watches.end()
}

// SetHold changes how long requests that come from now on are held.
func (p *Proxy) SetHold(d time.Duration) { p.courier.SetHold(d) }

// SetReads changes who answers reads that come from now on.
func (p *Proxy) SetReads(who string) { p.spread.on.Store(who == protocol.ReadsSpread) }

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	status, err := p.serve(w, r)
	if err != nil {
		status = problem.CodeOf(err).Meaning().Status
		problem.Write(w, err)
	}
	p.metrics.observe(operation(r), status, time.Since(began))
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) (status int, err error) {
	if r.URL.Path == wire.PathWatch {
		return p.serveWatch(w, r)
	}
	if name, rest, asked := fromOf(r); asked {
		return p.serveReplica(w, r, name, rest)
	}
	req, release, err := p.take(w, r)
	if err != nil {
		return 0, err
	}
	defer release()
	res, err := p.carry(r, req)
	if err != nil {
		return 0, err
	}
	return res.Status, p.pass(w, res)
}

// carry brings a request to who is to answer it. While no primary is known to
// serve a standby could confirm nothing: the read waits for the primary.
func (p *Proxy) carry(r *http.Request, req *link.Request) (res *link.Response, err error) {
	kind, read := kindOf(r)
	if read && p.spread.on.Load() && p.courier.Open() {
		res, err = p.spread.do(r.Context(), kind, req)
	} else {
		res, err = p.courier.Do(r.Context(), req)
	}
	if read && err == nil {
		p.reads.count(res.Header)
	}
	return res, err
}
