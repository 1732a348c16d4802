package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"understudy.example/pkg/wire"
)

const readyPoll = 20 * time.Millisecond

// WaitReady waits until a primary serves and as many copies as are wanted are
// in sync. When ctx ends first, or a process ended that will not be started
// again, the error says what is missing.
func (c *Cluster) WaitReady(ctx context.Context) error {
	for {
		view, err := c.View(ctx)
		lack := missing(view, c.opts.WantCopies)
		if err != nil {
			lack = "the monitor does not answer: " + err.Error()
		}
		if lack == "" {
			return nil
		}
		if dead := c.dead(); dead != "" {
			return errors.New(dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not ready: %s (the logs are in %s)", lack, c.opts.Dir)
		case <-time.After(readyPoll):
		}
	}
}

// View asks the monitors for the state of the cluster, until one answers that knows
// of a leader; where none does, it is what one of them said.
func (c *Cluster) View(ctx context.Context) (view wire.Cluster, err error) {
	answered := false
	for _, monitor := range c.Monitors() {
		var said wire.Cluster
		if failed := c.get(ctx, monitor+"/v1/cluster", nil, &said); failed != nil {
			err = failed
			continue
		}
		answered = true
		if view = said; view.Leader != "" {
			break
		}
	}
	if answered {
		err = nil
	}
	return view, err
}

// missing says what a cluster lacks to be ready, or "".
func missing(view wire.Cluster, copies int) string {
	switch {
	case view.Leader == "":
		return "no monitor leads yet" // and what they show may be an older state
	case len(view.Groups) == 0:
		return "no node has joined yet"
	}
	g := view.Groups[0]
	switch {
	case g.Primary == "":
		return "group 0 has no primary: " + g.Failover.Reason
	case !g.Serving:
		return g.Primary + " is the primary, but does not serve yet"
	case len(g.InSync) < copies:
		return fmt.Sprintf("%d copies are wanted, and in sync are %s", copies, strings.Join(g.InSync, ", "))
	}
	return ""
}

// dead names a process that has ended for good, or "".
func (c *Cluster) dead() string {
	for _, p := range c.processes {
		if end := p.ended(); end != "" && !c.comesBack(p) {
			return fmt.Sprintf("%s has ended (%s); its log is %s", p.name, end, p.log)
		}
	}
	return ""
}
