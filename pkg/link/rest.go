package link

import (
	"bytes"
	"errors"
	"sync"
)

var errRestClosed = errors.New("read of an answer that was closed")

// rest reads what follows the first MiB of an answer. At most restWindow bytes
// wait in it.
type rest struct {
	conn     *clientConn
	exchange *exchange
	arrived  chan struct{} // capacity 1: there are bytes, or the end

	mu   sync.Mutex // guards the fields below; taken after that of the connection
	data bytes.Buffer
	read int   // bytes that were read and not yet asked for again
	err  error // with which it ends after data
}

func newRest(c *clientConn, x *exchange) *rest {
	return &rest{conn: c, exchange: x, arrived: make(chan struct{}, 1)}
}

// push takes bytes. It reports false if they are more than were asked for.
func (r *rest) push(data []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.data.Len()+r.read+len(data) > restWindow {
		return false
	}
	r.data.Write(data)
	r.notify()
	return true
}

// end tells how the answer ends. The first word stays.
func (r *rest) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.notify()
}

func (r *rest) notify() {
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// Read implements [io.Reader]. It waits while nothing has come; Close ends the
// wait.
func (r *rest) Read(p []byte) (int, error) {
	for {
		if n, err := r.readNow(p); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		<-r.arrived
	}
}

func (r *rest) readNow(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.data.Len() == 0 {
		return 0, r.err
	}
	n, _ := r.data.Read(p) // cannot fail: there is something
	if r.read += n; r.read >= restGrant && r.err == nil {
		r.conn.out.add(creditFrame(r.exchange.number, r.read))
		r.read = 0
	}
	return n, nil
}

// Close implements [io.Closer]. It gives up what was not read.
func (r *rest) Close() error {
	r.mu.Lock()
	r.data.Reset()
	r.mu.Unlock()
	r.end(errRestClosed)
	r.conn.giveUp(r.exchange)
	return nil
}

// giveUp ends an answer whose reader was closed.
func (c *clientConn) giveUp(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exchanges[x.number] == x && !x.abandoned {
		x.abandoned = true
		c.rests--
		c.out.add(appendPart(nil, frameCancel, x.number, nil))
		c.endUnused()
	}
}
