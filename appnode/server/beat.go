package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/pulse"
	"understudy.example/pkg/together"
	"understudy.example/pkg/wire"
)

const (
	// beatTimeout bounds one heartbeat. A monitor that takes longer is as good
	// as gone; the next heartbeat tries a new connection.
	beatTimeout = time.Second
	// saidFor is how long a heartbeat that was encoded for one monitor is told to the
	// others as well.
	saidFor = 5 * time.Millisecond
	// proposeTimeout bounds one attempt to reach a monitor with a proposal. The
	// core repeats what got no answer.
	proposeTimeout = 500 * time.Millisecond
	// maxAnswer bounds what is read of a monitor's answer, in bytes.
	maxAnswer = 4 << 20
)

// beat sends a heartbeat to one monitor each interval, and at once when the
// node has something new to say, and takes the registry's word from the answer.
func (n *node) beat(ctx context.Context, monitor string) error {
	sender := &pulse.Sender{Dial: n.opts.Network.Dial, Monitor: monitor, Timeout: beatTimeout}
	defer sender.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	nudge := n.nudges[slices.Index(n.opts.Monitors, monitor)]
	said, answered := "nothing yet", false
	for {
		text := ""
		if err := n.beatOnce(ctx, sender); err != nil {
			text = err.Error()
		}
		if now := text == ""; now != answered {
			n.countAnswering(now)
			answered = now
		}
		if text != said && ctx.Err() == nil {
			n.tellBeat(monitor, text)
			said = text
		}
		timer.Reset(n.untilBeat())
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-nudge:
		}
	}
}

// maxTogether bounds the nodes of a cluster that send their heartbeats at the same
// moments: of more than these a monitor would be late with its answers.
const maxTogether = 16

// untilBeat returns how long it is to the next heartbeat. All monitors are sent
// theirs at the same moments, and in a small cluster by all nodes: to wake up is
// most of what one costs.
func (n *node) untilBeat() time.Duration {
	every := n.opts.HeartbeatInterval
	if word := n.known.Load(); word != nil && len(word.Nodes) <= maxTogether {
		return together.Until(every)
	}
	return every - time.Since(n.started)%every
}

func (n *node) countAnswering(one bool) {
	if one {
		n.answering.Add(1)
	} else {
		n.answering.Add(-1)
	}
}

// tellBeat tells a change of how a monitor answers, once.
func (n *node) tellBeat(monitor, trouble string) {
	if trouble == "" {
		n.log.Info().Str("monitor", monitor).Msg("monitor answers")
		return
	}
	n.log.Warn().Str("monitor", monitor).Str("error", trouble).Msg("heartbeat not answered")
}

func (n *node) beatOnce(ctx context.Context, to *pulse.Sender) error {
	message, err := n.said.json(n.Status)
	if err != nil {
		return err
	}
	a, err := to.Send(ctx, message)
	if err != nil {
		return err
	}
	if err := wire.CheckFormat(a.V); err != nil {
		return err
	}
	n.monitors.answered(to.Monitor, a.Leads)
	// Only who decides knows for sure what it says of a corrupt replica.
	return n.assign(a, a.Leads)
}

// post sends one message to a monitor or a node and reads the answer into out.
func (n *node) post(ctx context.Context, limit time.Duration, address, path string, message, out any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode for %s: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return problem.Parse(res.StatusCode, res.Header, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("answer of %s: %w", path, err)
	}
	return nil
}

// propose hands a wish to the proposer. Only the newest is kept: it was decided
// on the newest record.
func (n *node) propose(c protocol.ChangeInSync) {
	for {
		select {
		case n.proposal <- c:
			return
		default:
		}
		select {
		case <-n.proposal:
		default:
		}
	}
}

// proposer brings the primary's wishes to the monitors. Their outcome comes
// back as a record, from here or from a heartbeat.
func (n *node) proposer(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-n.proposal:
			n.proposeTo(ctx, c)
		}
	}
}

func (n *node) proposeTo(ctx context.Context, c protocol.ChangeInSync) {
	for _, m := range n.monitors.inOrder(n.opts.Monitors) {
		var answer wire.ProposalAnswer
		err := n.post(ctx, proposeTimeout, m, wire.PathGroup, wire.Proposal{V: wire.Format, Cluster: n.dir.Cluster(), Change: c}, &answer)
		if err == nil {
			n.replica.Assign(answer.Record)
			return
		}
		n.log.Debug().Err(err).Str("monitor", m).Msg("proposal had no success")
		if problem.CodeOf(err) == problem.StaleVersion {
			n.nudge() // the answer brings the newer record
			return
		}
	}
}

// probeEvery is how often an idle disk is written to, to see that it answers.
const probeEvery = time.Second

// probeDisk writes a small file once a second, off the path of heartbeats, so
// that a stalled disk shows also without writes.
func (n *node) probeDisk(ctx context.Context) error {
	name := filepath.Join(n.opts.Data, "probe")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(together.Until(probeEvery)):
		}
		n.probeSince.Store(int64(time.Since(n.started)))
		err := n.probeOnce(name)
		n.probeSince.Store(0)
		if err != nil {
			n.log.Warn().Err(err).Msg("disk probe failed")
		}
		if n.replica != nil {
			n.replica.CheckRoom()
		}
	}
}

// probeAge returns how long the disk has left a probe unanswered.
func (n *node) probeAge() time.Duration {
	since := n.probeSince.Load()
	if since == 0 {
		return 0
	}
	return time.Since(n.started) - time.Duration(since)
}
