package replica

import (
	"time"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// collect moves the batches that are wholly committed to those to be answered,
// and returns the state after the last of them, nil if none changed it.
func (l *lead) collect(commit protocol.Seq) *store.Map {
	var state *store.Map
	for len(l.batches) > 0 && l.batches[0].last <= commit {
		b := l.batches[0]
		l.batches[0] = nil
		l.batches = l.batches[1:]
		l.unsettled -= len(b.chunk.data)
		if b.state != nil {
			state = b.state
		}
		l.committed = append(l.committed, b)
	}
	if len(l.batches) == 0 {
		l.batches = nil
	}
	if len(l.committed) > 0 && len(l.queue) > 0 {
		l.rouse() // the writer may wait for batches to be committed
	}
	return state
}

// answer tells the writers of committed batches what became of their requests.
// A batch that appended records was acknowledged in this epoch by everybody who
// could have been promoted. One that only refused, or changed nothing, is
// answered when that has been confirmed, like a read. mu is held.
func (r *Replica) answer() {
	l := r.lead
	for i, b := range l.committed {
		l.committed[i] = nil
		switch {
		case len(b.writes) == 0:
		case b.chunk.data == nil && !r.core.Serving(): // deposed, and about to be told so
			b.fail(retryLater(problem.NotPrimary, "%s was deposed before the answer was confirmed", r.opts.Name))
		case b.chunk.data == nil && !r.core.Alone():
			rd := r.joinRound()
			rd.batches = append(rd.batches, b)
		default:
			b.tell(r.view.Load(), r.core.Copies(), int(r.minCopies.Load()))
		}
	}
	l.committed = l.committed[:0]
}

// tell answers the writers of a batch.
func (b *batch) tell(view *store.View, copies, least int) {
	for _, j := range b.writes {
		if j.applied && copies < least {
			j.w.done <- result{err: j.w.unknown("the write is on fewer replicas than it was to be")}
			continue
		}
		j.w.done <- result{err: j.err, outcome: store.Outcome{
			View: view, Position: j.pos, Copies: copies, Missing: j.missing, Repeated: j.repeated,
		}}
	}
	b.writes = nil
}

// fail tells every writer that this reign will not answer it.
func (l *lead) fail() {
	deposed := retryLater(problem.NotPrimary, "the primary was deposed before the request was applied")
	refuse(l.queue, deposed)
	l.queue, l.queueBytes = nil, 0
	for _, b := range l.batches {
		b.fail(deposed)
	}
}

// fail tells the batch's writers that it will not be committed in this reign.
func (b *batch) fail(certain error) {
	b.end(certain, "the primary was deposed before the write was committed")
}

// end tells the batch's writers that nobody waits for its commit any more. What
// was only refused is certainly not applied; what was appended, now or by an
// earlier copy of the request, may yet be committed, here or by the next primary.
func (b *batch) end(certain error, unknown string) {
	appended := b.at != (time.Time{})
	for _, j := range b.writes {
		err := certain
		if j.applied && (appended || j.repeated) {
			err = j.w.unknown(unknown)
		}
		j.w.done <- result{err: err}
	}
	b.writes = nil
}

// expire tells writers that have waited for longer than hold.
func (l *lead) expire(now time.Time, hold time.Duration) {
	for len(l.queue) > 0 && now.Sub(l.queue[0].at) >= hold {
		w := l.queue[0]
		l.queue = l.queue[1:]
		l.queueBytes -= w.req.Size()
		w.done <- result{err: retryLater(problem.Overloaded, "the request waited for %s and was not begun", hold)}
	}
	for _, b := range l.batches {
		if now.Sub(b.at) < hold {
			return
		}
		b.end(retryLater(problem.Overloaded, "the request had no effect, and has waited for %s for the writes before it", hold),
			"the write has waited for "+hold.String()+" to be on every in-sync replica")
	}
}

// unpublished returns the records of the batches that were not committed.
func (l *lead) unpublished() pending {
	var p pending
	for _, b := range l.batches {
		if b.chunk.data != nil {
			p.chunks = append(p.chunks, b.chunk)
		}
	}
	return p
}
