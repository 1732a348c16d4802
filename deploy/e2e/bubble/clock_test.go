package bubble

import (
	"context"
	"net"
	"regexp"
	"time"

	"understudy.example/pkg/daemon"
)

var sentField = regexp.MustCompile(`"sent":"([^"]*)Z"`)

// shiftSent makes what a node says of its wall clock wrong by so much.
func shiftSent(who string, by time.Duration) func(string, daemon.Network) daemon.Network {
	return func(name string, n daemon.Network) daemon.Network {
		if name != who {
			return n
		}
		dial := n.Dial
		n.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil || address != monitorAddress {
				return c, err
			}
			return &shiftedConn{Conn: c, by: by}, nil
		}
		return n
	}
}

type shiftedConn struct {
	net.Conn
	by time.Duration
}

// Write implements net.Conn. A heartbeat is written whole, and stays as long as
// it was.
func (c *shiftedConn) Write(b []byte) (int, error) {
	return c.Conn.Write(sentField.ReplaceAllFunc(b, func(field []byte) []byte {
		text := string(sentField.FindSubmatch(field)[1])
		at, err := time.Parse("2006-01-02T15:04:05.999999999", text)
		if err != nil {
			return field
		}
		layout := "2006-01-02T15:04:05.000000000"[:len(text)]
		return []byte(`"sent":"` + at.Add(c.by).Format(layout) + `Z"`)
	}))
}
