package link

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"understudy.example/pkg/frame"
)

// serverConn is a node's end of a connection.
type serverConn struct {
	conn
	server  *Server
	upgrade *http.Request   // with which the connection began
	context context.Context // of its handlers; ends with the connection
	wait    sync.WaitGroup  // for its workers
	work    chan *job       // to a worker that has nothing to do
	idle    atomic.Int32    // workers that have nothing to do

	mu      sync.Mutex // guards the fields below
	opened  bool       // conn is there
	jobs    map[uint64]*job
	count   int  // of those whose final frame is not on its way
	held    int  // bytes of their bodies
	leaving bool // takes no more requests
}

// newConn returns a connection that r is to be upgraded to. ctx ends with it.
func (s *Server) newConn(ctx context.Context, r *http.Request) *serverConn {
	return &serverConn{server: s, upgrade: r, context: ctx, jobs: map[uint64]*job{}, work: make(chan *job)}
}

// open begins to use the connection.
func (c *serverConn) open(conn net.Conn, in *bufio.Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = newConn(conn, in, c.server.stop)
	c.opened = true
	if c.leaving {
		c.sayLeave()
	}
}

// leave refuses the requests that come from now on.
func (c *serverConn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leaving && c.opened {
		c.sayLeave()
	}
	c.leaving = true
}

// sayLeave asks the first hop to end the connection once it has its answers.
func (c *serverConn) sayLeave() {
	c.inFlight.Add(1) // so that a first hop which is gone is noticed
	c.out.add(frame.Append(nil, frameLeave, 0, nil))
}

// take takes a frame of the first hop.
func (c *serverConn) take(t frame.Type, payload []byte) error {
	number, payload, err := cutNumber(payload)
	if err != nil {
		return err
	}
	switch t {
	case frameRequest:
		return c.takeRequest(number, payload)
	case frameBody:
		return c.takeBody(number, payload)
	case frameCancel:
		c.takeCancel(number)
		return nil
	case frameCredit:
		return c.takeCredit(number, payload)
	case frameVoid:
		c.out.add(reasonFrame(frameAbort, number, "")) // nobody waits
		return nil
	}
	return violation(fmt.Sprintf("frame of type %d from a first hop", t))
}

func (c *serverConn) takeRequest(number uint64, payload []byte) error {
	cur, body, err := cutHead(payload)
	if err != nil {
		return err
	}
	head, err := cur.requestHead()
	if err != nil {
		return err
	}
	if len(body) > min(head.length, maxPart) {
		return violation("a body that is longer than announced")
	}
	j := c.newJob(number, head)
	j.body = append(make([]byte, 0, head.length), body...)
	if err := c.enter(j); err != nil || j.refused {
		return err
	}
	if len(j.body) == head.length {
		c.start(j)
	}
	return nil
}

// enter notes a job within the bounds, or refuses it.
func (c *serverConn) enter(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.leaving:
		j.refused = true
		c.out.add(reasonFrame(frameRefuse, j.number, "this node is stopping"))
		return nil
	case c.jobs[j.number] != nil:
		return violation("a number that is in flight already")
	case c.count >= MaxInFlight:
		return violation("too many requests in flight")
	case c.held+j.head.length > MaxHeld:
		return violation("the requests in flight are too large together")
	}
	c.jobs[j.number] = j
	c.count++
	c.held += j.head.length
	c.inFlight.Add(1)
	return nil
}

// release makes room for another job: the final frame of this one is next.
func (c *serverConn) release(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count--
	c.held -= j.head.length
	c.inFlight.Add(-1)
}

// forget ends a job: its final frame has left, or will not.
func (c *serverConn) forget(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, j.number)
}

func (c *serverConn) find(number uint64) *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jobs[number]
}

// takeBody takes a part of a body. That of a job which was refused or has ended
// is dropped.
func (c *serverConn) takeBody(number uint64, data []byte) error {
	j := c.find(number)
	if j == nil {
		return nil
	}
	if len(data) == 0 || len(j.body)+len(data) > j.head.length {
		return violation("a body that is longer than announced")
	}
	if j.body = append(j.body, data...); len(j.body) == j.head.length {
		c.start(j)
	}
	return nil
}

// takeCancel ends a job: its handler's context, or itself if the handler was
// not called.
func (c *serverConn) takeCancel(number uint64) {
	j := c.find(number)
	switch {
	case j == nil: // it has ended
	case j.started:
		j.cancel()
		c.out.drop(&j.bulk)
	default:
		c.release(j)
		c.forget(j)
		c.out.add(reasonFrame(frameAbort, number, "")) // nobody waits
	}
}

func (c *serverConn) takeCredit(number uint64, payload []byte) error {
	bytes, err := creditOf(payload)
	if err != nil {
		return err
	}
	if j := c.find(number); j != nil {
		c.out.grant(&j.bulk, bytes)
	}
	return nil
}

// start has a job done. Only the reader starts jobs.
func (c *serverConn) start(j *job) {
	j.started = true
	j.bind(c.context)
	select {
	case c.work <- j:
	default: // all are busy
		c.wait.Go(func() { c.worker(j) })
	}
}

// maxIdle is how many workers of a connection stay when there is nothing to do.
const maxIdle = 128

// worker runs one job after the other until the connection ends. A goroutine that
// has served a request has the stack for the next, which a new one would have to
// grow.
func (c *serverConn) worker(j *job) {
	for {
		j.run()
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case j = <-c.work:
			c.idle.Add(-1)
		case <-c.context.Done():
			return
		}
	}
}
