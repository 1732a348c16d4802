package coordinator

import (
	"context"
	"slices"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// adoptedWithin is how long an adoption waits for the new primary to serve.
const adoptedWithin = 3 * time.Second

// Adopt has the registry rebuilt from the nodes, by one command.
func (c *Coordinator) Adopt(ctx context.Context, o wire.AdoptOrder, by string) (wire.Adopted, error) {
	var cmd *protocol.Adopt
	var refusal *protocol.Refusal
	var heard []wire.Witness
	err := c.ask(func(now time.Time) {
		cmd, refusal = c.monitor.Adoption(protocol.AdoptOrder{Node: o.Node, Reason: o.Reason, By: by, Force: o.Force}, now)
		heard = witnessesOf(c.monitor.Witnesses(now))
	})
	switch {
	case err != nil:
		return wire.Adopted{}, err
	case refusal != nil:
		c.log.Warn().Str("subject", o.Node).Str("by", by).Str("detail", refusal.Detail).Msg("the registry is not rebuilt")
		return wire.Adopted{}, refusal
	}
	if err := c.apply(ctx, protocol.Command{Adopt: cmd}); err != nil {
		return wire.Adopted{}, err
	}
	c.log.Warn().Str("subject", o.Node).Str("by", by).Str("reason", o.Reason).Str("cluster", cmd.Cluster).
		Str("heard", cmd.Heard).Str("loss", cmd.Loss).Msg("the registry was rebuilt from the nodes by an operator")
	out := wire.Adopted{Node: o.Node, Cluster: cmd.Cluster, Loss: cmd.Loss, Heard: heard, Groups: []protocol.GroupRecord{}}
	reg := c.opts.Registry.State()
	for _, g := range cmd.Groups {
		out.Groups = append(out.Groups, reg.Groups[g.Group])
	}
	out.Serving = c.awaitServing(ctx, cmd.Groups[0].Epoch)
	return out, nil
}

// awaitServing waits until a primary serves in an epoch, or in a later one.
func (c *Coordinator) awaitServing(ctx context.Context, epoch protocol.Epoch) bool {
	ctx, cancel := context.WithTimeout(ctx, adoptedWithin)
	defer cancel()
	for {
		p := c.picture.Load()
		if p.serving && p.primary.Epoch >= epoch {
			return true
		}
		select {
		case <-p.changed:
		case <-c.done:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// Witnesses returns every node that was heard, those that are refused included.
func (c *Coordinator) Witnesses() (wire.Witnesses, error) {
	var out wire.Witnesses
	err := c.ask(func(now time.Time) {
		out = wire.Witnesses{Cluster: c.reg.Cluster, Heard: witnessesOf(c.monitor.Witnesses(now))}
	})
	return out, err
}

// refused returns the nodes that were heard and are no part of the cluster. c.mu is held.
func (c *Coordinator) refused(now time.Time) []wire.Witness {
	return slices.DeleteFunc(witnessesOf(c.monitor.Witnesses(now)), func(w wire.Witness) bool {
		_, registered := c.reg.NodeOf(w.UUID)
		return registered || !w.There
	})
}

func witnessesOf(heard []protocol.Witness) []wire.Witness {
	out := make([]wire.Witness, 0, len(heard))
	for _, h := range heard {
		w := wire.Witness{
			Name: h.Name, UUID: h.UUID, Address: h.Address, Cluster: h.Cluster, State: h.State,
			AgoMS: h.Ago.Milliseconds(), There: h.There, Groups: []wire.WitnessGroup{},
		}
		for _, g := range h.Groups {
			w.Groups = append(w.Groups, wire.WitnessGroup{Group: g.Group, Epoch: g.Epoch, Version: g.Version, Position: g.Position, Serving: g.Serving})
		}
		out = append(out, w)
	}
	return out
}
