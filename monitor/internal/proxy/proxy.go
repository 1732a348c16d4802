// Package proxy carries the client API from a monitor to the group's primary,
// or, where a caller asks for it, the state of a named replica.
//
// Its first rule is honesty about writes: a write is sent at most once, and an
// error tells whether it may have been applied. What certainly was not sent is
// answered 503 no_primary, safe to send again; what may have been applied is
// answered 504 outcome_unknown.
package proxy

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// The limits of the proxy.
const (
	MaxRequest = 8 << 20 // bytes of a request's body; more is answered 413
	maxBuffer  = 1 << 20 // bytes of an answer that are read before its first is sent
	keepBuffer = 64 << 10

	dialTimeout  = time.Second
	maxIdleConns = 512              // kept to each node
	idleTimeout  = 30 * time.Second // below the node's own, so that it is not the node that closes
	retryAfter   = time.Second
	defaultHold  = 10 * time.Second
)

// Directory tells where the replicas are. Its methods may be called at the same
// time, for every request, and must not block. An address is host:port.
type Directory interface {
	// Primary returns the primary of g, and whether it serves; an empty name
	// where there is none.
	Primary(g protocol.GroupID) (name, address string, serving bool)
	// Standby returns the most advanced in-sync standby of g, else any that can
	// be reached.
	Standby(g protocol.GroupID) (name, address string, ok bool)
	// Replica returns the address of a node by its name.
	Replica(name string) (address string, ok bool)
	// Nodes returns the names of all nodes.
	Nodes() []string
}

// Options are what [New] needs.
type Options struct {
	Directory Directory
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	// Hold bounds a request, from its arrival to the first byte of its answer;
	// 0 is 10 s.
	Hold       time.Duration
	Registerer prometheus.Registerer
}

// Proxy is an [http.Handler] for the client API.
type Proxy struct {
	directory Directory
	hold      time.Duration
	transport *http.Transport
	metrics   *metrics
	newest    newest
	buffers   sync.Pool // of *bytes.Buffer, for answers

	mu    sync.Mutex // guards reign
	reign reign
}

// reign is the time from one call of Retarget to the next. What is sent to a
// primary is cancelled at its end.
type reign struct {
	ctx context.Context
	end context.CancelFunc
}

func newReign() reign {
	ctx, end := context.WithCancel(context.Background())
	return reign{ctx, end}
}

// New makes a proxy and registers its metrics.
func New(o Options) *Proxy {
	hold := o.Hold
	if hold == 0 {
		hold = defaultHold
	}
	return &Proxy{
		directory: o.Directory,
		hold:      hold,
		transport: newTransport(o.Dial),
		metrics:   newMetrics(o.Registerer),
		buffers:   sync.Pool{New: func() any { return new(bytes.Buffer) }},
		reign:     newReign(),
	}
}

// Retarget cancels every request that is under way to the primary. To be
// called when the directory names a new primary or epoch, once it does so, and
// before it calls that one serving.
func (p *Proxy) Retarget() {
	p.mu.Lock()
	old := p.reign
	p.reign = newReign()
	p.mu.Unlock()
	old.end()
	// A node that lost its power never closed its connections. Should it be
	// primary again, a request must not be spent on finding that out.
	p.transport.CloseIdleConnections()
}

func (p *Proxy) currentReign() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reign.ctx
}

// Close cancels what is under way to the primary and closes the connections
// that are idle. The server must have stopped taking requests.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.reign.end()
	p.mu.Unlock()
	p.transport.CloseIdleConnections()
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, began := http.StatusOK, time.Now()
	defer func() { p.metrics.observe(operation(r), status, time.Since(began)) }()
	x, err := p.newExchange(w, r)
	if err == nil {
		defer x.finish()
		status, err = x.run(w)
	}
	if err != nil {
		status = problem.CodeOf(err).Meaning().Status
		problem.Write(w, err)
	}
}
