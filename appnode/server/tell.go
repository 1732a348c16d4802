package server

import (
	"context"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/together"
	"understudy.example/pkg/wire"
)

const (
	// tellEvery is how often a primary tells the members that do not follow it.
	tellEvery = 500 * time.Millisecond
	// tellTimeout bounds one attempt.
	tellTimeout = 200 * time.Millisecond
)

// tellMembers passes the registry's word on, while this node serves as primary,
// to the members that do not follow it. One of them may be the primary of an
// earlier epoch that no monitor reaches: nobody else tells it that its time is
// over.
func (n *node) tellMembers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(together.Until(tellEvery)):
		case <-n.serving:
		}
		n.tellAll(ctx)
	}
}

func (n *node) tellAll(ctx context.Context) {
	status, word := n.replica.Status(), n.known.Load()
	if !status.Serving || word == nil {
		return
	}
	following := map[protocol.UUID]bool{n.dir.UUID(): true}
	for _, p := range status.Peers {
		following[p.UUID] = p.Connected
	}
	for _, u := range n.replica.Record().Members {
		address, ok := n.addressOf(u)
		if !ok || following[u] {
			continue
		}
		var answer wire.Heartbeat
		if err := n.post(ctx, tellTimeout, address, wire.PathAssign, word, &answer); err != nil {
			n.log.Debug().Err(err).Str("member", n.nameOf(u)).Msg("member not told")
		}
	}
}
