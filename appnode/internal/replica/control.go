package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"understudy.example/appnode/internal/journal"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/together"
)

// Run works until ctx ends or the replica cannot go on, which is an error. The
// journal is the caller's to close afterwards.
func (r *Replica) Run(ctx context.Context) error {
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	background.Go(func() { r.snapshots(ctx) })
	background.Go(func() { r.feed.pump(ctx) })
	// Nothing of this is deferred: a broken invariant must end the process at
	// once, and not wait for locks that it holds itself.
	err := r.control(ctx)
	r.shut()
	if errors.Is(err, journal.ErrAtRisk) {
		err = errors.Join(err, r.opts.Epochs.MarkFailed(r.opts.Group, err.Error()))
	}
	cancel()
	background.Wait()
	return err
}

// control is the control loop.
func (r *Replica) control(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.turned.Store(int64(time.Since(r.began)))
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.fatal:
			return err
		case <-r.wake:
		case <-timer.C:
			r.tick(time.Now())
		}
		if err := r.work(ctx); err != nil {
			return err
		}
		timer.Reset(r.untilTick())
	}
}

// An idle replica wakes up with its node's heartbeats, every tickTogether, as those
// do that it sends confirms to; the next tick may then be tickLate late.
const (
	tickTogether = 100 * time.Millisecond
	tickLate     = 12 * time.Millisecond
)

// untilTick returns how long the control loop may rest if nothing happens.
func (r *Replica) untilTick() time.Duration {
	r.mu.Lock()
	wait := max(0, time.Until(r.core.NextTick()))
	r.mu.Unlock()
	if wait < tickTogether/2 {
		return wait // something is awaited
	}
	return together.Within(wait, tickTogether, tickLate)
}

// kick wakes the control loop.
func (r *Replica) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// die ends the replica: its disk has failed, or an invariant is broken.
func (r *Replica) die(err error) {
	select {
	case r.fatal <- err:
	default: // it is dying already
	}
}

// Assign hands the replica a group record. Older ones change nothing.
func (r *Replica) Assign(rec protocol.GroupRecord) {
	r.mu.Lock()
	if rec.Version > r.core.GroupRecord().Version && (r.inbox == nil || rec.Version > r.inbox.Version) {
		r.inbox = &rec
		r.kick()
	}
	r.mu.Unlock()
}

// Settings hands the replica the cluster's settings.
func (r *Replica) Settings(s protocol.Settings) {
	r.hold.Store(int64(time.Duration(s.Hold)))
	r.minCopies.Store(int64(s.MinCopies))
	if chained := s.Topology == protocol.Chain; r.chained.Swap(chained) != chained {
		r.reroute()
	}
}

func (r *Replica) tick(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.core.Tick(now)
	r.expireQuestion(now, time.Duration(r.hold.Load()))
	if r.lead != nil {
		r.lead.expire(now, time.Duration(r.hold.Load()))
		r.expireRounds(now, time.Duration(r.hold.Load()))
		r.dropStranded(now)
		if r.core.ConfirmDue(now) {
			r.core.NextConfirm(now)
			r.notifyPeers()
		}
		r.publish()
	}
}

// work hands waiting records to the core and does what it asks for, until
// nothing is left.
func (r *Replica) work(ctx context.Context) error {
	for {
		var taken *protocol.GroupRecord
		r.mu.Lock()
		if rec := r.inbox; rec != nil {
			r.inbox = nil
			before := r.core.GroupRecord()
			if r.core.Record(*rec, time.Now()) {
				taken = rec
				r.opts.Metrics.removed(r.asked, before, *rec)
				r.publish()
				r.reroute()
			}
		}
		effects := append([]protocol.Effect(nil), r.core.Effects()...)
		r.serving.Store(r.core.Serving())
		r.checkRound()
		r.mu.Unlock()
		if taken != nil {
			r.log.Info().Uint64("version", uint64(taken.Version)).Uint64("epoch", uint64(taken.Epoch)).
				Str("primary", r.opts.NameOf(taken.Primary.UUID)).Int("in_sync", len(taken.InSync)).Msg("group record taken")
		}
		if len(effects) == 0 {
			return nil
		}
		for _, e := range effects {
			if err := r.do(ctx, e); err != nil {
				return err
			}
		}
	}
}

