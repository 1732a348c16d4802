package command

import (
	"context"

	"understudy.example/client/internal/show"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// adopt has a lost registry rebuilt from the nodes, and shows what was heard of them,
// also where it is refused.
func (a action) adopt(ctx context.Context) error {
	o := wire.AdoptOrder{Node: a.in.operand, Reason: a.in.order.Reason, Force: a.in.order.Force}
	adopted, err := a.api.Adopt(ctx, o)
	switch {
	case problem.CodeOf(err) == problem.WouldLoseData || problem.CodeOf(err) == problem.NotFound:
		if heard, unheard := a.api.Witnesses(ctx); unheard == nil {
			_ = show.Witnesses(a.Stderr, heard.Heard) // the refusal is what counts
		}
		return err
	case err != nil:
		return err
	case a.in.json:
		return show.JSON(a.Stdout, adopted)
	}
	return show.Adopted(a.Stdout, adopted)
}
