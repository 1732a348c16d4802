package coordinator

import (
	"context"
	"slices"
	"strings"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Remove has a node leave the cluster for good. The rules take it out of its groups,
// with a spare in its place where there is one, and forget it when it is gone.
func (c *Coordinator) Remove(ctx context.Context, name, by string) (wire.Removed, error) {
	n, ok := c.opts.Registry.State().Nodes[name]
	if !ok {
		return wire.Removed{}, noNode(name)
	}
	var refusal *protocol.Refusal
	var spares []string
	counts := false
	err := c.ask(func(now time.Time) {
		refusal = c.monitor.MayRemove(name, now)
		for id, rec := range c.reg.Groups {
			counts = counts || rec.IsMember(n.UUID)
			spares = c.monitor.Spares(id, now)
		}
	})
	switch {
	case err != nil:
		return wire.Removed{}, err
	case refusal != nil:
		return wire.Removed{}, refusal
	}
	if err := c.apply(ctx, protocol.Command{Remove: &protocol.Remove{Node: name, By: by}}); err != nil {
		return wire.Removed{}, err
	}
	c.log.Warn().Str("subject", name).Str("by", by).Msg("node removed by an operator")
	return wire.Removed{Node: name, Why: nextOf(name, counts, spares)}, nil
}

// nextOf says what becomes of a removed node.
func nextOf(name string, counts bool, spares []string) string {
	spares = slices.DeleteFunc(spares, func(s string) bool { return s == name })
	text := ""
	switch {
	case counts && len(spares) > 0:
		text = spares[0] + " takes its place, and " + name + " leaves when that is in sync; "
	case counts:
		text = "no spare takes its place; "
	}
	return strings.TrimSpace(text + "stop it, and it is forgotten: with an empty data directory it may join again")
}
