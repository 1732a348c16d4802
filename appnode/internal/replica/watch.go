package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// Watcher is one reader of the committed changes of this replica, whatever its
// role: each change once, in order. Only one goroutine may use it.
type Watcher struct {
	r      *Replica
	prefix string
	at     protocol.Position // everything up to here has been returned
	wake   chan struct{}     // closed when there is more; nil: look at once
	timer  *time.Timer
	chunks []*fed // a buffer
}

// Watch follows what is committed after since, as far as it touches keys that
// begin with prefix. It waits until this replica has reached since, bounded by
// ctx and the hold. The codes are compacted where the records after since are
// no longer kept, and history_lost where since is of another branch of history.
// The caller closes the watcher.
func (r *Replica) Watch(ctx context.Context, since protocol.Position, prefix string) (*Watcher, error) {
	if have := r.view.Load().Position(); since.Seq > have.Seq && since.Epoch < have.Epoch {
		return nil, r.lost(since) // every later record here is of a later epoch
	}
	if _, err := r.Read(ctx, store.Session, since); err != nil {
		return nil, err
	}
	if since != (protocol.Position{}) {
		if epoch, ok := r.opts.Journal.EpochAt(since.Seq); !ok || epoch != since.Epoch {
			return nil, r.lost(since)
		}
	}
	if !r.feed.reaches(since.Seq) && since.Seq+1 < r.opts.Journal.First() {
		return nil, r.compacted(since)
	}
	if err := r.feed.join(); errors.Is(err, errClosed) {
		return nil, r.ended()
	} else if err != nil {
		return nil, err
	}
	timer := time.NewTimer(0)
	timer.Stop()
	return &Watcher{r: r, prefix: prefix, at: since, timer: timer}, nil
}

func (r *Replica) lost(at protocol.Position) error {
	return problem.Errorf(problem.HistoryLost, "position %s is not in the history of %s, which is at %s: begin again without it",
		at, r.opts.Name, r.view.Load().Position())
}

func (r *Replica) compacted(at protocol.Position) error {
	oldest := r.opts.Journal.First() - 1
	epoch, _ := r.opts.Journal.EpochAt(oldest) // 0 before the first record
	return problem.Errorf(problem.Compacted, "the changes right after %s are no longer kept by %s: the oldest position to go on from is %s; begin again without one",
		at, r.opts.Name, protocol.Position{Epoch: epoch, Seq: oldest})
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.timer.Stop()
	w.r.feed.leave()
}

// Newest returns the position of the newest committed record.
func (w *Watcher) Newest() protocol.Position { return w.r.feed.newest() }

// Next returns the changes that came after those it has returned, and the
// position up to which they are all. It waits for any at most quiet, and may
// then return none; so it may when what was committed touches nothing here. more
// tells that others are there already. After an error the watch is over.
func (w *Watcher) Next(ctx context.Context, quiet time.Duration) (changes []store.Change, upTo protocol.Position, more bool, err error) {
	if w.wake != nil {
		w.timer.Reset(quiet)
		select {
		case <-w.wake:
		case <-w.timer.C:
			return nil, w.at, false, nil
		case <-ctx.Done():
			return nil, w.at, false, ctx.Err()
		}
	}
	changes, err = w.pull()
	return changes, w.at, w.wake == nil, err
}

// ended tells a watcher that it has to go on elsewhere.
func (r *Replica) ended() error {
	return retryLater(problem.NoPrimary, "%s is stopping: go on with the last id at another node", r.opts.Name)
}

// pull takes what is there: from memory near the end, from the journal further
// back.
func (w *Watcher) pull() ([]store.Change, error) {
	g := w.r.feed.after(w.at.Seq, w.chunks)
	w.chunks, w.wake = g.chunks, g.wake
	switch {
	case g.closed:
		return nil, w.r.ended()
	case w.at.Seq > g.end.Seq:
		return nil, w.r.lost(w.at)
	case w.at.Seq < g.end.Seq && len(g.chunks) == 0:
		return w.readBack(g.end.Seq)
	}
	var out []store.Change
	for _, f := range g.chunks {
		f.once.Do(func() { f.decode(w.r) })
		if f.err != nil {
			return nil, f.err
		}
		if f.touches(w.prefix) {
			out = w.keep(out, f.changes)
		}
		w.at = f.end
	}
	clear(w.chunks) // not to hold on to what the feed lets go
	return out, nil
}

// readBack takes committed records from the journal.
func (w *Watcher) readBack(commit protocol.Seq) ([]store.Change, error) {
	data, last, err := w.r.opts.Journal.Read(w.at.Seq+1, nil, feedPiece)
	if errors.Is(err, journal.ErrTrimmed) {
		return nil, w.r.compacted(w.at)
	}
	if err == nil && last <= w.at.Seq {
		err = fmt.Errorf("the journal ends at %d, and %d is committed", last, commit)
	}
	if w.r.feed.stopped() { // and the journal may be closed
		return nil, w.r.ended()
	}
	if err != nil {
		return nil, fmt.Errorf("read changes after %s: %w", w.at, err)
	}
	// What is durable here and not committed is nobody's to see.
	changes, end, err := w.r.changes(data, min(last, commit))
	if err != nil {
		return nil, err
	}
	out := w.keep(nil, changes)
	w.at = end
	return out, nil
}

// keep appends those of the changes that are new here and touch the prefix.
func (w *Watcher) keep(out, changes []store.Change) []store.Change {
	for _, c := range changes {
		if c.Position.Seq <= w.at.Seq {
			continue
		}
		if c, ok := c.Under(w.prefix); ok {
			out = append(out, c)
		}
	}
	return out
}

// changes decodes the records of data up to upTo: those that did something, and
// the position of the last. The values are parts of data.
func (r *Replica) changes(data []byte, upTo protocol.Seq) ([]store.Change, protocol.Position, error) {
	var out []store.Change
	var end protocol.Position
	for len(data) > 0 && end.Seq < upTo {
		rec, n, err := record.Parse(data)
		if err != nil {
			return nil, end, fmt.Errorf("a record after %s: %w", end, err)
		}
		ops, err := r.opsOf(rec)
		if err != nil {
			return nil, end, fmt.Errorf("record %s: %w", rec.Position(), err)
		}
		if end = rec.Position(); len(ops) > 0 {
			out = append(out, store.Change{Position: end, Ops: ops})
		}
		data = data[n:]
	}
	return out, end, nil
}

// opsOf returns what a record did to the map.
func (r *Replica) opsOf(rec record.Record) ([]store.Op, error) {
	switch rec.Kind {
	case record.EpochStart:
		return nil, nil
	case record.Profile:
		if !r.isBirth(rec.Seq) {
			return nil, nil // only the first profile brings its initial map
		}
		return store.InitialOps(rec.Payload)
	case record.Batch:
		return store.OpsOf(rec.Payload)
	}
	return nil, fmt.Errorf("kind %d is not known", rec.Kind)
}

// isBirth tells whether every record before seq began an epoch: the map was
// empty then.
func (r *Replica) isBirth(seq protocol.Seq) bool {
	var begun protocol.Seq
	for _, b := range r.opts.Journal.Boundaries() {
		if b.First < seq {
			begun++
		}
	}
	return begun == seq-1
}
