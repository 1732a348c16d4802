package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/daemon"
)

// readyWithin bounds how long a new cluster may take until it serves.
const readyWithin = 15 * time.Second

// run starts a cluster, shows it, and keeps it until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseSettings(args, stdout)
	if err != nil {
		return err
	}
	log, err := daemon.NewLogger(stderr, "console", s.logLevel)
	if err != nil {
		return usageError{err}
	}
	binaries, err := cluster.Build(ctx)
	if err != nil {
		return quietIfStopped(ctx, err)
	}
	dir, remove, err := directory(s.dir)
	if err != nil {
		return err
	}
	err = keep(ctx, cluster.Options{
		Binaries: binaries,
		Nodes:    s.nodes, Monitors: s.monitors, WantCopies: s.copies,
		MonitorFlags: []string{"-topology", s.topology, "-reads", s.reads},
		Dir:          dir, Port: s.port, Respawn: s.respawn, Profile: s.profile,
		Output: stderr, Log: log,
	}, stdout)
	if err == nil {
		remove() // after a failure the logs are still wanted
	}
	return err
}

// keep runs the cluster until ctx ends.
func keep(ctx context.Context, opts cluster.Options, stdout io.Writer) error {
	began := time.Now()
	c, err := cluster.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer c.Close()
	waiting, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := c.WaitReady(waiting); err != nil {
		return quietIfStopped(ctx, err)
	}
	if err := introduce(stdout, c, time.Since(began)); err != nil {
		return err
	}
	<-ctx.Done()
	_, err = fmt.Fprintln(stdout, "\nstopping the monitors, then the nodes")
	return err
}

// quietIfStopped drops an error that comes of being told to stop.
func quietIfStopped(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// directory returns the named directory, or a temporary one that is removed at
// the end.
func directory(named string) (dir string, remove func(), err error) {
	if named != "" {
		return named, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "understudy-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// introduce shows the processes, and what to try next.
func introduce(w io.Writer, c *cluster.Cluster, took time.Duration) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROLE\tURL\tPID")
	for _, p := range c.Processes() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", p.Name, p.Role, p.URL, p.PID)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var addresses []string
	for _, url := range c.Monitors() {
		addresses = append(addresses, strings.TrimPrefix(url, "http://"))
	}
	flag := ""
	if monitors := strings.Join(addresses, ","); monitors != "127.0.0.1:8080" {
		flag = " -monitor " + monitors
	}
	_, err := fmt.Fprintf(w, `
ready after %.1f s; data and logs are in %s; Ctrl-C stops everything. Try, from another terminal:

  go run ./client%[3]s -status
  go run ./client%[3]s -put name=Grace
  go run ./client%[3]s -kill-primary
`, took.Seconds(), c.Dir(), flag)
	return err
}
