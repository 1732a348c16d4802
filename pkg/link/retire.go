package link

import "context"

// Retire is Close, but for answers of which the first MiB has come: they go on to
// their end, as long as they are read and ctx lasts. It returns when nothing is
// left.
func (c *Client) Retire(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.refuse()
	defer context.AfterFunc(ctx, c.cancel)()
	c.wait.Wait()
	c.cancel()
}

// retire ends the requests without an answer. The connection ends with the last
// answer that somebody reads.
func (c *clientConn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving, c.retired = true, true
	for _, x := range c.exchanges {
		if x.rest == nil {
			x.dismiss()
		}
	}
	c.callIn()
	c.endUnused()
}

// dismiss has who waits take the request back: only they know that it was posted.
func (x *exchange) dismiss() {
	x.dismissed = !x.told && !x.abandoned
	x.tell()
	x.abandoned = true
}

// endUnused ends a connection that takes no more requests and that nobody needs
// any more. mu is held.
func (c *clientConn) endUnused() {
	switch {
	case c.retired && c.rests == 0:
		c.end(ErrClosed)
	case c.leaving && len(c.exchanges) == 0:
		c.end(errMoved)
	}
}
