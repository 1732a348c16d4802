package memnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// backlog bounds the connections that wait to be accepted. A dial beyond it waits.
const backlog = 128

// Host is one process on the network. It is dead after [Net.Crash]: what it still
// tries fails with [net.ErrClosed].
type Host struct {
	net       *Net
	name      string
	listeners map[string]*listener // by port
	dead      bool
	frozen    bool
	changed   signal // for its dials
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Listen opens a listener on "name:port", where the name is this host's; port 0
// takes a free one. A port in use is refused with EADDRINUSE.
func (h *Host) Listen(ctx context.Context, address string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: Addr(address), Err: err}
	}
	name, port, err := net.SplitHostPort(address)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fail(err)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if port == "0" {
		port = h.net.nextPort()
	}
	switch {
	case h.dead:
		return fail(net.ErrClosed)
	case name != h.name:
		return fail(os.NewSyscallError("bind", syscall.EADDRNOTAVAIL))
	case h.listeners[port] != nil:
		return fail(os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	l := &listener{host: h, port: port}
	h.listeners[port] = l
	return l, nil
}

// Dial connects to "name:port". It waits while either direction is cut, while this
// host is frozen, and while the other side has no power or a full backlog, until
// ctx ends. A port that nobody listens on is refused with ECONNREFUSED.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.dial(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: Addr(address), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, network, address string) (*conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, net.UnknownNetworkError(network)
	}
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, way := range []path{{h.name, name}, {name, h.name}} {
		if err := h.cross(ctx, way, name); err != nil {
			return nil, err
		}
	}
	return h.knock(ctx, name, port)
}

// cross takes one segment of the handshake with a host over a direction: it lasts
// as long as the link takes, and for as long as there is no way.
func (h *Host) cross(ctx context.Context, way path, with string) error {
	l := h.net.link(way.from, way.to)
	due := time.Now().Add(l.transit(h.net.rng))
	for {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case h.dead:
			return net.ErrClosed
		case l.cut || h.frozen || h.net.off[with] != nil:
			h.net.await(&h.changed, time.Time{}, ctx.Done())
		case time.Now().Before(due):
			h.net.await(&h.changed, due, ctx.Done())
		default:
			return nil
		}
	}
}

// knock queues a connection at the listener, as the other side's kernel does: a
// frozen process is no obstacle.
func (h *Host) knock(ctx context.Context, name, port string) (*conn, error) {
	for {
		target := h.net.hosts[name]
		var l *listener
		if target != nil {
			l = target.listeners[port]
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case h.dead:
			return nil, net.ErrClosed
		case h.net.off[name] != nil:
			h.net.await(&h.changed, time.Time{}, ctx.Done())
			continue
		case l == nil:
			return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
		case len(l.queue) < backlog:
			local := Addr(h.name + ":" + h.net.nextPort())
			p := h.net.newPair(h, target, local, l.address())
			l.queue = append(l.queue, p.ends[1])
			l.changed.broadcast()
			return p.ends[0], nil
		}
		h.net.await(&l.changed, time.Time{}, ctx.Done())
	}
}

// listener is an open port.
type listener struct {
	host    *Host
	port    string
	queue   []*conn // not accepted yet
	closed  bool
	changed signal
}

func (l *listener) address() Addr { return Addr(net.JoinHostPort(l.host.name, l.port)) }

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return l.address() }

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.address(), Err: net.ErrClosed}
		case len(l.queue) > 0 && !l.host.frozen:
			c := l.queue[0]
			l.queue = l.queue[1:]
			l.changed.broadcast() // a dial may wait for the place
			return c, nil
		}
		l.host.net.await(&l.changed, time.Time{}, nil)
	}
}

// Close implements [net.Listener]. Connections that were not accepted are reset.
func (l *listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return fmt.Errorf("close %s: %w", l.address(), net.ErrClosed)
	}
	l.close()
	return nil
}

func (l *listener) close() {
	l.closed = true
	if l.host.listeners[l.port] == l {
		delete(l.host.listeners, l.port)
	}
	for _, c := range l.queue {
		c.abortive = true
		c.shut()
	}
	l.queue = nil
	l.changed.broadcast()
}
