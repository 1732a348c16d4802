package failover

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"understudy.example/deploy/bench/internal/call"
)

// counter increments a key by compare-and-set; nobody else writes it. So a
// condition that does not hold is a write that was lost or applied twice.
type counter struct {
	*worker
	key string

	acked atomic.Int64 // the newest value that was acknowledged; 0: none
	begun atomic.Int64 // the newest value that may have been applied
	etag  string       // of the acknowledged value
}

// step increments once, half of the times under a key of its own, which is
// sometimes repeated.
func (c *counter) step(ctx context.Context) error {
	n := int(c.acked.Load()) + 1
	c.begun.Store(int64(n))
	id := ""
	if oneIn(2) {
		id = c.id()
	}
	req, err := c.increment(ctx, n, id)
	if err != nil || req.ID == "" || !oneIn(4) || int(c.acked.Load()) != n {
		return err
	}
	return c.repeat(ctx, req, c.etag)
}

// increment writes n on the condition that n-1 is still there, until it is
// acknowledged.
func (c *counter) increment(ctx context.Context, n int, id string) (req call.Request, err error) {
	for {
		req = put(c.key, n)
		req.Match, req.Absent, req.ID = c.etag, c.etag == "", id
		out, err := c.insist(ctx, req, http.StatusPreconditionFailed)
		if err != nil {
			return req, err
		}
		if out.Success() {
			c.etag = out.ETag
			c.acked.Store(int64(n))
			c.succeeded()
			return req, nil
		}
		if !out.unsure {
			c.failed(req, out.Answer)
		}
		again, err := c.settle(ctx, n, out.unsure)
		if err != nil || !again {
			return req, err
		}
		id = "" // of a request that was judged
	}
}

// settle finds out why the condition for n does not hold: an earlier copy of the
// request has arrived, or something has happened that must not.
func (c *counter) settle(ctx context.Context, n int, unsure bool) (again bool, err error) {
	out, err := c.insist(ctx, get(c.key), http.StatusNotFound)
	if err != nil {
		return false, err
	}
	before := int(c.acked.Load())
	if out.Status == http.StatusNotFound {
		c.etag = ""
		c.lost = append(c.lost, fmt.Sprintf("%s: value %d is gone", c.key, before))
		return true, nil
	}
	c.etag = out.ETag
	value, err := strconv.Atoi(string(out.Body))
	switch {
	case err != nil:
		return false, fmt.Errorf("%s holds %q, which nobody wrote", c.key, out.Body)
	case value == n && unsure:
		c.acked.Store(int64(n))
		c.succeeded()
		return false, nil
	case value >= before:
		c.doubled = append(c.doubled, fmt.Sprintf("%s: value %d was written once more, or in spite of a refusal", c.key, value))
		c.acked.Store(int64(value))
		return value != n, nil
	}
	c.lost = append(c.lost, fmt.Sprintf("%s: value %d is back to %d", c.key, before, value))
	return true, nil
}

func (c *counter) sample() (key string, least int, greatest func() int) {
	least = int(c.acked.Load())
	if least == 0 {
		least = -1 // the key may not be there yet
	}
	return c.key, least, func() int { return int(c.begun.Load()) }
}

func (c *counter) expect(found func(key string, value int, etag string)) {
	if n := int(c.acked.Load()); n > 0 {
		found(c.key, n, c.etag)
	}
}
