package link

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/together"
)

var (
	errSilent   = errors.New("the peer has been silent for 3 s")
	errStuck    = errors.New("the peer has taken nothing for 5 s")
	errPeerLeft = errors.New("the peer closed the connection")
)

// violation is what a peer did that the protocol does not allow.
type violation string

// Error implements error.
func (v violation) Error() string { return "the peer broke the protocol: " + string(v) }

// farewell is the reason for which the peer has cut the connection.
type farewell string

// Error implements error.
func (f farewell) Error() string { return "the peer cut the connection: " + string(f) }

// conn is what both ends of a connection have in common. Three goroutines live
// as long as it: the reader, which runs serve, and the two that serve starts.
type conn struct {
	net      net.Conn
	in       *bufio.Reader
	stop     <-chan struct{} // closed when whoever owns the connection closes it
	out      outbox
	heard    atomic.Uint64 // frames received
	inFlight atomic.Int64  // requests without a final frame; at a node that leaves, one more

	once  sync.Once
	ended chan struct{} // closed by end
	cause error         // why; to be read after ended
}

func newConn(c net.Conn, in *bufio.Reader, stop <-chan struct{}) conn {
	return conn{net: c, in: in, stop: stop, ended: make(chan struct{}), out: newOutbox(c)}
}

// end gives the connection up for the reason given. The first reason stays.
func (c *conn) end(cause error) {
	c.once.Do(func() {
		c.cause = cause
		close(c.ended)
		c.out.close(false)
		_ = c.net.Close() // it is given up either way
	})
}

// over tells whether the connection has ended.
func (c *conn) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// serve hands every frame to take until the connection ends, and tells why it
// did. All its goroutines but those of take have ended when it returns.
func (c *conn) serve(take func(t frame.Type, payload []byte) error) error {
	var own sync.WaitGroup
	own.Go(func() {
		if err := c.out.run(); err != nil {
			c.end(fmt.Errorf("write: %w", err))
		}
	})
	own.Go(c.keep)
	c.end(c.read(take))
	own.Wait()
	return c.cause
}

// read takes frames until the connection ends or the peer breaks the protocol,
// which it is then told.
func (c *conn) read(take func(t frame.Type, payload []byte) error) error {
	var buf []byte
	for {
		h, payload, err := frame.ReadUpTo(c.in, buf, maxPayload)
		if err == nil {
			buf = payload
			c.heard.Add(1)
			err = c.dispatch(h.Type, payload, take)
		}
		switch broken, ok := errors.AsType[violation](err); {
		case err == nil:
			continue
		case ok || errors.Is(err, frame.ErrTooLong) || errors.Is(err, errGarbled):
			if !ok {
				broken = violation(err.Error())
			}
			c.bye(string(broken))
			return broken
		case errors.Is(err, io.EOF):
			return errPeerLeft
		}
		return err
	}
}

// dispatch answers the frames that concern the connection itself, and passes
// the others on.
func (c *conn) dispatch(t frame.Type, payload []byte, take func(t frame.Type, payload []byte) error) error {
	switch t {
	case framePing:
		c.out.add(frame.Append(nil, framePong, 0, nil))
		return nil
	case framePong:
		return nil
	case frameBye:
		return farewell(payload[:min(len(payload), maxReason)])
	default:
		return take(t, payload)
	}
}

// bye tells the peer why the connection is cut, and waits a little for the
// words to leave.
func (c *conn) bye(reason string) {
	c.out.add(frame.Append(nil, frameBye, 0, []byte(reason)))
	_ = c.net.SetWriteDeadline(time.Now().Add(farewellWait)) // an error shows at the write
	c.out.close(true)
	<-c.out.over // at the latest when that has passed
}

// keep ends the connection when its owner does. It watches over one on which
// something is in flight: it asks a silent peer for a sign of life, and gives up
// one that has none.
func (c *conn) keep() {
	var w watch
	for {
		select {
		case <-c.ended:
			return
		case <-c.stop:
			c.end(ErrClosed)
			return
		case <-time.After(together.Until(tick)):
		}
		if err := w.beat(c); err != nil {
			c.end(err)
			return
		}
	}
}

// watch is what keep remembers from tick to tick.
type watch struct {
	heard, steps  uint64
	silent, stuck int // ticks
}

// beat judges the last tick.
func (w *watch) beat(c *conn) error {
	if heard := c.heard.Load(); heard != w.heard || c.inFlight.Load() == 0 {
		w.heard, w.silent = heard, 0
	} else {
		w.silent++
	}
	if steps := c.out.steps.Load(); steps != w.steps || steps%2 == 0 {
		w.steps, w.stuck = steps, 0
	} else {
		w.stuck++
	}
	switch {
	case w.stuck >= stuckTicks:
		return errStuck
	case w.silent >= silentTicks:
		return errSilent
	case w.silent > 0 && w.silent%pingTicks == 0:
		c.out.add(frame.Append(nil, framePing, 0, nil))
	}
	return nil
}