// do carries out one effect of the core, in the control loop.
func (r *Replica) do(ctx context.Context, e protocol.Effect) error {
	switch e.Kind {
	case protocol.EffectEndRole:
		r.endRole()
		select {
		case err := <-r.fatal: // the journal failed under the old role
			return err
		default:
		}
	case protocol.EffectPersistEpoch:
		return r.persistEpoch(ctx, e.Epoch)
	case protocol.EffectSettle:
		r.mu.Lock()
		r.core.Settled(r.opts.Epochs.AcceptedEpoch(r.opts.Group), time.Now())
		r.mu.Unlock()
	case protocol.EffectBeginReign:
		return r.beginReign(ctx, e.Epoch)
	case protocol.EffectBeginFollow:
		r.beginFollow(ctx, e.Peer)
	case protocol.EffectServe:
		r.log.Info().Uint64("epoch", uint64(e.Epoch)).Msg("serving as primary")
		r.takeEarly()
		r.opts.Changed()
	case protocol.EffectPropose:
		r.log.Info().Uint64("version", uint64(e.Change.Version)).Int("in_sync", len(e.Change.InSync)).
			Str("reason", e.Change.Reason).Msg("asking for another in-sync set")
		r.asked = e.Change
		r.opts.Propose(e.Change)
	case protocol.EffectDropPeer:
		r.dropConn(e.Conn)
	case protocol.EffectSealed:
		r.sealedAt(e.Position)
	case protocol.EffectReopen:
		r.reopen()
	case protocol.EffectLog:
		r.log.Info().Str("standby", r.opts.NameOf(e.Peer)).Msg(e.Text)
	}
	return nil
}

// persistEpoch accepts an epoch durably. On a full disk it waits for room: the
// replica takes no part until then, and says why.
func (r *Replica) persistEpoch(ctx context.Context, epoch protocol.Epoch) error {
	for {
		err := r.opts.Epochs.SetAcceptedEpoch(r.opts.Group, epoch)
		switch {
		case err == nil:
			return nil
		case !disk.IsFull(err):
			return fmt.Errorf("persist epoch %d: %w", epoch, err)
		case ctx.Err() != nil:
			return nil // Settled sees that it was not accepted
		}
		r.fillUp(err)
		r.turned.Store(int64(time.Since(r.began)))
		pause(ctx, roomCheck)
	}
}

// roleWork is the goroutines of the present role.
type roleWork struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// startRole starts fn as part of the present role.
func (r *Replica) startRole(ctx context.Context, fn func(context.Context)) {
	ctx, r.role.cancel = context.WithCancel(ctx)
	r.role.wait.Go(func() { fn(ctx) })
}

// endRole ends the work of the present role and waits for it: afterwards
// nothing touches the journal, and whoever waited has been told.
func (r *Replica) endRole() {
	r.serving.Store(false)
	r.mu.Lock()
	l := r.lead
	r.unseal(r.notServing())
	r.lead = nil
	if l != nil {
		l.fail()
		r.failRounds()
	}
	for _, c := range r.conns {
		c.deposed(r.core.GroupRecord())
	}
	upstream, rec := r.asking.stream, r.core.GroupRecord()
	r.mu.Unlock()
	if upstream != nil {
		upstream.leave(rec)
	}
	if r.role.cancel != nil {
		r.role.cancel()
		r.role.wait.Wait()
		r.role.cancel = nil
	}
	if l != nil {
		r.mu.Lock()
		r.pending = l.unpublished()
		r.mu.Unlock()
	}
}

// shut ends everything at the end of Run.
func (r *Replica) shut() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.feed.close()
	r.endRole()
	r.alone.Store(false)
	r.mu.Lock()
	for id, c := range r.conns {
		c.close()
		delete(r.conns, id)
	}
	for _, w := range r.waiting {
		close(w.done)
	}
	r.waiting = nil
	r.mu.Unlock()
}
