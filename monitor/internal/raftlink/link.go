// Package raftlink carries Raft's messages between monitors over their one HTTP
// port: each connection begins as an upgrade that names the voter it is meant for.
//
// A voter's address is written ID@host:port. Whoever has lost its disk answers at
// the old address under another id, and refuses what was meant for the old one:
// it might vote a second time in a term that it has forgotten.
package raftlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	// protocol is the name that the connection is upgraded to.
	protocol = "understudy-raft-1"
	// rpcTimeout bounds a message and its answer, and the way to a voter.
	rpcTimeout = 500 * time.Millisecond
	// idleConns is how many connections to each voter are kept for the next message.
	idleConns = 3
	// queryTo names, in an upgrade, the voter that it is meant for.
	queryTo = "to"
)

// Link is the one end of all connections of a monitor's registry. It implements
// [http.Handler] for the upgrades, and [raft.StreamLayer].
type Link struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	address  string // host:port under which the others reach this monitor
	incoming chan net.Conn
	ctx      context.Context // ends with Close
	end      context.CancelFunc

	mu    sync.Mutex // guards the fields below
	self  raft.ServerID
	conns map[*conn]struct{} // open ones
}

// New returns the link of a monitor that others reach at address. It refuses
// upgrades until a registry has opened its [Link.Transport].
func New(address string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Link {
	l := &Link{dial: dial, address: address, incoming: make(chan net.Conn), conns: map[*conn]struct{}{}}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// Transport returns Raft's transport for the voter self. It closes the link when
// it is closed.
func (l *Link) Transport(self raft.ServerID, log hclog.Logger) raft.Transport {
	l.mu.Lock()
	l.self = self
	l.mu.Unlock()
	return &paced{ctx: l.ctx, NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Logger: log, Stream: l, MaxPool: idleConns, Timeout: rpcTimeout,
	})}
}

// Address writes the address of a voter.
func Address(id raft.ServerID, hostPort string) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "@" + hostPort)
}

// HostPort returns the host and port of a voter's address.
func HostPort(a raft.ServerAddress) string {
	return string(a[strings.LastIndexByte(string(a), '@')+1:])
}

// ServeHTTP takes an upgrade.
func (l *Link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	self := string(l.self)
	l.mu.Unlock()
	switch to := r.URL.Query().Get(queryTo); {
	case self == "" || l.ctx.Err() != nil:
		problem.Write(w, problem.Errorf(problem.NoLeader, "this monitor is just starting or stopping"))
		return
	case to != self:
		problem.Write(w, problem.Errorf(problem.WrongCluster, "this monitor is %s and the connection is meant for %s", self, to))
		return
	}
	c, reader, err := frame.Accept(w, r, protocol)
	if err != nil {
		return // the caller has been told
	}
	tracked, err := l.track(&conn{Conn: c, ahead: reader})
	if err != nil {
		return
	}
	select {
	case l.incoming <- tracked:
	case <-l.ctx.Done():
		_ = tracked.Close() // Raft takes no more
	}
}

// Dial implements [raft.StreamLayer].
func (l *Link) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, _, ok := strings.Cut(string(address), "@")
	if !ok {
		return nil, fmt.Errorf("voter address %q is not of the form ID@host:port", address)
	}
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	path := wire.PathRaft + "?" + queryTo + "=" + id
	c, reader, err := frame.Dial(ctx, l.dial, HostPort(address), path, protocol)
	if err != nil {
		return nil, fmt.Errorf("reach voter %s: %w", address, err)
	}
	return l.track(&conn{Conn: c, ahead: reader})
}

// track enters an open connection, so that Close ends it.
func (l *Link) track(c *conn) (*conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ctx.Err(); err != nil {
		return nil, errors.Join(net.ErrClosed, c.Conn.Close())
	}
	c.link = l
	l.conns[c] = struct{}{}
	return c, nil
}

func (l *Link) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Accept implements [net.Listener].
func (l *Link) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. It closes every connection.
func (l *Link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	for c := range l.conns {
		_ = c.Conn.Close() // nothing more is expected of it
	}
	clear(l.conns)
	return nil
}

// Addr implements [net.Listener]: the address under which the others know this
// voter.
func (l *Link) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return voterAddr(Address(l.self, l.address))
}

type voterAddr string

// Network implements [net.Addr].
func (voterAddr) Network() string { return "tcp" }

// String implements [net.Addr].
func (a voterAddr) String() string { return string(a) }
