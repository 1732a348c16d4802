package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"understudy.example/deploy/bench/internal/failover"
)

// errBrokenPromise makes bench fail when a promise of the cluster is broken.
var errBrokenPromise = errors.New("acknowledged writes were lost, or writes applied twice: the results name them")

func runFailover(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c common
	fs := newFlags("failover", stdout, &c)
	through := fs.String("through", "monitor", "where writers send: `monitor or direct`")
	var opts failover.Options
	fs.IntVar(&opts.Trials, "trials", 10, "`number` of kills")
	fs.IntVar(&opts.Writers, "writers", 8, "`number` of writers")
	fs.DurationVar(&opts.Settle, "settle", 500*time.Millisecond, "load before each kill; up to as much again is added at random")
	fs.DurationVar(&opts.After, "after", 200*time.Millisecond, "load once every writer is served again")
	fs.DurationVar(&opts.Limit, "limit", 15*time.Second, "how long a takeover may take, and the return of the killed node")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if _, err := words("through", *through, "monitor", "direct"); err != nil {
		return err
	}
	if opts.Trials < 1 || opts.Writers < 1 || opts.Settle < 0 || opts.After < 0 || opts.Limit <= 0 || c.nodes < 2 {
		return fmt.Errorf("%w: -trials and -writers must be at least 1, -nodes at least 2, and no duration negative", errUsage)
	}
	s, end, err := newSubject(ctx, c.nodes)
	if err != nil {
		return err
	}
	defer end()
	opts.Target = func(context.Context) (string, error) { return s.monitorAddress(), nil }
	if *through == "direct" {
		opts.Target = func(ctx context.Context) (string, error) {
			_, address, err := s.Primary(ctx)
			return address, err
		}
	}
	return tryFailover(ctx, s, opts, c.form, stdout, stderr)
}

func tryFailover(ctx context.Context, c failover.Cluster, opts failover.Options, form string, stdout, stderr io.Writer) error {
	var trials []failover.Trial
	err := failover.Run(ctx, c, opts, func(t failover.Trial) {
		trials = append(trials, t)
		fmt.Fprintf(stderr, "trial %d: %s to %s, %.0f ms without an acknowledgement\n", len(trials), t.Killed, t.Successor, t.Outage)
	})
	if len(trials) > 0 {
		err = errors.Join(err, showFailover(stdout, trials, form)) // what was measured is shown in any case
	}
	if err == nil && slices.ContainsFunc(trials, func(t failover.Trial) bool { return len(t.Lost)+len(t.Doubled) > 0 }) {
		err = errBrokenPromise
	}
	return err
}

func showFailover(w io.Writer, trials []failover.Trial, form string) error {
	if form == "json" {
		return writeJSON(w, trials)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "trial\tkilled\tsuccessor\toutage ms\twriter median ms\twriter max ms\tacknowledged\trefused\tbroken\tlost\tdoubled\t")
	var outages []float64
	for i, r := range trials {
		fmt.Fprintf(t, "%d\t%s\t%s\t%.0f\t%.0f\t%.0f\t%d\t%d\t%d\t%d\t%d\t\n", i+1, r.Killed, r.Successor,
			r.Outage, r.WriterMedian, r.WriterMax, r.Acknowledged, r.Refused, r.Broken, len(r.Lost), len(r.Doubled))
		outages = append(outages, r.Outage)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range trials {
		for _, fault := range slices.Concat(r.Lost, r.Doubled) {
			fmt.Fprintln(w, "  "+fault)
		}
	}
	slices.Sort(outages)
	_, err := fmt.Fprintf(w, "\noutage: median %.0f ms, longest %.0f ms of %d trials\n", failover.Median(outages), outages[len(outages)-1], len(outages))
	return err
}
