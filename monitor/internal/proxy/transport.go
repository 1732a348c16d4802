package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

func newTransport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: c}, nil
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: maxIdleConns,
		IdleConnTimeout:     idleTimeout,
	}
}

// countedConn counts the writes that were begun, so that an error tells whether
// anything of a request can have reached the node.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

// Write implements [net.Conn].
func (c *countedConn) Write(b []byte) (int, error) {
	// Counted before it is tried: after a failed exchange the transport has
	// closed the connection, so that a write counted later sends nothing.
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// usedConn remembers the connection that an exchange was given. HTTP/1 carries
// one exchange on a connection at a time.
type usedConn struct {
	conn   *countedConn
	before int64 // writes of earlier exchanges
	dirty  bool  // an earlier connection of this exchange carried something
}

// got implements [httptrace.ClientTrace].GotConn.
func (u *usedConn) got(info httptrace.GotConnInfo) {
	u.dirty = u.sent()
	u.conn = info.Conn.(*countedConn)
	u.before = u.conn.writes.Load()
}

// sent tells whether any byte of the exchange may have left.
func (u *usedConn) sent() bool {
	return u.dirty || (u.conn != nil && u.conn.writes.Load() > u.before)
}

// limitedBody is a request's body that remembers whether it was too large. It
// has no way back to its start, so the transport cannot send it twice.
type limitedBody struct {
	io.ReadCloser
	overrun atomic.Bool
}

// Read implements [io.Reader].
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		b.overrun.Store(true)
	}
	return n, err
}
