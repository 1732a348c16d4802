package replica

import (
	"context"
	"time"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
)

// round is what waits for one confirm round: a confirm that every standby in the
// view is to answer, sent after everything here had arrived.
type round struct {
	number  uint64
	since   time.Time
	done    chan struct{}
	err     error    // why it will never be confirmed; set before done is closed
	batches []*batch // committed answers that change nothing
	asked   []asked  // questions of standbys
}

// joinRound returns a round whose confirm is sent after this call. mu is held,
// and this replica serves.
func (r *Replica) joinRound() *round {
	now, before := time.Now(), r.core.ConfirmNumber()
	n := r.core.Join(now)
	if r.core.ConfirmNumber() > before {
		r.notifyPeers()
	}
	if k := len(r.rounds); k > 0 && r.rounds[k-1].number == n {
		return r.rounds[k-1]
	}
	rd := &round{number: n, since: now, done: make(chan struct{})}
	r.rounds = append(r.rounds, rd)
	return rd
}

// checkRound ends the rounds that the whole view has answered. It is called
// whenever an answer came or the view changed. mu is held.
func (r *Replica) checkRound() {
	before := r.core.ConfirmNumber()
	confirmed := r.core.Land(time.Now())
	if r.core.ConfirmNumber() > before {
		r.notifyPeers()
	}
	if r.lead != nil && r.core.Serving() {
		for len(r.rounds) > 0 && r.rounds[0].number <= confirmed {
			r.endRound(r.rounds[0])
			r.rounds = r.rounds[1:]
		}
	}
	r.alone.Store(r.core.Alone())
}

func (r *Replica) endRound(rd *round) {
	for _, b := range rd.batches {
		b.tell(r.view.Load(), r.core.Copies(), int(r.minCopies.Load()))
	}
	for _, a := range rd.asked {
		a.answer()
	}
	close(rd.done)
}

// failRounds tells everybody who waits for a round that it will not be
// confirmed: the epoch is over. mu is held.
func (r *Replica) failRounds() {
	r.alone.Store(false)
	for _, rd := range r.rounds {
		rd.fail(retryLater(problem.NotPrimary, "%s was deposed before the answer was confirmed", r.opts.Name))
	}
	r.rounds = nil
}

// expireRounds ends the wait of those who have waited for longer than hold. mu
// is held.
func (r *Replica) expireRounds(now time.Time, hold time.Duration) {
	for len(r.rounds) > 0 && now.Sub(r.rounds[0].since) >= hold {
		r.rounds[0].fail(retryLater(problem.NoPrimary, "%s could not confirm within %s that it is still the primary", r.opts.Name, hold))
		r.rounds = r.rounds[1:]
	}
}

// fail tells everybody who waits for the round. A standby's question just goes
// unanswered: it asks its next primary.
func (rd *round) fail(err error) {
	for _, b := range rd.batches {
		b.fail(err)
	}
	rd.err = err
	close(rd.done)
}

// readConfirmed returns the applied state as soon as every standby in the view
// has confirmed, after this call began, that it still follows this primary.
func (r *Replica) readConfirmed(ctx context.Context) (*store.View, error) {
	if r.alone.Load() {
		// In this order: a state taken before could be of an earlier reign, and
		// the one taken now is not older than what was applied while alone.
		return r.view.Load(), nil
	}
	r.mu.Lock()
	r.awaitOpening(ctx)
	if r.lead == nil || !r.core.Serving() {
		err := r.notServing()
		r.mu.Unlock()
		return nil, err
	}
	view := r.view.Load()
	if r.core.Alone() {
		r.mu.Unlock()
		return view, nil
	}
	rd := r.joinRound()
	r.mu.Unlock()
	select {
	case <-rd.done:
		return view, rd.err
	case <-ctx.Done():
		return nil, retryLater(problem.NoPrimary, "the caller went away before %s had confirmed that it is still the primary", r.opts.Name)
	}
}
