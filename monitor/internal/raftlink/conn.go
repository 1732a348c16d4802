package raftlink

import (
	"bufio"
	"net"
)

// conn is an upgraded connection. What its peer sent along with the upgrade is
// read first.
type conn struct {
	net.Conn
	link  *Link
	ahead *bufio.Reader // nil once it is empty; only the reader uses it
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	if c.ahead != nil {
		if n := c.ahead.Buffered(); n > 0 {
			return c.ahead.Read(b[:min(n, len(b))])
		}
		c.ahead = nil // its buffer is not needed any more
	}
	return c.Conn.Read(b)
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.link.forget(c)
	return c.Conn.Close()
}
