package server

import (
	"context"
	"time"

	"understudy.example/pkg/daemon"
)

// handOffCheck is how often a node that stops looks whether it may.
const handOffCheck = 2 * time.Millisecond

// handOver has the group end when ctx does, once nobody needs this node any more.
func (n *node) handOver(ctx context.Context, g *daemon.Group) func(context.Context) error {
	return func(ending context.Context) error {
		select {
		case <-ending.Done():
		case <-ctx.Done():
			n.leave(ending)
			g.Stop()
		}
		return nil
	}
}

// leave tells the monitors that this node is stopping, and waits until it is in
// no in-sync set any more: a primary hands over to a standby, a standby is left
// out, so that nobody waits for it when it is gone. It waits for the hand-off
// bound at most, and not at all where no monitor answers.
func (n *node) leave(ctx context.Context) {
	if n.replica == nil || n.opts.HandOff == 0 || n.replica.MayExit() {
		return
	}
	n.stopping.Store(true)
	n.nudge()
	n.log.Info().Msg("stopping, handing over first")
	began := time.Now()
	ticker := time.NewTicker(handOffCheck)
	defer ticker.Stop()
	for !n.replica.MayExit() {
		switch waited := time.Since(began); {
		case n.answering.Load() == 0:
			n.log.Warn().Msg("stopping without a hand-over: no monitor answers")
			return
		case waited >= n.opts.HandOff:
			n.log.Warn().Dur("waited_ms", waited).Msg("stopping without a hand-over: it took too long")
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	n.log.Info().Dur("took_ms", time.Since(began)).Msg("handed over")
}
