package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"understudy.example/monitor/internal/registry"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Bounds of what operators ask.
const (
	// orderDeadline bounds a change of the primary: the rules give it up earlier.
	orderDeadline = 10 * time.Second
	sealDeadline  = 3 * time.Second
	maxFreeze     = time.Minute
)

// ended is how an order ended.
type ended struct {
	report protocol.Failover
	why    string // it was given up; empty: it was carried out
}

// Switchover changes the primary with its help.
func (c *Coordinator) Switchover(ctx context.Context, o wire.ChangeOrder, by string) (wire.PrimaryChanged, error) {
	return c.change(ctx, func(now time.Time) (uint64, string, *protocol.Refusal) {
		n, no := c.monitor.Switchover(orderOf(o, by), now)
		return n, "", no
	})
}

// Failover changes the primary without its help; forced, to a replica that may
// lack acknowledged writes.
func (c *Coordinator) Failover(ctx context.Context, o wire.ChangeOrder, by string) (wire.PrimaryChanged, error) {
	return c.change(ctx, func(now time.Time) (uint64, string, *protocol.Refusal) {
		if o.Force {
			return c.monitor.Override(orderOf(o, by), o.PrimaryIsStopped, now)
		}
		n, no := c.monitor.FailOver(orderOf(o, by), now)
		return n, "", no
	})
}

func orderOf(o wire.ChangeOrder, by string) protocol.Order {
	return protocol.Order{Group: o.Group, To: o.To, Reason: o.Reason, By: by}
}

// change gives an order to the rules and waits for its end.
func (c *Coordinator) change(ctx context.Context, give func(time.Time) (uint64, string, *protocol.Refusal)) (wire.PrimaryChanged, error) {
	ctx, cancel := context.WithTimeout(ctx, orderDeadline)
	defer cancel()
	done := make(chan ended, 1)
	var order uint64
	var loss string
	var refusal *protocol.Refusal
	err := c.ask(func(now time.Time) {
		if order, loss, refusal = give(now); refusal == nil {
			c.orders[order] = done
		}
	})
	switch {
	case err != nil:
		return wire.PrimaryChanged{}, err
	case refusal != nil:
		return wire.PrimaryChanged{}, refusal
	}
	select {
	case e := <-done:
		if e.why != "" {
			return wire.PrimaryChanged{}, problem.Errorf(problem.StaleVersion, "given up: %s", e.why)
		}
		f := e.report
		return wire.PrimaryChanged{Group: f.Group, Kind: f.Kind, From: f.From, To: f.To, Epoch: f.Epoch, Loss: loss, TimelineMS: f.Timeline()}, nil
	case <-c.done: // nobody tells its end here any more
		return wire.PrimaryChanged{}, problem.Errorf(problem.OutcomeUnknown, "this monitor is stopping, and the end of the change was not waited for: the history tells")
	case <-ctx.Done():
		c.tell(func(time.Time) { delete(c.orders, order) })
		return wire.PrimaryChanged{}, problem.Errorf(problem.OutcomeUnknown, "the change goes on, and its end was not waited for: the history tells")
	}
}

// orderDone tells whoever waits for an order. c.mu is held.
func (c *Coordinator) orderDone(e protocol.MonitorEffect) {
	if done := c.orders[e.Order]; done != nil {
		done <- ended{e.Report, e.Text}
		delete(c.orders, e.Order)
	}
}

// seal asks the primary to let a standby take over.
func (c *Coordinator) seal(ctx context.Context, e protocol.MonitorEffect, cluster string) {
	a := protocol.SealAnswer{Group: e.Group, Order: e.Order}
	var answer wire.SealAnswer
	err := c.post(ctx, sealDeadline, e.Address, wire.PathSeal, wire.SealOrder{V: wire.Format, Cluster: cluster, Group: e.Group, Epoch: e.Epoch, To: e.To}, &answer)
	if err == nil {
		a.Position, err = answer.Position, wire.CheckFormat(answer.V)
	}
	if err != nil {
		a.Err = err.Error()
	}
	c.tell(func(now time.Time) { c.monitor.SealAnswered(a, now) })
}

