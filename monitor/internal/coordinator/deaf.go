package coordinator

import (
	"context"
	"time"

	"understudy.example/pkg/protocol"
)

// askPeers asks the other monitors whether they hear a suspect.
func (c *Coordinator) askPeers(ctx context.Context, node string) {
	if c.opts.Peers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushDeadline)
	defer cancel()
	c.opts.Peers.AskHears(ctx, func(peer string, ago map[string]time.Duration) {
		if heard, ok := ago[node]; ok {
			c.tell(func(now time.Time) { c.monitor.PeerHears(peer, node, heard, now) })
		}
	})
}

// yield has another monitor lead, and the history say why.
func (c *Coordinator) yield(ctx context.Context, e protocol.MonitorEffect) {
	if c.opts.Peers == nil {
		return
	}
	c.propose(ctx, e)
	if err := c.opts.Peers.Yield(ctx, e.Peer); err != nil {
		c.log.Warn().Err(err).Str("to", e.Peer).Msg("leadership not handed over")
	}
}
