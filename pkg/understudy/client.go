package understudy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/protocol"
)

// dialTimeout bounds the making of a connection.
const dialTimeout = time.Second

// Options are what [Open] needs. Only Monitors is required.
type Options struct {
	// Monitors are the addresses of the monitors, each host:port. One that
	// answers suffices.
	Monitors []string
	// Hold bounds every request, from the call to the first MiB of its answer; 0 is
	// ten seconds. It is how long a pause of the cluster may last without an error.
	Hold time.Duration
	// Dial makes the connections; nil dials TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log is told of changes of the way to the primary. The zero value is silent.
	Log zerolog.Logger
}

// Position is the place of a state in the history of the map. Later states have
// greater positions.
type Position = protocol.Position

// Client is the way to one cluster. Its methods may be called at the same time.
type Client struct {
	courier   *courier.Courier
	directory *directory
	http      *http.Client // to monitors, and for watches
	log       zerolog.Logger
	// around tells that nodes cannot be reached directly from here.
	around atomic.Bool

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards position
	position Position   // the newest that was answered
}

// Open returns a client. It waits for nobody: the first request does.
func Open(o Options) (*Client, error) {
	if len(o.Monitors) == 0 {
		return nil, errors.New("a client needs the address of a monitor, for example 127.0.0.1:8080")
	}
	for _, m := range o.Monitors {
		if host, port, err := net.SplitHostPort(m); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("%q is not the address of a monitor: it is of the form host:port, for example 127.0.0.1:8080", m)
		}
	}
	if o.Hold < 0 {
		return nil, fmt.Errorf("a hold of %s leaves no time to ask: give a duration such as 10s", o.Hold)
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return open(o), nil
}

func open(o Options) *Client {
	c := &Client{directory: newDirectory(), log: o.Log}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: bounded(o.Dial), DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.courier = courier.New(courier.Options{
		Directory: c.directory, Hold: o.Hold, Dial: o.Dial,
		Connect: func(address string) courier.Node { return c.newWay(o.Dial, address) },
	})
	f := &follower{
		directory: c.directory, monitors: slices.Clone(o.Monitors), http: c.http, open: c.courier.Open, log: o.Log,
	}
	c.running.Go(func() { _ = c.courier.Run(c.ctx) }) // it ends with the context, without an error
	c.running.Go(func() { f.run(c.ctx) })
	return c
}

// dial is how connections are made.
type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// bounded gives a dial its timeout.
func bounded(d dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return d(ctx, network, address)
	}
}

// Close ends the client. A request in flight returns with [ErrClosed], and a
// write that may have been applied with [ErrOutcomeUnknown]. Nothing is left of
// it when Close returns but what its callers' own goroutines still hold.
func (c *Client) Close() {
	c.cancel()
	c.running.Wait()
	c.http.CloseIdleConnections()
}

// Position returns the newest position that this client has been answered. A
// read with [Session] of it sees every write that the client has made.
func (c *Client) Position() Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position
}

func (c *Client) saw(at Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Compare(c.position) > 0 {
		c.position = at
	}
}
