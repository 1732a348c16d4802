package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const takeoverPoll = 20 * time.Millisecond

// killPrimary ends the primary of group 0 and watches who takes over.
func (a action) killPrimary(ctx context.Context) error {
	cluster, err := a.api.Cluster(ctx)
	if err != nil {
		return err
	}
	if len(cluster.Groups) == 0 {
		return errNoGroup
	}
	if cluster.Leader == "" {
		return problem.Errorf(problem.NoPrimary, "the monitors have no leader now, so who is primary is not certain: try again in a second")
	}
	before := cluster.Groups[0]
	if before.Primary == "" {
		return problem.Errorf(problem.NoPrimary, "group 0 has no primary to kill: %s", before.Failover.Reason)
	}
	began := time.Now()
	killed, err := a.api.Kill(ctx, before.Primary)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.Stdout, "killed "+killed.Node); err != nil {
		return err
	}
	after, err := a.awaitTakeover(ctx, before)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s took over in epoch %d after %d ms\n", after.Primary, after.Epoch, time.Since(began).Milliseconds())
	return err
}

// awaitTakeover asks until the group serves in a later epoch, for the timeout
// at most. A reason why no
// failover is possible is told at once, and is the error if it stays: it ends
// when the killed node is started again in time.
func (a action) awaitTakeover(ctx context.Context, before wire.GroupView) (wire.GroupView, error) {
	ctx, cancel := context.WithTimeout(ctx, a.in.timeout)
	defer cancel()
	reason := ""
	for {
		now, err := a.group(ctx, before)
		switch {
		case err == nil && now.Epoch > before.Epoch && now.Serving:
			return now, nil
		case err == nil && refuses(now, before) && now.Failover.Reason != reason:
			reason = now.Failover.Reason
			fmt.Fprintln(a.Stderr, "client: nobody takes over now: "+reason)
		case err == nil && !refuses(now, before):
			reason = ""
		}
		select {
		case <-ctx.Done():
			return wire.GroupView{}, a.notTakenOver(ctx, reason)
		case <-time.After(takeoverPoll):
		}
	}
}

// group reads the view of the same group now.
func (a action) group(ctx context.Context, before wire.GroupView) (wire.GroupView, error) {
	cluster, err := a.api.Cluster(ctx)
	if err != nil {
		return wire.GroupView{}, err
	}
	for _, g := range cluster.Groups {
		if g.Group == before.Group {
			return g, nil
		}
	}
	return wire.GroupView{}, errNoGroup
}

// refuses tells whether the monitor holds a takeover from before for
// impossible.
func refuses(now, before wire.GroupView) bool {
	return now.Epoch == before.Epoch && !now.Failover.Possible && now.Failover.Reason != ""
}

func (a action) notTakenOver(ctx context.Context, reason string) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case reason != "":
		return problem.Errorf(problem.WouldLoseData, "nobody took over within %s: %s", a.in.timeout, reason)
	}
	return problem.Errorf(problem.NoPrimary, "nobody took over within %s: -status tells how things stand", a.in.timeout)
}
