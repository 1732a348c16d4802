package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"understudy.example/pkg/frame"
)

// ClientOptions are what [NewClient] needs. Dial and Address are required.
type ClientOptions struct {
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Address     string        // host:port of the node
	Conns       int           // to the node at most; 0: 2
	DialTimeout time.Duration // for a connection and its upgrade; 0: 1 s
}

// Client carries requests to one node on a few connections, which it makes when
// they are needed and makes anew when they broke. It never sends a request
// twice. Its methods may be called at the same time.
type Client struct {
	options   ClientOptions
	exchanges sync.Pool // of *exchange that nobody refers to

	context context.Context // ends with Close
	cancel  context.CancelFunc
	taking  context.Context // ends with Retire, and before context does
	refuse  context.CancelFunc
	wait    sync.WaitGroup // connections and dials

	mu     sync.Mutex // guards the fields below
	slots  []slot
	closed bool
}

// slot is the place of one connection.
type slot struct {
	conn    *clientConn // nil: none, or one that takes no more requests
	dialing *dialing    // nil: nobody dials
	failed  time.Time   // the last dial that failed
}

// dialing is a dial that requests may wait for.
type dialing struct {
	done chan struct{}
	err  error // to be read after done
}

// NewClient returns a client without connections.
func NewClient(o ClientOptions) *Client {
	if o.Conns <= 0 {
		o.Conns = defaultConns
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = defaultDial
	}
	c := &Client{options: o, slots: make([]slot, o.Conns)}
	c.context, c.cancel = context.WithCancel(context.Background())
	c.taking, c.refuse = context.WithCancel(c.context)
	return c
}

// Close ends the connections and every request in flight, and waits until
// nothing of them is left.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wait.Wait()
}

// Do carries a request to the node and returns its answer, whatever its status.
// ctx bounds it until it returns, and the node's handler as well. The error wraps
// ErrNotSent or ErrLost, and the context's own error where that is the reason.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	// A connection may end before a request has been put on it.
	for range len(c.slots) + 1 {
		conn, err := c.pick(ctx)
		if err != nil {
			return nil, c.notSent(err)
		}
		res, err := conn.do(ctx, r)
		if !errors.Is(err, errMoved) {
			return res, err
		}
	}
	return nil, c.notSent(errMoved)
}

func (c *Client) notSent(err error) error {
	return fmt.Errorf("%w to %s: %w", ErrNotSent, c.options.Address, err)
}

// pick returns the connection with the fewest requests in flight, and sees to
// it that all are made once one does not suffice.
func (c *Client) pick(ctx context.Context) (*clientConn, error) {
	for {
		conn, dialing, err := c.choose(ctx)
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-dialing.done:
			if dialing.err != nil {
				return nil, dialing.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// choose returns a connection, or a dial to wait for.
func (c *Client) choose(ctx context.Context) (*clientConn, *dialing, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	var best *clientConn
	var empty, dials *slot
	for i := range c.slots {
		switch s := &c.slots[i]; {
		case s.dialing != nil:
			dials = s
		case s.conn == nil || s.conn.over():
			empty = cmp.Or(empty, s)
		case best == nil || s.conn.inFlight.Load() < best.inFlight.Load():
			best = s.conn
		}
	}
	switch {
	case best == nil && dials == nil:
		dials = empty
		c.dial(empty)
	case best != nil && empty != nil && best.inFlight.Load() > 0 && time.Since(empty.failed) > redialAfter:
		c.dial(empty) // nobody waits for it
	}
	if best != nil {
		return best, nil, nil
	}
	return nil, dials.dialing, nil
}

// dial makes a connection for the slot. mu is held.
func (c *Client) dial(s *slot) {
	d := &dialing{done: make(chan struct{})}
	s.dialing = d
	c.wait.Go(func() {
		conn, err := c.connect()
		c.mu.Lock()
		if s.dialing, s.conn = nil, conn; err != nil {
			s.failed = time.Now()
		}
		c.mu.Unlock()
		d.err = err
		close(d.done)
		if err == nil {
			conn.run()
			c.vacate(conn)
		}
	})
}

func (c *Client) connect() (*clientConn, error) {
	ctx, cancel := context.WithTimeout(c.taking, c.options.DialTimeout)
	defer cancel()
	conn, in, err := frame.Dial(ctx, c.options.Dial, c.options.Address, Path, Protocol)
	if err != nil {
		if c.taking.Err() != nil {
			err = ErrClosed
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &clientConn{client: c, conn: newConn(conn, in, c.context.Done()), exchanges: map[uint64]*exchange{}}, nil
}

// vacate takes a connection that takes no more requests out of its slot.
func (c *Client) vacate(conn *clientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		if c.slots[i].conn == conn {
			c.slots[i].conn = nil
		}
	}
}
