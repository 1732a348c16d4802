package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// carryOut does what the rules have decided.
func (c *Coordinator) carryOut(ctx context.Context) {
	for _, e := range c.monitor.Effects() {
		switch e.Kind {
		case protocol.MonitorProbe:
			c.spawn(func() { c.probe(ctx, e) })
		case protocol.MonitorPropose:
			if m := e.Command.SetMembers; m != nil && m.Kind == protocol.KindReplaced {
				c.opts.Metrics.replacing()
			}
			c.spawn(func() { c.propose(ctx, e) })
		case protocol.MonitorLog:
			c.tellStory(e)
		case protocol.MonitorFailover:
			c.tellFailover(e.Report)
		case protocol.MonitorAnswered:
			c.tellAnswered(e.Report)
		case protocol.MonitorSeal:
			cluster := c.reg.Cluster
			c.spawn(func() { c.seal(ctx, e, cluster) })
		case protocol.MonitorOrderDone:
			if e.Text != "" {
				c.opts.Metrics.aborted()
			}
			c.orderDone(e)
		case protocol.MonitorAskPeers:
			c.spawn(func() { c.askPeers(ctx, e.Node) })
		case protocol.MonitorYield:
			c.spawn(func() { c.yield(ctx, e) })
		}
	}
}

// tellStory writes one line for the operator.
func (c *Coordinator) tellStory(e protocol.MonitorEffect) {
	var line *zerolog.Event
	switch e.Level {
	case protocol.LogInfo:
		line = c.log.Info()
	case protocol.LogWarn:
		line = c.log.Warn()
	case protocol.LogError:
		line = c.log.Error()
	}
	if e.Node != "" {
		line = line.Str("subject", e.Node)
	}
	if e.Retries > 0 {
		line = line.Str("retry", fmt.Sprintf("%d/%d", e.Retry, e.Retries))
	}
	if e.Detail != "" {
		line = line.Str("detail", e.Detail)
	}
	line.Msg(e.Text)
}

func (c *Coordinator) tellFailover(f protocol.Failover) {
	line := c.log.Info().Uint64("epoch", uint64(f.Epoch)).Str("from", f.From).Str("to", f.To).Str("cause", f.Cause)
	timeline := f.Timeline()
	for _, step := range []string{"suspected", "declared", "asked", "sealed", "committed", "accepted", "serving"} {
		if ms, ok := timeline[step]; ok {
			line = line.Float64(step+"_ms", ms)
		}
	}
	line.Msg(f.Kind + " complete")
	c.opts.Metrics.failover(f)
}

func (c *Coordinator) tellAnswered(f protocol.Failover) {
	ms := f.Timeline()["first_answer"]
	c.log.Info().Uint64("epoch", uint64(f.Epoch)).Str("primary", f.To).Float64("first_answer_ms", ms).Int("held", f.Held).
		Msg("the new primary has answered its first request")
	c.opts.Metrics.answered(f, ms)
}

// probe asks a node for its heartbeat on a fresh connection.
func (c *Coordinator) probe(ctx context.Context, e protocol.MonitorEffect) {
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	hb, err := c.getHeartbeat(ctx, e.Address)
	outcome := protocol.ProbeAnswered
	var report protocol.NodeReport
	switch {
	case err == nil:
		report = reportOf(hb)
		c.log.Debug().Str("subject", e.Node).Msg("probe answered")
	case errors.Is(err, syscall.ECONNREFUSED):
		outcome = protocol.ProbeRefused
	default:
		outcome = protocol.ProbeSilent
	}
	if err == nil && hb.Name != e.Node {
		outcome = protocol.ProbeRefused // somebody else listens there now
	}
	c.tell(func(now time.Time) { c.monitor.ProbeDone(e.Node, e.Probe, outcome, report, now) })
}

func (c *Coordinator) getHeartbeat(ctx context.Context, address string) (*wire.Heartbeat, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+wire.PathProbe, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.probes.Do(req)
	if err != nil {
		return nil, err
	}
	return readHeartbeat(res)
}

func readHeartbeat(res *http.Response) (*wire.Heartbeat, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, problem.Parse(res.StatusCode, res.Header, body)
	}
	var hb wire.Heartbeat
	if err := json.Unmarshal(body, &hb); err != nil {
		return nil, err
	}
	return &hb, wire.CheckFormat(hb.V)
}

// propose applies a command. What becomes of it shows in the registry.
func (c *Coordinator) propose(ctx context.Context, e protocol.MonitorEffect) {
	ctx, cancel := context.WithTimeout(ctx, applyDeadline)
	defer cancel()
	if _, err := c.opts.Registry.Apply(ctx, e.Command); err != nil && ctx.Err() == nil {
		c.log.Warn().Err(err).Str("subject", e.Node).Msg("the registry did not take the command")
	}
}

// push hands a node the registry's newest word at once. A push that is lost is
// made good by the answer to the next heartbeat. Its answer is one to question.
func (c *Coordinator) push(ctx context.Context, n protocol.NodeEntry, a *wire.Assignment, question uint64) {
	ctx, cancel := context.WithTimeout(ctx, pushDeadline)
	defer cancel()
	body, err := json.Marshal(a)
	if err != nil {
		c.log.Error().Err(err).Msg("assignment not encoded")
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.Address+wire.PathAssign, bytes.NewReader(body))
	if err != nil {
		c.log.Error().Err(err).Str("subject", n.Name).Msg("assignment not pushed")
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		c.log.Debug().Err(err).Str("subject", n.Name).Msg("assignment not pushed")
		return
	}
	hb, err := readHeartbeat(res)
	if err != nil {
		c.log.Debug().Err(err).Str("subject", n.Name).Msg("assignment not answered")
		return
	}
	report := reportOf(hb)
	c.tell(func(now time.Time) {
		if no := c.monitor.HeardAnswer(report, question, now); no != nil {
			c.log.Warn().Str("subject", n.Name).Str("detail", no.Detail).Msg("assignment answered by a stranger")
		}
	})
}

// reportOf takes from a heartbeat what the rules go by.
func reportOf(hb *wire.Heartbeat) protocol.NodeReport {
	n := protocol.NodeReport{
		Cluster: hb.Cluster, Name: hb.Name, UUID: hb.UUID, Boot: hb.Boot, Address: hb.Address, Priority: hb.Priority,
		State: hb.State, Stopping: hb.Stopping, DiskFull: hb.Disk.Full, DiskFailed: hb.Disk.Failed,
		DiskAge: time.Duration(hb.Disk.OldestUnsyncedMS) * time.Millisecond,
	}
	n.Seen = make(map[string]time.Duration, len(hb.SeenMS))
	for name, ms := range hb.SeenMS {
		n.Seen[name] = time.Duration(ms) * time.Millisecond
	}
	n.Knows = hb.Knows
	for _, g := range hb.Groups {
		n.Groups = append(n.Groups, protocol.GroupReport{Group: g.Group, Epoch: g.Epoch, Version: g.Version, Position: g.Position, Serving: g.Serving})
	}
	return n
}
