package coordinator

import "time"

const (
	// tickAgain is how soon the rules are looked at again after they did something.
	tickAgain = time.Millisecond
	// tickPerNode is the least pause between two ticks, for each node: a tick looks at
	// all of them, and must not keep the monitor from hearing them.
	tickPerNode = 10 * time.Microsecond
	// armAhead is how near the timer may come before a heartbeat puts it off: where
	// heartbeats come, it never fires.
	armAhead = 40 * time.Millisecond
)

// ask has fn look at, or change, what the mutex guards, as one event. It is refused
// once Run has ended, and waits until it has begun.
func (c *Coordinator) ask(fn func(now time.Time)) error {
	select {
	case <-c.begun:
	case <-c.done:
	}
	if !c.turn(fn) {
		return ErrStopped
	}
	return nil
}

// tell is ask for an event that nobody waits for: at the end it is dropped.
func (c *Coordinator) tell(fn func(now time.Time)) { _ = c.ask(fn) }

// turn is one event, and all that follows from it. It tells whether the event was
// taken.
func (c *Coordinator) turn(event func(now time.Time)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	now := time.Now()
	c.monitor.Awake(now)
	// A node may know a record before this monitor has looked at it: what the
	// registry holds is looked at first.
	select {
	case <-c.changed:
		c.learn(now)
	default:
	}
	event(now)
	stirred := c.monitor.Stirred()
	if stirred && !now.Before(c.rest) {
		c.tick(now)
	}
	c.carryOut(c.ctx)
	if c.stale && !now.Before(c.rest) {
		c.redraw()
		c.rest = time.Now().Add(tickPerNode * time.Duration(len(c.reg.Nodes)))
	}
	c.arm(now, stirred || c.stale)
	return true
}

// tick lets time pass, which alone may change what people and the proxy are shown.
func (c *Coordinator) tick(now time.Time) {
	c.monitor.Tick(now)
	c.stale = true
}

// arm sets the timer to the rules' next deadline. A heartbeat that says nothing new
// only puts deadlines off, so that a timer which is not near may stay. c.mu is held.
func (c *Coordinator) arm(now time.Time, stirred bool) {
	if !stirred && c.armed.Sub(now) > armAhead {
		return
	}
	c.armed = c.monitor.NextTick()
	if c.monitor.Stirred() || c.stale {
		c.armed = now.Add(tickAgain)
	}
	if c.armed.Before(c.rest) {
		c.armed = c.rest
	}
	c.timer.Reset(max(0, c.armed.Sub(now)))
}
