package replica

import (
	"fmt"
	"slices"
	"sort"

	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
)

// chunk is a run of back-to-back encoded records with contiguous seqs.
type chunk struct {
	first, last protocol.Seq
	data        []byte
}

// upTo returns the part of the chunk that ends with seq, which it holds.
func (c chunk) upTo(seq protocol.Seq) (chunk, error) {
	if c.last <= seq {
		return c, nil
	}
	size := 0
	for range seq + 1 - c.first {
		_, n, err := record.Parse(c.data[size:])
		if err != nil {
			return c, fmt.Errorf("records from %d: %w", c.first, err)
		}
		size += n
	}
	c.data, c.last = c.data[:size:size], seq
	return c, nil
}

// after returns the part of the chunk behind seq, which it holds.
func (c chunk) after(seq protocol.Seq) (chunk, error) {
	for c.first <= seq {
		_, n, err := record.Parse(c.data)
		if err != nil {
			return c, fmt.Errorf("records from %d: %w", c.first, err)
		}
		c.data, c.first = c.data[n:], c.first+1
	}
	return c, nil
}

// pending is the end of the journal that is not applied yet, in order.
type pending struct {
	chunks []chunk
}

func (p *pending) add(data []byte, first, last protocol.Seq) {
	p.chunks = append(p.chunks, chunk{first, last, data})
}

// apply applies the records up to upTo to m, and forgets them.
func (p *pending) apply(m *store.Map, upTo protocol.Seq) error {
	for len(p.chunks) > 0 && p.chunks[0].first <= upTo {
		rest, err := p.chunks[0].apply(m, upTo)
		if err != nil {
			return err
		}
		if len(rest.data) > 0 {
			p.chunks[0] = rest
			return nil
		}
		p.chunks[0].data = nil
		p.chunks = p.chunks[1:]
	}
	if len(p.chunks) == 0 {
		p.chunks = nil
	}
	return nil
}

// apply applies the chunk's records up to upTo and returns what is left of it.
func (c chunk) apply(m *store.Map, upTo protocol.Seq) (chunk, error) {
	for len(c.data) > 0 && c.first <= upTo {
		rec, n, err := record.Parse(c.data)
		if err != nil {
			return c, fmt.Errorf("record %d: %w", c.first, err)
		}
		if have := m.Position().Seq; rec.Seq != have+1 {
			return c, fmt.Errorf("record %d comes after %d", rec.Seq, have)
		}
		if err := applyRecord(m, rec); err != nil {
			return c, fmt.Errorf("record %s: %w", rec.Position(), err)
		}
		c.data, c.first = c.data[n:], rec.Seq+1
	}
	return c, nil
}

// cut forgets the records above after.
func (p *pending) cut(after protocol.Seq) error {
	for i := len(p.chunks) - 1; i >= 0; i-- {
		c := &p.chunks[i]
		if c.last <= after {
			return nil
		}
		if c.first > after {
			p.chunks = p.chunks[:i]
			continue
		}
		keep := 0
		for at := c.data; ; {
			rec, n, err := record.Parse(at)
			if err != nil {
				return fmt.Errorf("cut pending records after %d: %w", after, err)
			}
			if rec.Seq > after {
				break
			}
			keep, at = keep+n, at[n:]
		}
		c.data, c.last = c.data[:keep], after
		return nil
	}
	return nil
}

// recent is the newest records, shared by all streams, so that a standby near
// the tail is fed from memory. Its owner guards it.
type recent struct {
	chunks []chunk
	ends   []int64 // bytes appended in this reign up to the end of each chunk
	total  int64   // bytes appended in this reign
	held   int64
}

func (q *recent) add(c chunk) {
	q.total += int64(len(c.data))
	q.held += int64(len(c.data))
	q.chunks = append(q.chunks, c)
	q.ends = append(q.ends, q.total)
	for q.held > recentBytes && len(q.chunks) > 1 {
		q.held -= int64(len(q.chunks[0].data))
		q.chunks[0] = chunk{}
		q.chunks, q.ends = q.chunks[1:], q.ends[1:]
	}
}

// from returns the chunks from next on, nil if memory does not reach back so
// far. The first is cut to begin with next.
func (q *recent) from(next protocol.Seq) []chunk {
	i := sort.Search(len(q.chunks), func(i int) bool { return q.chunks[i].last >= next })
	if i == len(q.chunks) || q.chunks[i].first > next {
		return nil
	}
	if q.chunks[i].first == next {
		return q.chunks[i:]
	}
	c, err := q.chunks[i].after(next - 1)
	if err != nil {
		return nil // a relay's bytes may be anything
	}
	return []chunk{c}
}

// behind returns how many bytes were appended after seq, as far as memory
// tells; far is returned where it does not.
func (q *recent) behind(seq, last protocol.Seq, far int64) int64 {
	if seq >= last {
		return 0
	}
	for i, c := range slices.Backward(q.chunks) {
		if c.first <= seq+1 {
			start := q.ends[i] - int64(len(c.data))
			return q.total - start
		}
	}
	return far
}
