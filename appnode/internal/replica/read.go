package replica

import (
	"context"
	"time"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// Read returns the state to answer from at the asked level. at is the least
// position wanted by a session read, which waits for it, bounded by ctx and the
// hold.
func (r *Replica) Read(ctx context.Context, level store.Level, at protocol.Position) (*store.View, error) {
	switch level {
	case store.Linearizable:
		if r.following.Load() {
			return r.readAsked(ctx)
		}
		return r.readConfirmed(ctx)
	case store.Session:
		if !r.await(ctx, at.Seq, time.Duration(r.hold.Load())) {
			return nil, retryLater(problem.Overloaded, "%s has not reached position %s yet", r.opts.Name, at)
		}
		if err := r.checkHistory(at); err != nil {
			return nil, err
		}
	case store.Stale:
	}
	return r.view.Load(), nil
}

// await waits until seq is applied, and tells whether it is.
func (r *Replica) await(ctx context.Context, seq protocol.Seq, limit time.Duration) bool {
	if r.view.Load().Position().Seq >= seq {
		return true
	}
	w := positionWait{seq, make(chan struct{})}
	r.mu.Lock()
	if r.closed || r.applied.Position().Seq >= seq {
		r.mu.Unlock()
		return r.view.Load().Position().Seq >= seq
	}
	r.waiting = append(r.waiting, w)
	r.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.done:
		return r.view.Load().Position().Seq >= seq
	case <-ctx.Done():
	case <-timer.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.waiting {
		if r.waiting[i].done == w.done {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			break
		}
	}
	return false
}

// checkHistory refuses a position of a branch that an override has cut off.
func (r *Replica) checkHistory(at protocol.Position) error {
	if epoch, ok := r.opts.Journal.EpochAt(at.Seq); at.Seq > 0 && (!ok || epoch != at.Epoch) {
		return r.lost(at)
	}
	return nil
}
