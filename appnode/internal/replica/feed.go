package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// Bounds of the feed.
const (
	feedBytes   = 8 << 20 // bytes of committed records kept in memory for watchers
	feedPiece   = 256 << 10
	maxWatchers = 10_000
	// fedCost is what a kept chunk takes beside its records, in bytes.
	fedCost = 256
	// Watchers are woken at most every leastPause, and no more than one each
	// wakeShare in all, but at least every mostPause: so their number does not
	// slow the writer.
	leastPause = time.Millisecond
	wakeShare  = 100 * time.Microsecond
	mostPause  = 100 * time.Millisecond
)

// feed is the newest committed records, kept for watchers. To publish is one
// append, whatever the number of watchers: they are woken by the pump, and pull.
type feed struct {
	dirty chan struct{} // capacity 1: there is something to wake watchers for

	// mu guards the fields below. It may be taken under Replica.mu, and is never
	// held while anything is waited for.
	mu       sync.Mutex
	chunks   []*fed // back to back; the last ends at end
	held     int64
	end      protocol.Position // of the newest committed record
	wake     chan struct{}     // closed and replaced when watchers are to look
	watchers int
	closed   bool
}

// fed is a run of committed records, decoded once for all watchers.
type fed struct {
	chunk
	end     protocol.Position // of the last record
	once    sync.Once
	changes []store.Change
	keys    []string // that they touch, sorted: most watchers need no more than a look
	err     error
}

// decode fills in all but the chunk, for the first watcher that comes.
func (f *fed) decode(r *Replica) {
	f.changes, f.end, f.err = r.changes(f.data, f.last)
	for _, c := range f.changes {
		for i := range c.Ops {
			f.keys = append(f.keys, c.Ops[i].Key)
		}
	}
	slices.Sort(f.keys)
}

// touches tells whether a key that begins with prefix was changed.
func (f *fed) touches(prefix string) bool {
	i, _ := slices.BinarySearch(f.keys, prefix)
	return i < len(f.keys) && strings.HasPrefix(f.keys[i], prefix)
}

func newFeed(end protocol.Position) *feed {
	return &feed{dirty: make(chan struct{}, 1), end: end, wake: make(chan struct{})}
}

// add appends records that were committed, up to end, and has show show the state
// that holds them. Each record is fed once, in the order of the journal. Whoever has
// seen that state finds the records here, and the other way round.
func (f *feed) add(chunks []chunk, end protocol.Position, show func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.end.Seq + 1
	for _, c := range chunks {
		if c.first != next {
			panic(fmt.Sprintf("records from %d are shown to watchers where %d is next", c.first, next))
		}
		f.chunks = append(f.chunks, &fed{chunk: c})
		f.held += int64(len(c.data)) + fedCost
		next = c.last + 1
	}
	if next != end.Seq+1 {
		panic(fmt.Sprintf("records up to %d are shown to watchers where the state is at %s", next-1, end))
	}
	f.end = end
	show()
	for f.held > feedBytes && len(f.chunks) > 1 {
		f.held -= int64(len(f.chunks[0].data)) + fedCost
		f.chunks[0] = nil
		f.chunks = f.chunks[1:]
	}
	f.stir()
}

// reset begins anew behind a snapshot that took the place of the history, and has
// show show its state.
func (f *feed) reset(end protocol.Position, show func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	show()
	f.chunks, f.held, f.end = nil, 0, end
	f.stir()
}

// stir has the pump wake the watchers, if there are any. mu is held.
func (f *feed) stir() {
	if f.watchers == 0 {
		return
	}
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// pump wakes the watchers. After each time it rests: what is committed meanwhile
// comes to them together.
func (f *feed) pump(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.dirty:
		}
		n := f.wakeAll()
		pause(ctx, min(mostPause, max(leastPause, time.Duration(n)*wakeShare)))
	}
}

func (f *feed) wakeAll() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.wake)
	f.wake = make(chan struct{})
	return f.watchers
}

// close ends every watch.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wakeAll()
}

// errClosed tells that the replica has ended.
var errClosed = errors.New("the replica has ended")

func (f *feed) join() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	if f.watchers >= maxWatchers {
		return retryLater(problem.Overloaded, "%d watchers are connected already", f.watchers)
	}
	f.watchers++
	return nil
}

func (f *feed) leave() {
	f.mu.Lock()
	f.watchers--
	f.mu.Unlock()
}

// glance is what a watcher finds in the feed.
type glance struct {
	chunks []*fed
	end    protocol.Position
	// wake is closed when there is more; nil if the chunks do not reach end.
	wake   chan struct{}
	closed bool
}

// after returns the kept chunks that hold the records after seq, about feedPiece
// bytes of them at most. Without any, and with end beyond seq, memory does not
// reach back so far. It appends to buf.
func (f *feed) after(seq protocol.Seq, buf []*fed) glance {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := glance{chunks: buf[:0], end: f.end, closed: f.closed}
	i := sort.Search(len(f.chunks), func(i int) bool { return f.chunks[i].last > seq })
	if i < len(f.chunks) && f.chunks[i].first > seq+1 {
		return g
	}
	for size := 0; i < len(f.chunks); i++ {
		if size += len(f.chunks[i].data); size > feedPiece && len(g.chunks) > 0 {
			return g
		}
		g.chunks = append(g.chunks, f.chunks[i])
	}
	if len(g.chunks) > 0 || seq == f.end.Seq {
		g.wake = f.wake
	}
	return g
}

// reaches tells whether memory holds the records after seq.
func (f *feed) reaches(seq protocol.Seq) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return seq == f.end.Seq || seq < f.end.Seq && len(f.chunks) > 0 && f.chunks[0].first <= seq+1
}

// stopped tells whether the replica has ended.
func (f *feed) stopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// newest returns the position of the newest committed record.
func (f *feed) newest() protocol.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.end
}

// news returns the records of the batches that have just been committed.
func (l *lead) news() []chunk {
	var out []chunk
	for _, b := range l.committed {
		if b.chunk.data != nil {
			out = append(out, b.chunk)
		}
	}
	return out
}

// upTo returns the pending records up to seq.
func (p *pending) upTo(seq protocol.Seq) ([]chunk, error) {
	var out []chunk
	for _, c := range p.chunks {
		if c.first > seq {
			break
		}
		c, err := c.upTo(seq)
		if err != nil {
			return nil, fmt.Errorf("pending: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}