// SetMaintenance takes a node out of the in-sync sets, or ends that.
func (c *Coordinator) SetMaintenance(ctx context.Context, name string, on bool) (wire.Maintenance, error) {
	if _, ok := c.opts.Registry.State().Nodes[name]; !ok {
		return wire.Maintenance{}, noNode(name)
	}
	err := c.apply(ctx, protocol.Command{SetMaintained: &protocol.SetMaintenance{Node: name, On: on}})
	return wire.Maintenance{Node: name, On: on}, err
}

// Configure changes the settings that a JSON merge patch names, all or none.
func (c *Coordinator) Configure(ctx context.Context, patch []byte) (protocol.Settings, error) {
	old := c.opts.Registry.State().Settings
	next := old
	dec := json.NewDecoder(bytes.NewReader(patch))
	dec.DisallowUnknownFields()
	err := dec.Decode(&next)
	wrong, mistyped := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case err == nil && dec.More():
		err = errors.New("something follows the object")
	case errors.Is(err, io.EOF):
		err = errors.New("there are none")
	case mistyped:
		err = fmt.Errorf("%s cannot be a JSON %s", cmp.Or(wrong.Field, "what names them"), wrong.Value)
	}
	if err != nil {
		return old, problem.Errorf(problem.BadRequest, "the settings are not valid: %v; GET /v1/cluster shows all of them", err)
	}
	if err := c.apply(ctx, protocol.Command{SetConfig: &protocol.SetConfig{Settings: next, Over: &old}}); err != nil {
		return old, err
	}
	return next, nil
}

func (c *Coordinator) apply(ctx context.Context, cmd protocol.Command) error {
	ctx, cancel := context.WithTimeout(ctx, applyDeadline)
	defer cancel()
	_, err := c.opts.Registry.Apply(ctx, cmd)
	_, refused := errors.AsType[*protocol.Refusal](err)
	switch {
	case err == nil || refused:
		return err
	case errors.Is(err, registry.ErrOutcomeUnknown):
		return problem.Errorf(problem.OutcomeUnknown, "%v: look how things are before you ask again", err)
	case errors.Is(err, registry.ErrNotLeader):
		return problem.Errorf(problem.NoLeader, "the registry did not take it: %v", err)
	}
	return problem.Errorf(problem.Overloaded, "the registry did not take it: %v", err)
}

// Freeze has a node or a monitor stand still for a while, as if it hung.
func (c *Coordinator) Freeze(ctx context.Context, name string, d time.Duration) (wire.Freeze, error) {
	n, ok := c.opts.Registry.State().Nodes[name]
	if !ok && c.opts.Peers != nil {
		n.Address, ok = c.opts.Peers.AddressOf(name)
	}
	switch {
	case !ok:
		return wire.Freeze{}, noNode(name)
	case d <= 0 || d > maxFreeze:
		return wire.Freeze{}, problem.Errorf(problem.BadRequest, "a process is frozen for up to %s, not for %s", maxFreeze, d)
	}
	var answer wire.Freeze
	err := c.post(ctx, killDeadline, n.Address, "/v1/freeze", wire.Freeze{For: protocol.Duration(d)}, &answer)
	if err != nil {
		return wire.Freeze{}, err
	}
	c.log.Warn().Str("subject", name).Dur("for_ms", d).Msg("frozen by an operator")
	return answer, nil
}

func noNode(name string) error { return problem.Errorf(problem.NotFound, "no node is named %q", name) }

// post sends a node one message and reads the answer into out. The error is a
// *problem.Error.
func (c *Coordinator) post(ctx context.Context, limit time.Duration, address, path string, message, out any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body, err := json.Marshal(message)
	if err != nil {
		return problem.Errorf(problem.BadRequest, "encode for %s: %v", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return problem.Errorf(problem.BadRequest, "address %q: %v", address, err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return problem.Errorf(problem.NoPrimary, "%s does not answer: %v", address, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return problem.Errorf(problem.NoPrimary, "%s does not answer: %v", address, err)
	case res.StatusCode >= http.StatusBadRequest:
		return problem.Parse(res.StatusCode, res.Header, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return problem.Errorf(problem.BadRequest, "the answer of %s is not valid: %v", address, err)
	}
	return nil
}
