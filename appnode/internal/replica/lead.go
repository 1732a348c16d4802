package replica

import (
	"context"
	"fmt"
	"math"
	"time"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// lead is the work of a primary. Its fields are guarded by Replica.mu, but for
// tail, which the writer owns.
type lead struct {
	epoch protocol.Epoch
	wake  chan struct{} // capacity 1: the queue is not empty

	queue      []*write // not judged yet
	queueBytes int
	batches    []*batch // judged, in order, not committed yet
	unsettled  int      // bytes of their records
	committed  []*batch // to be answered once their state is published
	recent     recent
	seal       *sealRequest // not carried out, or not committed up to it yet; nil: none

	// tail is the state after the newest record, committed or not.
	tail *store.Map
	// timeBase and clockBase continue the group time: the last record's time
	// plus what this process's monotonic clock has run since.
	timeBase  int64
	clockBase time.Time
}

// write is a request on its way.
type write struct {
	req  *store.Request
	at   time.Time
	done chan result // capacity 1
}

type result struct {
	outcome store.Outcome
	err     error
}

// batch is a run of requests that were judged and appended together. It is
// answered when everything up to last is committed: also those that were
// refused, for they were judged on a state that holds it.
type batch struct {
	last   protocol.Seq
	at     time.Time
	state  *store.Map // after the batch; nil if it has no records
	chunk  chunk
	buf    []byte   // the chunk with the journal's headroom before it
	writes []judged // those that have not been told yet
}

func (r *Replica) beginReign(ctx context.Context, epoch protocol.Epoch) error {
	r.mu.Lock()
	tail := r.applied.Clone()
	l := &lead{epoch: epoch, wake: make(chan struct{}, 1), tail: tail}
	last := r.core.Last().Seq
	for _, c := range r.pending.chunks {
		state, err := c.apply(tail, last)
		if err != nil || len(state.data) > 0 {
			r.mu.Unlock()
			return fmt.Errorf("apply the tail of the journal: %w", err)
		}
		l.batches = append(l.batches, &batch{last: c.last, at: time.Now(), state: tail.Clone(), chunk: c})
		l.unsettled += len(c.data)
	}
	r.pending = pending{}
	l.timeBase, l.clockBase = tail.GroupTime(), time.Now()
	r.lead = l
	r.mu.Unlock()
	r.log.Info().Uint64("epoch", uint64(epoch)).Stringer("position", r.opts.Journal.Last()).Msg("taking over as primary")
	r.startRole(ctx, func(ctx context.Context) { r.write(ctx, l) })
	return nil
}

// groupTime returns the group's time now, in Unix nanoseconds. It never goes
// back, whatever this machine's wall clock does.
func (l *lead) groupTime() int64 {
	now := time.Now()
	if l.timeBase == 0 {
		// The birth of the group is the one moment when a wall clock is read.
		l.timeBase, l.clockBase = now.UnixNano(), now
	}
	return l.timeBase + int64(now.Sub(l.clockBase))
}

// notifyPeers tells every stream that there is something to send. mu is held.
func (r *Replica) notifyPeers() {
	for _, c := range r.conns {
		c.notify()
	}
}

// Write has a request judged, replicated and committed. The error is a
// *problem.Error: outcome_unknown if the request may or may not come to be
// applied, any other if it certainly was not.
func (r *Replica) Write(ctx context.Context, req *store.Request) (store.Outcome, error) {
	w := &write{req: req, at: time.Now(), done: make(chan result, 1)}
	if err := r.enqueue(w); err != nil {
		return store.Outcome{}, err
	}
	select {
	case res := <-w.done:
		return res.outcome, res.err
	case <-ctx.Done():
		return store.Outcome{}, w.unknown("the caller went away before the write was committed")
	}
}

// unknown says that the write may or may not come to be applied, and how to ask
// again.
func (w *write) unknown(why string) error {
	key := w.req.ID().AsKey()
	if key == "" {
		return problem.Errorf(problem.OutcomeUnknown, "%s: it may or may not have been applied; read before you repeat it", why)
	}
	err := problem.Errorf(problem.OutcomeUnknown, "%s: it may or may not have been applied; to know, send the same request again with %s: %s", why, wire.HeaderKey, key)
	err.Key = key
	return err
}

func (r *Replica) enqueue(w *write) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lead
	switch {
	case l == nil || !r.core.Serving():
		return r.notServing()
	case !r.enoughCopies():
		return r.tooFewCopies()
	case len(l.queue) >= maxQueued || l.queueBytes >= maxQueuedBytes:
		return retryLater(problem.Overloaded, "%d requests wait to be written", len(l.queue))
	}
	l.queue = append(l.queue, w)
	l.queueBytes += w.req.Size()
	l.rouse()
	return nil
}

