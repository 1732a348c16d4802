package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"understudy.example/deploy/bench/internal/herd"
	"understudy.example/pkg/protocol"
)

// maxHerd bounds the simulated nodes.
const maxHerd = 5000

type heartbeatsSettings struct {
	common
	herd int
	span time.Duration
}

func parseHeartbeats(args []string, help io.Writer) (s heartbeatsSettings, err error) {
	fs := newFlags("heartbeats", help, &s.common)
	fs.IntVar(&s.herd, "simulated", 1000, "simulated nodes that send heartbeats, beside the real ones")
	fs.DurationVar(&s.span, "for", 20*time.Second, "how `long` to measure, once all are registered")
	if err = s.parse(fs, args); err != nil {
		return s, err
	}
	switch {
	case s.herd < 1 || s.herd > maxHerd:
		return s, fmt.Errorf("%w: -simulated %d is out of range: 1 to %d", errUsage, s.herd, maxHerd)
	case s.span < time.Second:
		return s, fmt.Errorf("%w: -for %s is out of range: at least 1s", errUsage, s.span)
	}
	return s, nil
}

// herdRow is what many nodes cost a monitor.
type herdRow struct {
	Simulated int `json:"simulated"`
	herd.Result
	CPU       float64 `json:"cpu_percent"` // of one core, at the monitor
	PerBeat   float64 `json:"cpu_us_per_heartbeat"`
	Memory    float64 `json:"resident_mib"`
	Suspected int     `json:"suspected"` // probes of nodes that were well
}

// runHeartbeats measures what a monitor's heartbeats cost with many nodes. The
// simulated ones send what a spare of a small cluster would, each on a connection of
// its own, and register as spares; there is nothing behind them.
func runHeartbeats(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseHeartbeats(args, stdout)
	if err != nil {
		return err
	}
	dir, remove, err := tempDir()
	if err != nil {
		return err
	}
	defer remove()
	sub, end, err := newSubject(ctx, dir, s.nodes, false)
	if err != nil {
		return err
	}
	defer end()
	row, err := sub.heartbeats(ctx, s, stderr)
	if err != nil {
		return err
	}
	if s.form == "json" {
		return writeJSON(stdout, row)
	}
	_, err = fmt.Fprintf(stdout, "%d simulated nodes: %.0f heartbeats per s, answered after %.0f µs (median), %.0f µs (99 %%), %.0f µs (longest), %d failed\nmonitor: %.1f %% of a core, %.1f µs each, %.1f MiB; %d retries of nodes that were well\n",
		row.Simulated, row.Rate, row.P50, row.P99, row.Max, row.Failed, row.CPU, row.PerBeat, row.Memory, row.Suspected)
	return err
}

func (s subject) heartbeats(ctx context.Context, o heartbeatsSettings, progress io.Writer) (row herdRow, err error) {
	view, err := s.View(ctx)
	if err != nil {
		return row, err
	}
	dialer := new(net.Dialer)
	h := herd.New(herd.Options{
		Nodes: o.herd, Monitor: s.monitorAddress(), Every: time.Duration(protocol.DefaultSettings().HeartbeatInterval), Cluster: view.Cluster, Dial: dialer.DialContext,
	})
	ctx, stop := context.WithCancel(ctx)
	var beating sync.WaitGroup
	defer beating.Wait()
	defer stop()
	beating.Go(func() { h.Run(ctx) })
	if err := s.awaitHerd(ctx, o, progress); err != nil {
		return row, err
	}
	retries, err := s.retries()
	if err != nil {
		return row, err
	}
	before, err := usageOf(ctx, s.Monitor())
	if err != nil {
		return row, err
	}
	h.Begin()
	if err := pass(ctx, o.span); err != nil {
		return row, err
	}
	row.Result = h.End()
	after, err := usageOf(ctx, s.Monitor())
	if err != nil {
		return row, err
	}
	row.Simulated, row.CPU, row.Memory = o.herd, 100*share(before, after), after.resident/(1<<20)
	row.PerBeat = share(before, after) / row.Rate * 1e6
	row.Suspected, err = s.retries()
	row.Suspected -= retries
	return row, err
}

// awaitHerd waits until every simulated node is registered, and a little longer.
func (s subject) awaitHerd(ctx context.Context, o heartbeatsSettings, progress io.Writer) error {
	bounded, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(o.herd)*100*time.Millisecond)
	defer cancel()
	for {
		view, err := s.View(bounded)
		if bounded.Err() != nil {
			return fmt.Errorf("the simulated nodes are not all registered: %w", bounded.Err())
		}
		if err == nil && len(view.Nodes) == o.herd+o.nodes {
			fmt.Fprintf(progress, "%d nodes are registered\n", len(view.Nodes))
			return pass(ctx, settleIdle)
		}
		if err := pass(bounded, time.Second); err != nil {
			return err
		}
	}
}

// retries counts how often the monitor has doubted a node so far, by its log.
func (s subject) retries() (int, error) {
	text, err := os.ReadFile(s.Log("m1"))
	return strings.Count(string(text), ", retrying"), err
}
