package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"understudy.example/pkg/protocol"
)

// leadRetry spaces the attempts of a new leader to catch up with its own log.
const leadRetry = 50 * time.Millisecond

// watch follows the leadership until ctx ends or the registry fails.
func (r *Registry) watch(ctx context.Context) {
	defer r.setLeads(false)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.machine.failed:
			r.opt.Log.Error().Err(r.machine.err()).Msg("registry failed")
			return
		case leads := <-r.raft.LeaderCh():
			// A leadership lost and won again may show as a second "true".
			r.setLeads(false)
			r.setLeads(leads && r.takeOver(ctx))
		}
	}
}

// setLeads publishes a change of the leadership. Only the watch calls it.
func (r *Registry) setLeads(leads bool) {
	if r.leads.Swap(leads) != leads {
		r.opt.Log.Info().Bool("leads", leads).Uint64("term", r.Term()).Msg("registry leadership changed")
		r.opt.OnLeader(leads)
	}
}

// takeOver applies all that was acknowledged before, and founds an empty
// registry. It tells whether this monitor leads in earnest now.
func (r *Registry) takeOver(ctx context.Context) bool {
	for r.raft.State() == raft.Leader && ctx.Err() == nil && r.machine.err() == nil {
		err := r.prepare(ctx)
		if err == nil {
			return true
		}
		r.opt.Log.Warn().Err(err).Msg("cannot begin to lead the registry yet")
		select {
		case <-time.After(leadRetry):
		case <-ctx.Done():
		}
	}
	return false
}

func (r *Registry) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ApplyTimeout)
	defer cancel()
	err := r.await(ctx, r.raft.Barrier, func(raft.Future) {})
	switch {
	case err != nil:
		return fmt.Errorf("apply earlier commands: %w", err)
	case r.machine.err() != nil:
		return r.machine.err()
	}
	if err := r.correctAddress(ctx); err != nil {
		return err
	}
	if r.State().Cluster != "" {
		return nil
	}
	return r.found(ctx)
}

// found gives an empty registry its cluster id and its settings.
func (r *Registry) found(ctx context.Context) error {
	id, err := randomID(r.opt.Rand)
	if err != nil {
		return fmt.Errorf("make a cluster id: %w", err)
	}
	_, err = r.Apply(ctx, protocol.Command{Found: &protocol.Found{Cluster: id, Settings: r.opt.Settings}})
	if refusal, ok := errors.AsType[*protocol.Refusal](err); ok && refusal.Code == protocol.RefuseWrongCluster {
		return nil // an earlier attempt whose answer was lost has founded it
	}
	if err != nil {
		return fmt.Errorf("found the cluster: %w", err)
	}
	r.opt.Log.Info().Str("cluster", id).Msg("cluster founded")
	return nil
}

// randomID returns 128 random bits as 32 hexadecimal digits.
func randomID(source io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(source, b[:]); err != nil {
		return "", fmt.Errorf("read random bits: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
