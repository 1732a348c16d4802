// Package courier carries requests of the client API to whoever is the primary
// of a group, for as long as it takes and no longer than the hold: it waits
// while there is no primary, tries again when a connection breaks or a primary
// is deposed, and gives every write an id, so that a write is applied exactly
// once however often it is sent. A monitor's proxy is made of it, and so is the
// client library.
//
// Its rule about writes: once an attempt may have reached a node and its answer
// is lost, only an answer that the group remembers ends the request. Whatever
// else comes is tried again, and at the end of the hold the caller is told that
// the outcome is unknown, with the key to ask again.
//
// Who the primary is comes from a [Directory]; that it serves is asked of the
// node itself, by one pilot for all requests, so that ten thousand held requests
// do not knock at a dead node's door. They are released in the order in which
// they came.
package courier

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"understudy.example/pkg/link"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// DefaultHold is how long a request is held unless the settings say otherwise.
const DefaultHold = 10 * time.Second

// Target is who the primary of the group is, as far as is known.
type Target struct {
	Name    string // empty: nobody
	Address string // host:port
	Epoch   protocol.Epoch
}

// Directory tells where the primary is. Its method may be called at any time
// and must not block.
type Directory interface {
	// Primary returns the primary, and a channel that is closed as soon as
	// another answer, or news of that primary, can be had.
	Primary() (Target, <-chan struct{})
}

// Node carries requests to one node.
type Node interface {
	Do(ctx context.Context, r *link.Request) (*link.Response, error)
	// Retire ends all but answers that have begun, which it lets end until ctx
	// does. It returns when nothing is left.
	Retire(ctx context.Context)
}

// Reopening tells how a stretch without a serving primary ended.
type Reopening struct {
	Target Target
	Closed time.Time // when the first request found no primary, or lost it
	Opened time.Time // when the primary said that it serves
	First  time.Time // when it had answered the first request
	Held   int       // requests that waited at the end
}

// Options are what [New] needs. Directory and Dial are required.
type Options struct {
	Directory Directory
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	// Hold bounds a request, from its arrival to its answer; 0 is DefaultHold.
	Hold time.Duration
	// Connect makes the connection to a node; nil is a [link.Client].
	Connect func(address string) Node
	// Reopened is told of every stretch without a primary, once it is over. It
	// must not block. Nil: nobody is told.
	Reopened func(Reopening)
}

// Courier carries requests. Run must be running for it to do so. Its methods may
// be called at the same time.
type Courier struct {
	directory Directory
	connect   func(address string) Node
	hold      atomic.Int64
	reopened  func(Reopening)
	ids       *requestid.Source

	// route is where requests go now; nil while no primary is known to serve.
	route  atomic.Pointer[route]
	doubts chan struct{} // capacity 1: a request has lost the route

	mu      sync.Mutex // guards the fields below
	waiting waiters
	closed  time.Time // since when there is no route; zero: there is one
	stopped bool
}

// route leads to a primary that said that it serves.
type route struct {
	target Target
	node   Node
	// reopening is told with the first answer; nil once it has been.
	reopening atomic.Pointer[Reopening]
}

// New makes a courier.
func New(o Options) *Courier {
	c := &Courier{
		directory: o.Directory, connect: o.Connect, reopened: o.Reopened,
		ids: requestid.NewSource(), doubts: make(chan struct{}, 1),
	}
	if c.connect == nil {
		c.connect = func(address string) Node {
			return link.NewClient(link.ClientOptions{Dial: o.Dial, Address: address})
		}
	}
	if c.reopened == nil {
		c.reopened = func(Reopening) {}
	}
	c.SetHold(o.Hold)
	c.closed = time.Now()
	return c
}

// SetHold changes how long a request that comes from now on is held; 0 is
// DefaultHold.
func (c *Courier) SetHold(d time.Duration) {
	if d <= 0 {
		d = DefaultHold
	}
	c.hold.Store(int64(d))
}

// Hold returns how long a request is held.
func (c *Courier) Hold() time.Duration { return time.Duration(c.hold.Load()) }

// Open tells whether a primary is known to serve.
func (c *Courier) Open() bool { return c.route.Load() != nil }

// Held returns how many requests wait for a primary.
func (c *Courier) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting.len()
}
