package replica

import (
	"context"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// sealRequest is somebody's wish that this primary hands over to a standby. The
// writer carries it out between two batches, so that nothing is half judged.
type sealRequest struct {
	epoch protocol.Epoch
	to    protocol.UUID
	asked bool            // of the core
	done  chan sealResult // capacity 1
}

type sealResult struct {
	position protocol.Position
	err      error
}

// Seal has the primary of an epoch judge no new write and answer no new read, so
// that a standby can take over without anybody seeing an error: what is asked
// meanwhile waits. It returns the position up to which everything is committed,
// and so is on the standby's disk. The replica reopens by itself if nobody takes
// over. The error is a *problem.Error, or a *protocol.Refusal.
func (r *Replica) Seal(ctx context.Context, epoch protocol.Epoch, to protocol.UUID) (protocol.Position, error) {
	q := &sealRequest{epoch: epoch, to: to, done: make(chan sealResult, 1)}
	r.mu.Lock()
	switch l := r.lead; {
	case l == nil || !r.core.Serving():
		err := r.notServing()
		r.mu.Unlock()
		return protocol.Position{}, err
	case l.seal != nil:
		r.mu.Unlock()
		return protocol.Position{}, problem.Errorf(problem.StaleVersion, "%s is being sealed already: wait until that is done", r.opts.Name)
	default:
		l.seal = q
		l.rouse()
		r.mu.Unlock()
	}
	select {
	case res := <-q.done:
		return res.position, res.err
	case <-ctx.Done():
		r.mu.Lock()
		if r.lead != nil && r.lead.seal == q {
			r.lead.seal = nil
		}
		r.mu.Unlock()
		return protocol.Position{}, problem.Errorf(problem.Overloaded, "%s did not seal in time", r.opts.Name)
	}
}

// trySeal carries out a wish to seal, and tells whether the writer must pause. It
// is called by the writer between two batches. mu is held.
func (r *Replica) trySeal(l *lead) (sealed bool) {
	q := l.seal
	if q == nil || q.asked {
		return r.core.Sealed()
	}
	q.asked = true
	if no := r.core.Seal(q.epoch, q.to, time.Now()); no != nil {
		l.endSeal(sealResult{err: no})
	} else if r.opened == nil {
		r.opened = make(chan struct{})
	}
	r.kick()
	return r.core.Sealed()
}

// sealedAt tells whoever asked for the seal that everything is committed.
func (r *Replica) sealedAt(at protocol.Position) {
	r.mu.Lock()
	if r.lead != nil {
		r.lead.endSeal(sealResult{position: at})
	}
	r.mu.Unlock()
	r.log.Info().Stringer("position", at).Msg("sealed, everything is committed")
}

// reopen lets go whoever waits for the end of a seal.
func (r *Replica) reopen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unseal(problem.Errorf(problem.StaleVersion, "%s has reopened", r.opts.Name))
	if r.lead != nil {
		r.lead.rouse()
	}
}

// unseal ends the wait for the seal and under it. mu is held.
func (r *Replica) unseal(why error) {
	if r.lead != nil {
		r.lead.endSeal(sealResult{err: why})
	}
	if r.opened != nil {
		close(r.opened)
		r.opened = nil
	}
}

func (l *lead) endSeal(res sealResult) {
	if l.seal != nil {
		l.seal.done <- res
		l.seal = nil
	}
}

// awaitOpening waits for the end of a seal. mu is held, and held again after it.
func (r *Replica) awaitOpening(ctx context.Context) {
	for r.opened != nil {
		opened := r.opened
		r.mu.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
			r.mu.Lock()
			return
		}
		r.mu.Lock()
	}
}

// MayExit tells whether a node that is stopping has nothing left to hand over.
func (r *Replica) MayExit() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.MayExit()
}
