package failover

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
)

// scribe writes keys that are written but once, each under a request key of its
// own where that is possible, and sometimes repeats an older request.
type scribe struct {
	*worker
	prefix string
	acked  atomic.Int64 // how many keys were acknowledged: all below this number
	past   []written
}

// written is an acknowledged request.
type written struct {
	id, etag string
}

func (s *scribe) name(n int) string { return s.prefix + "once/" + strconv.Itoa(n) }

func (s *scribe) step(ctx context.Context) error {
	n := len(s.past)
	req := put(s.name(n), n)
	req.ID = s.id()
	out, err := s.insist(ctx, req)
	if err != nil {
		return err
	}
	if out.unsure && req.ID == "" {
		out.ETag = "" // an earlier copy may come later and give it another
	}
	s.past = append(s.past, written{req.ID, out.ETag})
	s.acked.Store(int64(n + 1))
	s.succeeded()
	if req.ID == "" || !oneIn(4) {
		return nil
	}
	// Mostly a young one, as a network's late copies are.
	old := n - min(n, rand.IntN(1+rand.IntN(100)))
	again := put(s.name(old), old)
	again.ID = s.past[old].id
	return s.repeat(ctx, again, s.past[old].etag)
}

func (s *scribe) sample() (key string, least int, greatest func() int) {
	n := int(s.acked.Load()) - 1
	return s.name(max(n, 0)), n, func() int { return max(n, 0) }
}

func (s *scribe) expect(found func(key string, value int, etag string)) {
	for n, w := range s.past {
		found(s.name(n), n, w.etag)
	}
}
