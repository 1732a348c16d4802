package registry

import (
	"context"

	"github.com/hashicorp/raft"
)

// spread has the other monitors learn at once what this one, leading, has just
// committed: a follower hears that an entry is committed with the next one only, or
// after the commit timeout. So each change is followed by an empty entry.
func (r *Registry) spread(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
		}
		if r.raft.State() != raft.Leader || len(r.raft.GetConfiguration().Configuration().Servers) < 2 {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, ApplyTimeout)
		if err := r.await(bounded, r.raft.Barrier, func(raft.Future) {}); err != nil {
			r.opt.Log.Debug().Err(err).Msg("change not spread at once")
		}
		cancel()
	}
}

// noteChange tells spread that there is something new. It does not block.
func (r *Registry) noteChange() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}
