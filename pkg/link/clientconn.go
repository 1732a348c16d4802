package link

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"understudy.example/pkg/frame"
)

// errMoved tells that a connection takes no more requests: another must be
// asked for.
var errMoved = errors.New("the connection takes no more requests")

// clientConn is the first hop's end of a connection.
type clientConn struct {
	conn
	client *Client

	mu        sync.Mutex           // guards the fields below, and every exchange
	exchanges map[uint64]*exchange // without a final frame
	newest    uint64               // number given
	held      int                  // bytes of the requests
	rests     int                  // of answers, that somebody reads
	leaving   bool                 // begins no more
	retired   bool                 // is there for the rests alone
	room      chan struct{}        // closed when an exchange has ended; nil: nobody waits
}

// run carries exchanges until the connection ends, and then tells them all.
func (c *clientConn) run() {
	defer context.AfterFunc(c.client.taking, c.retire)()
	cause := c.serve(c.take)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	for _, x := range c.exchanges {
		c.settle(x)
		x.fail(c.broken(!c.out.gone(&x.message), cause))
	}
}

// do carries one request.
func (c *clientConn) do(ctx context.Context, r *Request) (*Response, error) {
	x := c.client.blank()
	if err := x.write(ctx, r); err != nil {
		return nil, c.client.notSent(err)
	}
	err := c.enter(ctx, x)
	if errors.Is(err, errMoved) {
		return nil, err
	}
	if err != nil {
		return nil, c.client.notSent(err)
	}
	x.seal()
	if !c.out.post(&x.message, x.frame) {
		return nil, errMoved // and run ends the exchange
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		if c.abandon(x) {
			return nil, c.broken(c.takeBack(x), ctx.Err())
		}
		<-x.done // the answer was quicker
	}
	return c.finish(x)
}

// finish returns what has become of an exchange.
func (c *clientConn) finish(x *exchange) (*Response, error) {
	if x.body != nil {
		c.out.drop(x.body) // an answer need not wait for the whole request
	}
	if x.dismissed {
		return nil, c.broken(c.takeBack(x), ErrClosed)
	}
	res, err := x.res, x.err
	if err == nil && x.rest == nil {
		c.client.reuse(x)
	}
	return res, err
}

// enter gives the exchange a number as soon as the bounds allow it.
func (c *clientConn) enter(ctx context.Context, x *exchange) error {
	for {
		room, err := c.tryEnter(x)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-c.ended:
			return errMoved
		case <-ctx.Done():
			return fmt.Errorf("%d requests are in flight on the connection: %w", c.inFlight.Load(), ctx.Err())
		}
	}
}

// tryEnter returns what to wait for if there is no room.
func (c *clientConn) tryEnter(x *exchange) (room <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.over() {
		return nil, errMoved
	}
	if len(c.exchanges) >= MaxInFlight || c.held+x.held > MaxHeld {
		if c.room == nil {
			c.room = make(chan struct{})
		}
		return c.room, nil
	}
	c.newest++
	x.number = c.newest
	c.exchanges[x.number] = x
	c.held += x.held
	c.inFlight.Add(1)
	return nil, nil
}

// settle ends an exchange: its number is free. mu is held.
func (c *clientConn) settle(x *exchange) {
	delete(c.exchanges, x.number)
	c.held -= x.held
	c.inFlight.Add(-1)
	if x.rest != nil && !x.abandoned {
		c.rests--
	}
	c.callIn()
	c.endUnused()
}

// callIn has those who wait for room look again. mu is held.
func (c *clientConn) callIn() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// abandon leaves an exchange to its end, unless it has an outcome.
func (c *clientConn) abandon(x *exchange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.told {
		return false
	}
	x.abandoned = true
	return true
}

// takeBack keeps what it can of an abandoned request from the node, tells the
// node to end the rest, and reports whether it kept enough.
func (c *clientConn) takeBack(x *exchange) (kept bool) {
	kept = c.out.retract(&x.message)
	c.out.add(appendPart(nil, frameCancel, x.number, nil))
	return kept
}

// broken says what a failure means for a request.
func (c *clientConn) broken(kept bool, cause error) error {
	if kept {
		return c.client.notSent(cause)
	}
	return fmt.Errorf("%w from %s: %w", ErrLost, c.client.options.Address, cause)
}

// take takes a frame of the node.
func (c *clientConn) take(t frame.Type, payload []byte) error {
	if t == frameLeave {
		c.leave()
		return nil
	}
	number, payload, err := cutNumber(payload)
	if err != nil {
		return err
	}
	switch t {
	case frameAnswer, frameWhole:
		head, body, err := cutHead(payload)
		if err != nil {
			return err
		}
		res, err := head.answer()
		if err != nil {
			return err
		}
		return c.takeAnswer(number, res, body, t == frameWhole)
	case framePart, frameLast:
		return c.takePart(number, payload, t == frameLast)
	case frameAbort:
		return c.takeEnd(number, false, "the node broke the answer off: "+string(payload))
	case frameRefuse:
		return c.takeEnd(number, true, "refused: "+string(payload))
	}
	return violation(fmt.Sprintf("frame of type %d from a node", t))
}

// leave takes the connection out of use. It ends with what is in flight.
func (c *clientConn) leave() {
	c.client.vacate(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	c.endUnused()
}

func (c *clientConn) takeAnswer(number uint64, res *Response, body []byte, whole bool) error {
	if whole && len(body) > 0 {
		res.Body = append(make([]byte, 0, len(body)), body...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.exchanges[number]
	switch {
	case x == nil || x.res != nil:
		return violation("an answer to a request that waits for none")
	case !whole:
		x.res = res
		return c.advance(x, body, false)
	case len(body) > maxPart:
		return violation("an answer in one frame that is longer than a part")
	}
	x.res = res
	c.settle(x)
	x.tell()
	return nil
}

func (c *clientConn) takePart(number uint64, data []byte, last bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.exchanges[number]
	if x == nil || x.res == nil {
		return violation("a part of an answer that has not begun")
	}
	return c.advance(x, data, last)
}

// advance takes bytes of an answer's body. mu is held.
func (c *clientConn) advance(x *exchange, data []byte, last bool) error {
	if !x.push(data) {
		return violation("an answer that is longer than asked for")
	}
	switch {
	case last:
		c.settle(x)
		x.finish()
	case !x.abandoned && x.rest == nil && len(x.res.Body) == FirstPart:
		x.rest = newRest(c, x)
		x.res.Rest = x.rest
		c.rests++
		c.out.add(creditFrame(x.number, restWindow))
		x.tell()
	}
	return nil
}

// takeEnd takes a final frame that is no answer.
func (c *clientConn) takeEnd(number uint64, unread bool, why string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.exchanges[number]
	if x == nil {
		return violation("an end of a request that is not in flight")
	}
	c.settle(x)
	x.fail(c.broken(unread, errors.New(why)))
	return nil
}
