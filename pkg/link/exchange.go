package link

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// exchange is a request and its answer, at the first hop. Until it is in the
// connection's table it belongs to who makes it; from then on the connection's
// mutex guards it, but for its message, which the outbox guards.
type exchange struct {
	message
	number uint64
	frame  []byte // with which the request begins
	head   int    // where its head ends
	held   int    // bytes of the whole request

	res       *Response // what has come of the answer
	rest      *rest     // reads what follows the first MiB
	err       error
	told      bool          // there is an outcome: res or err
	abandoned bool          // nobody waits for it
	dismissed bool          // who waited was told that it is over: to be read after done
	done      chan struct{} // capacity 1: told
}

// blank returns an exchange to be filled in.
func (c *Client) blank() *exchange {
	x, ok := c.exchanges.Get().(*exchange)
	if !ok {
		return &exchange{done: make(chan struct{}, 1)}
	}
	*x = exchange{done: x.done, frame: x.frame}
	return x
}

// reuse keeps an exchange that nobody refers to.
func (c *Client) reuse(x *exchange) {
	x.res, x.body = nil, nil
	c.exchanges.Put(x)
}

// write begins the message. Its number is not known yet.
func (x *exchange) write(ctx context.Context, r *Request) (err error) {
	var within time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		within = min(max(time.Until(deadline), time.Microsecond), maxWithin)
	}
	if x.frame, err = appendRequest(begin(x.frame[:0]), r, within); err != nil {
		return err
	}
	x.head = len(x.frame)
	x.held = x.head + len(r.Body)
	if len(r.Body) <= maxInline {
		x.frame = append(x.frame, r.Body...)
		return nil
	}
	x.body = &bulk{part: frameBody, last: frameBody, data: r.Body, final: true, credit: len(r.Body)}
	return nil
}

// seal puts the number into the message.
func (x *exchange) seal() {
	seal(x.frame, frameRequest, x.number, x.head)
	if x.body != nil {
		x.body.number = x.number
	}
}

// push takes bytes of the answer's body. It reports false if they are more than
// were asked for.
func (x *exchange) push(data []byte) bool {
	switch {
	case x.abandoned:
		return true
	case x.rest != nil:
		return x.rest.push(data)
	case len(x.res.Body)+len(data) > FirstPart:
		return false
	case x.res.Body == nil && len(data) > 0:
		x.res.Body = make([]byte, 0, max(len(data), announced(x.res.Header)))
	}
	x.res.Body = append(x.res.Body, data...)
	return true
}

// announced returns the room to make for a body in advance.
func announced(h http.Header) int {
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil {
		return 0
	}
	return min(n, FirstPart)
}

// finish ends an answer that has come to its end.
func (x *exchange) finish() {
	if x.rest != nil {
		x.rest.end(io.EOF)
		return
	}
	x.tell()
}

// fail ends an exchange without its answer, or without the end of it.
func (x *exchange) fail(err error) {
	if x.rest != nil {
		x.rest.end(err)
		return
	}
	x.res, x.err = nil, err
	x.tell()
}

// tell wakes who waits for the outcome.
func (x *exchange) tell() {
	if x.abandoned || x.told {
		return
	}
	x.told = true
	x.done <- struct{}{}
}