// rouse wakes the writer.
func (l *lead) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// enoughCopies tells whether as many replicas are in sync as a write needs. mu
// is held.
func (r *Replica) enoughCopies() bool {
	return len(r.core.GroupRecord().InSync) >= int(r.minCopies.Load())
}

func (r *Replica) tooFewCopies() error {
	return retryLater(problem.TooFewCopies, "%d replicas are in sync and at least %d must be before a write is taken",
		len(r.core.GroupRecord().InSync), r.minCopies.Load())
}

func retryLater(code problem.Code, format string, args ...any) error {
	err := problem.Errorf(code, format, args...)
	err.RetryAfter = time.Second
	return err
}

// notServing says why this node answers nothing as a primary. mu is held.
func (r *Replica) notServing() error {
	rec := r.core.GroupRecord()
	switch {
	case r.core.State() == protocol.StateFenced:
		return retryLater(problem.Fenced, "%s has been deposed by epoch %d", r.opts.Name, rec.Epoch)
	case rec.Primary == r.opts.Me:
		return retryLater(problem.NoPrimary, "%s is taking over and does not serve yet", r.opts.Name)
	case rec.Epoch == 0:
		return retryLater(problem.NoPrimary, "the group has no primary yet")
	}
	return retryLater(problem.NotPrimary, "%s is not the primary, %s is", r.opts.Name, r.opts.NameOf(rec.Primary.UUID))
}

// write is the writer: the one goroutine that judges, appends and syncs while
// this replica is primary. The next batch starts when the last sync returned.
func (r *Replica) write(ctx context.Context, l *lead) {
	if !r.writeStart(ctx, l) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for {
			room := r.due(l)
			if room == 0 {
				break
			}
			if !r.writeBatch(l, room) {
				return
			}
		}
	}
}

// due returns how many bytes of the journal the next batch takes; 0: there is none
// to be written now. Its requests stay in the queue while room is made for it. A disk
// may take long over that, and whoever waits in the queue is told when the hold, or
// the reign, is over.
func (r *Replica) due(l *lead) (room int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead != l {
		return 0 // deposed: what is queued has been told
	}
	if r.trySeal(l) {
		return 0 // reopen wakes the writer
	}
	if len(l.batches) >= maxBatches || l.unsettled >= maxUnsettled {
		return 0 // what waits for the standbys is enough; settle wakes the writer
	}
	if !r.enoughCopies() {
		err := r.tooFewCopies()
		refuse(l.queue, err)
		l.queue, l.queueBytes = nil, 0
		return 0
	}
	_, room = l.next(math.MaxInt)
	return room
}

// next returns how many requests at the front of the queue make a batch, at most
// maxBatch bytes, that takes no more than room of the journal, and what it takes.
func (l *lead) next(room int) (n, size int) {
	bytes := 0
	for _, w := range l.queue {
		whole := max(size, journal.MarkSize) + w.req.Size() + record.HeaderSize
		if bytes += w.req.Size(); n > 0 && bytes > maxBatch || whole > room {
			break
		}
		n, size = n+1, whole
	}
	return n, size
}

// take removes from the queue the next requests, as many as there is room for.
func (r *Replica) take(l *lead, room int) []*write {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead != l {
		return nil // deposed meanwhile
	}
	n, _ := l.next(room)
	taken := l.queue[:n:n]
	for _, w := range taken {
		l.queueBytes -= w.req.Size()
	}
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return taken
}

