package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/deploy/internal/cluster"
)

const (
	// leaderWithin is how soon one of three monitors that start at once leads.
	leaderWithin = time.Second
	// leaderAtLast is how long is waited for it in any case.
	leaderAtLast = 15 * time.Second
	leaderPoll   = 5 * time.Millisecond
)

var errLate = errors.New("a leader came too late")

// starts has three monitors start at once, again and again, each time as a new
// cluster, and tells how long it takes until one of them leads.
func starts(ctx context.Context, s settings, binaries cluster.Binaries, stdout io.Writer) error {
	var took []time.Duration
	late := 0
	for i := range s.starts {
		dir := filepath.Join(s.dir, fmt.Sprintf("start-%d", i+1))
		d, err := startOnce(ctx, binaries, dir)
		if err != nil {
			return fmt.Errorf("start %d: %w", i+1, err)
		}
		took = append(took, d)
		note := ""
		if d > leaderWithin {
			note, late = " (late)", late+1
		} else if err := os.RemoveAll(dir); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "start %d: a leader after %s%s\n", i+1, d.Round(time.Millisecond), note)
	}
	slices.Sort(took)
	fmt.Fprintf(stdout, "%d starts: a leader after %s (median), %s (longest), %d later than %s\n",
		len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), late, leaderWithin)
	if late > 0 {
		return errLate
	}
	return nil
}

// startOnce starts a cluster and returns how long it took until a monitor led.
func startOnce(ctx context.Context, binaries cluster.Binaries, dir string) (time.Duration, error) {
	began := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{Binaries: binaries, Nodes: 1, Monitors: 3, Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, leaderAtLast)
	defer cancel()
	for {
		if view, err := c.View(ctx); err == nil && view.Leader != "" {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no monitor leads after %s", time.Since(began).Round(time.Millisecond))
		case <-time.After(leaderPoll):
		}
	}
}
