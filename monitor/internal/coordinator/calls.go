package coordinator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Heartbeat takes a node's heartbeat and answers with the registry's newest
// word.
func (c *Coordinator) Heartbeat(conn any, hb *wire.Heartbeat) (*wire.Assignment, error) {
	report := reportOf(hb)
	var refusal *protocol.Refusal
	err := c.ask(func(now time.Time) {
		refusal = c.monitor.Heard(report, now)
		if refusal == nil && conn != nil {
			c.current[hb.Name] = conn
			c.conns[conn] = beating{hb.Name, hb.Boot}
		}
		c.show(hb)
	})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, refusal
	}
	return c.word(), nil
}

// show remembers a registered node's message for people. c.mu is held.
func (c *Coordinator) show(hb *wire.Heartbeat) {
	if n, ok := c.reg.Nodes[hb.Name]; ok && n.UUID == hb.UUID && n.Boot == hb.Boot {
		last := c.shown[hb.Name]
		c.stale = c.stale || last == nil || moved(last.message, hb)
		c.shown[hb.Name] = &shown{message: hb, skew: hb.Sent.Sub(time.Now().Round(0))}
	}
}

// moved tells whether a node's copies have moved on between two messages: another
// may be the one to read from.
func moved(before, now *wire.Heartbeat) bool {
	return !slices.EqualFunc(before.Groups, now.Groups, func(a, b wire.GroupStatus) bool { return a.Position == b.Position })
}

// ConnClosed tells that a connection that carried heartbeats has closed. Only
// the one that a node used last says anything about it.
func (c *Coordinator) ConnClosed(conn any) {
	c.tell(func(now time.Time) {
		b, ok := c.conns[conn]
		delete(c.conns, conn)
		if ok && c.current[b.name] == conn {
			delete(c.current, b.name)
			c.monitor.ConnClosed(b.name, b.boot, now)
		}
	})
}

// Propose has the registry judge a primary's wish.
func (c *Coordinator) Propose(ctx context.Context, p *wire.Proposal) (wire.ProposalAnswer, error) {
	if err := wire.CheckFormat(p.V); err != nil {
		return wire.ProposalAnswer{}, err
	}
	if have := c.opts.Registry.State().Cluster; p.Cluster != have {
		return wire.ProposalAnswer{}, problem.Errorf(problem.WrongCluster, "the proposal is of cluster %s, and this monitor of cluster %s", p.Cluster, have)
	}
	reg, err := c.opts.Registry.Apply(ctx, protocol.Command{ChangeInSync: &p.Change})
	if err != nil {
		if _, ok := errors.AsType[*protocol.Refusal](err); ok {
			return wire.ProposalAnswer{}, err
		}
		return wire.ProposalAnswer{}, problem.Errorf(problem.Overloaded, "the registry did not take the proposal: %v", err)
	}
	return wire.ProposalAnswer{V: wire.Format, Record: reg.Groups[p.Change.Group]}, nil
}

// History returns the cluster's history.
func (c *Coordinator) History() wire.History {
	reg := c.opts.Registry.State()
	h := wire.History{Cluster: reg.Cluster, Events: reg.History}
	if h.Events == nil {
		h.Events = []protocol.HistoryEvent{}
	}
	return h
}

// Ready returns why this monitor cannot do its work now, or nil.
func (c *Coordinator) Ready() error {
	switch {
	case c.opts.Registry.LeaderName() == "":
		return errors.New("this monitor has no contact to a leader")
	case !c.opts.Registry.Leader() && !c.opts.Registry.Informed():
		return errors.New("this monitor does not know yet all that the leader knows")
	}
	learning := false
	err := c.ask(func(now time.Time) { learning = c.monitor.Learning(now) })
	if err == nil && learning {
		err = errors.New("this monitor has just started and learns who is there")
	}
	return err
}

// Kill has a node end its process at once.
func (c *Coordinator) Kill(ctx context.Context, name string) error {
	n, ok := c.opts.Registry.State().Nodes[name]
	if !ok {
		return noNode(name)
	}
	ctx, cancel := context.WithTimeout(ctx, killDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.Address+"/v1/kill", nil)
	if err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return problem.Errorf(problem.NoPrimary, "%s does not answer at %s: %v", name, n.Address, err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // it is being killed: the status is enough
	if res.StatusCode >= http.StatusBadRequest {
		return problem.Parse(res.StatusCode, res.Header, body)
	}
	c.log.Warn().Str("subject", name).Msg("node killed by an operator")
	return nil
}