// writeStart appends the records that begin a reign: the epoch-start, and at
// the birth of the group its profile. It waits for room on a full disk.
func (r *Replica) writeStart(ctx context.Context, l *lead) bool {
	pos := protocol.Position{Epoch: l.epoch, Seq: l.tail.Position().Seq + 1}
	buf := record.Append(make([]byte, journal.MarkSize, 256), &record.Record{Group: r.opts.Group, Epoch: pos.Epoch, Seq: pos.Seq, Commit: r.commit(), Kind: record.EpochStart})
	err := l.tail.ApplyEpochStart(pos)
	// A birth that was cut short after its epoch-start is still a birth.
	if unborn := l.tail.GroupTime() == 0 && l.tail.Profile() == nil; unborn && r.opts.Profile != nil {
		pos.Seq++
		buf = record.Append(buf, &record.Record{Group: r.opts.Group, Epoch: pos.Epoch, Seq: pos.Seq, Kind: record.Profile, Payload: r.opts.Profile})
		err = l.tail.ApplyProfile(pos, r.opts.Profile)
	}
	if err != nil {
		r.die(fmt.Errorf("begin epoch %d: %w", l.epoch, err))
		return false
	}
	for {
		err := r.reserve(len(buf))
		if err == nil {
			break
		}
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil || !disk.IsFull(err) {
			return false
		}
	}
	first := r.opts.Journal.Last().Seq + 1
	return r.append(l, &batch{last: pos.Seq, state: l.tail.Clone(), buf: buf, chunk: chunk{first, pos.Seq, buf[journal.MarkSize:]}})
}

func (r *Replica) commit() protocol.Seq {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.Commit()
}

// reserve makes sure of room in the journal, and remembers whether there is. Any
// error but a full disk ends the replica.
func (r *Replica) reserve(n int) error {
	err := r.opts.Journal.Reserve(n)
	switch {
	case err == nil:
		if !r.uncut.Load() && r.full.Swap(false) {
			r.log.Info().Msg("the disk has room again")
		}
	case disk.IsFull(err):
		r.fillUp(err)
	default:
		r.die(fmt.Errorf("reserve room in the journal: %w", err))
	}
	return err
}

// fillUp notes that the disk is full.
func (r *Replica) fillUp(err error) {
	if !r.full.Swap(true) {
		r.log.Error().Err(err).Msg("the disk is full, nothing can be written")
		r.opts.Changed()
	}
}

// writeBatch makes room for the next requests, judges them on the newest state,
// appends their effects, shows them to the streams and syncs.
func (r *Replica) writeBatch(l *lead, room int) bool {
	err := r.reserve(room)
	writes := r.take(l, room)
	if err != nil {
		answer := retryLater(problem.DiskFull, "the disk of %s is full: make room on it; reads go on", r.opts.Name)
		if !disk.IsFull(err) {
			answer = retryLater(problem.NotPrimary, "%s cannot write to its disk and gives up", r.opts.Name)
		}
		refuse(writes, answer)
		return disk.IsFull(err)
	}
	if len(writes) == 0 {
		return true // nobody waits any more
	}
	b, err := r.judge(l, writes, make([]byte, journal.MarkSize, room))
	if err != nil {
		r.die(err)
		refuse(writes, retryLater(problem.NotPrimary, "%s has found itself broken and gives up", r.opts.Name))
		return false
	}
	return r.append(l, b)
}

// refuse tells requests that were not judged that they will not be.
func refuse(writes []*write, err error) {
	for _, w := range writes {
		w.done <- result{err: err}
	}
}

// append shows a batch to the streams, writes it to the journal and syncs. It
// returns false when the reign is over.
func (r *Replica) append(l *lead, b *batch) bool {
	now := time.Now()
	r.mu.Lock()
	if r.lead != l {
		// Deposed between judging and appending: nothing left this process.
		b.fail(retryLater(problem.NotPrimary, "%s was deposed before the request was applied", r.opts.Name))
		r.mu.Unlock()
		return false
	}
	b.at = now
	l.batches = append(l.batches, b)
	l.unsettled += len(b.chunk.data)
	if b.chunk.data == nil {
		r.publish()
		r.mu.Unlock()
		return true
	}
	r.core.AppendedTo(protocol.Position{Epoch: l.epoch, Seq: b.last}, now)
	l.recent.add(b.chunk)
	r.notifyPeers()
	r.mu.Unlock()

	if err := r.opts.Journal.Write(b.buf); err != nil {
		r.die(fmt.Errorf("write the journal: %w", err))
		return false
	}
	b.buf = nil
	r.written.Add(int64(len(b.chunk.data)))

	r.mu.Lock()
	before := r.core.Commit()
	r.core.Synced(b.last, time.Now())
	r.afterProgress(before)
	over := r.lead != l
	r.mu.Unlock()
	return !over
}

// afterProgress publishes what an acknowledgement or a sync has committed. mu
// is held.
func (r *Replica) afterProgress(before protocol.Seq) {
	if r.core.Commit() > before {
		r.publish()
		r.notifyPeers()
	}
	r.checkRound()
	if r.core.Pending() {
		r.serving.Store(r.core.Serving())
		r.kick()
	}
}
