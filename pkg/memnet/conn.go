package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Addr is an address of the network: "host:port".
type Addr string

// Network implements [net.Addr].
func (Addr) Network() string { return "tcp" }

// String implements [net.Addr].
func (a Addr) String() string { return string(a) }

// pair is a connection: two ends and a stream each way.
type pair struct {
	net     *Net
	number  int // in the order made
	ends    [2]*conn
	changed signal // anything that a reader or writer may wait for
}

func (p *pair) joins(a, b string) bool {
	x, y := p.ends[0].host.name, p.ends[1].host.name
	return (x == a && y == b) || (x == b && y == a)
}

// abort ends both ends at once with err; what is under way is lost.
func (p *pair) abort(err error) {
	for _, c := range p.ends {
		c.out.drop()
		if c.failed == nil {
			c.failed = err
		}
	}
	delete(p.net.pairs, p)
	p.changed.broadcast()
}

// newPair makes a connection between two processes.
func (n *Net) newPair(client, server *Host, local, remote Addr) *pair {
	p := &pair{net: n, number: n.port}
	end := func(h *Host, to *Host, local, remote Addr) *conn {
		return &conn{
			pair: p, host: h, local: local, remote: remote, writing: make(chan struct{}, 1),
			out: &stream{net: n, link: n.link(h.name, to.name)},
		}
	}
	c, s := end(client, server, local, remote), end(server, client, remote, local)
	c.peer, s.peer = s, c
	c.in, s.in = s.out, c.out
	p.ends = [2]*conn{c, s}
	n.pairs[p] = struct{}{}
	return p
}

// conn is one end of a connection. Its fields are guarded by the network's mutex.
type conn struct {
	pair          *pair
	host          *Host
	peer          *conn
	local, remote Addr
	in, out       *stream
	writing       chan struct{} // holds a token while a Write runs: calls do not interleave

	closed      bool  // by Close, or with its process
	readClosed  bool  // by CloseRead
	writeClosed bool  // by CloseWrite
	abortive    bool  // Close resets
	shutHeld    bool  // closed while its host was frozen: the peer has not been told
	failed      error // the connection was aborted
	readBy      time.Time
	writeBy     time.Time
}

var (
	errReset    = os.NewSyscallError("read", syscall.ECONNRESET)
	errBroken   = os.NewSyscallError("write", syscall.EPIPE)
	errDeadline = os.ErrDeadlineExceeded
)

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	for {
		now := time.Now()
		c.in.settle(now)
		if k, err := c.readNow(b, now); k > 0 || err != nil || len(b) == 0 {
			return k, c.opError("read", err)
		}
		c.pair.net.await(&c.pair.changed, earliest(c.readBy, c.in.nextDue()), nil)
	}
}

// readNow returns what can be read without a wait; nothing and no error: wait.
func (c *conn) readNow(b []byte, now time.Time) (int, error) {
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.failed != nil:
		return 0, os.NewSyscallError("read", c.failed)
	case past(c.readBy, now):
		return 0, errDeadline
	case c.host.frozen:
		return 0, nil
	case c.readClosed:
		return 0, io.EOF
	}
	if k := c.in.take(b); k > 0 {
		c.pair.changed.broadcast() // a writer may wait for the space
		return k, nil
	}
	switch c.in.ended {
	case endWrites, endClosed:
		return 0, io.EOF
	case endReset:
		return 0, errReset
	case endNone:
	}
	return 0, nil
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	total := 0
	for {
		now := time.Now()
		c.in.settle(now) // the peer's end of the connection comes this way
		k, err := c.writeNow(b[total:], now)
		total += k
		if err != nil || total == len(b) {
			return total, c.opError("write", err)
		}
		if k == 0 {
			c.pair.net.await(&c.pair.changed, earliest(c.writeBy, c.in.nextDue()), nil)
		}
	}
}

// writeNow sends what there is space for; nothing and no error: wait.
func (c *conn) writeNow(b []byte, now time.Time) (int, error) {
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.failed != nil:
		return 0, os.NewSyscallError("write", c.failed)
	case past(c.writeBy, now):
		return 0, errDeadline
	case c.host.frozen:
		return 0, nil
	case c.writeClosed || c.in.ended >= endClosed:
		return 0, errBroken
	}
	k := min(len(b), c.out.space(), c.out.link.segment())
	if k > 0 {
		c.out.send(append([]byte(nil), b[:k]...), endNone, now)
		c.pair.changed.broadcast()
	}
	return k, nil
}

// Close implements [net.Conn]. Like TCP it resets the connection where bytes have
// arrived that were not read.
func (c *conn) Close() error {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.shut()
	return nil
}

// shut closes this end and tells the peer, unless a frozen host holds the word
// back.
func (c *conn) shut() {
	told := c.closed && !c.shutHeld
	c.closed, c.shutHeld = true, c.host.frozen
	if !told && !c.shutHeld && c.failed == nil {
		now := time.Now()
		c.in.settle(now)
		end := endClosed
		if c.abortive || c.in.unread() {
			end = endReset
		}
		c.out.send(nil, end, now)
	}
	if c.peer.closed && !c.shutHeld && !c.peer.shutHeld {
		delete(c.pair.net.pairs, c.pair)
	}
	c.pair.changed.broadcast()
}

// CloseWrite ends this direction: the peer reads all that was sent, then io.EOF.
func (c *conn) CloseWrite() error {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	for c.host.frozen && !c.closed && c.failed == nil {
		c.pair.net.await(&c.pair.changed, time.Time{}, nil)
	}
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if !c.writeClosed && c.failed == nil {
		c.writeClosed = true
		c.out.send(nil, endWrites, time.Now())
	}
	c.pair.changed.broadcast()
	return nil
}

// CloseRead makes every later Read return io.EOF.
func (c *conn) CloseRead() error {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	c.readClosed = true
	c.pair.changed.broadcast()
	return nil
}

// SetLinger with 0 makes Close reset the connection; other values change nothing.
func (c *conn) SetLinger(sec int) error {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	c.abortive = sec == 0
	return nil
}

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(&t, &t)
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(&t, nil) }

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *conn) setDeadlines(read, write *time.Time) error {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	if read != nil {
		c.readBy = *read
	}
	if write != nil {
		c.writeBy = *write
	}
	c.pair.changed.broadcast()
	return nil
}

// opError dresses err as package net does; io.EOF stays bare.
func (c *conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func past(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) }

// earliest returns the earlier of two moments; the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
