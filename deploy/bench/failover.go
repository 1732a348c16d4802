package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"understudy.example/deploy/bench/internal/failover"
	"understudy.example/deploy/bench/internal/rival"
)

// errBrokenPromise makes bench fail when a promise of the cluster is broken.
var errBrokenPromise = errors.New("acknowledged writes were lost, writes applied twice, or reads stale: the results name them")

// failoverSettings are the flags of bench failover.
type failoverSettings struct {
	common
	failover.Options
	kinds, ways, against []string
}

func parseFailover(args []string, help io.Writer) (s failoverSettings, err error) {
	fs := newFlags("failover", help, &s.common)
	kinds := fs.String("kinds", "kill,stop,cut,term,switchover", "how the primary ends: `kill,stop,cut,term,switchover,both`; both: with the leader of three monitors, clients asking another")
	ways := fs.String("ways", "proxy", "how clients reach it: `proxy,direct,library`, or none")
	against := fs.String("against", "", "other stores to try the same with, where their programs are found: `redis,etcd,etcd-fast`")
	fs.IntVar(&s.Trials, "trials", 10, "`number` of strikes of each kind on each way")
	fs.IntVar(&s.Writers, "writers", 16, "`number` of writers; every second one counts by compare-and-set")
	fs.IntVar(&s.Readers, "readers", 16, "`number` of readers")
	fs.DurationVar(&s.Think, "think", 2*time.Millisecond, "pause of each client between two requests")
	fs.DurationVar(&s.Settle, "settle", 500*time.Millisecond, "load before each strike; up to as much again is added at random")
	fs.DurationVar(&s.Down, "down", 3*time.Second, "how long a stop or a cut lasts")
	fs.DurationVar(&s.After, "after", 200*time.Millisecond, "load once all copies are in sync again")
	fs.DurationVar(&s.Limit, "limit", 30*time.Second, "how long a takeover may take, and the return of the node")
	if err := s.parse(fs, args); err != nil {
		return s, err
	}
	return s, s.check(*kinds, *ways, *against)
}

func (s *failoverSettings) check(kinds, ways, against string) (err error) {
	if s.kinds, err = words("kinds", kinds, failover.KindNames()...); err != nil {
		return err
	}
	if ways != "none" {
		if s.ways, err = words("ways", ways, wayNames()...); err != nil {
			return err
		}
	}
	if against != "" {
		if s.against, err = words("against", against, rival.Names()...); err != nil {
			return err
		}
	}
	switch {
	case s.Trials < 1 || s.Writers < 1 || s.Readers < 0:
		return fmt.Errorf("%w: -trials and -writers must be at least 1, and -readers not negative", errUsage)
	case s.Think < 0 || s.Settle < 0 || s.Down < 0 || s.After < 0 || s.Limit <= 0:
		return fmt.Errorf("%w: no duration may be negative, and -limit must be positive", errUsage)
	case s.nodes < 2:
		return fmt.Errorf("%w: -nodes must be at least 2, so that somebody can take over", errUsage)
	}
	return nil
}

func runFailover(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseFailover(args, stdout)
	if err != nil {
		return err
	}
	var rows []failover.Row
	var errs []error
	for _, plan := range s.plans() {
		row, err := plan.run(ctx, stderr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, %s: %w", row.Kind, row.Way, err))
		}
		if len(row.Trials) > 0 {
			row.Sum()
			rows = append(rows, row)
		}
		if ctx.Err() != nil {
			break
		}
	}
	errs = append(errs, show(stdout, rows, s.form)) // what was measured is shown in any case
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if slices.ContainsFunc(rows, func(r failover.Row) bool { return !r.Rival && r.Summary.Broken() }) {
		return errBrokenPromise
	}
	return nil
}

func show(w io.Writer, rows []failover.Row, form string) error {
	if form == "json" {
		return writeJSON(w, append([]failover.Row{}, rows...))
	}
	if len(rows) == 0 {
		return nil
	}
	return failover.Show(w, rows)
}

// plan is a row of the results before it is measured.
type plan struct {
	failover.Options
	way   string
	other bool
	nodes int
}

// plans lists what is to be measured: the cluster on each way, then the rivals,
// which know the kinds of end that a signal brings.
func (s *failoverSettings) plans() []plan {
	var all []plan
	add := func(way string, kind failover.Kind, rival bool) {
		p := plan{Options: s.Options, way: way, other: rival, nodes: s.nodes}
		p.Kind, p.Prefix = kind, "bench/"
		all = append(all, p)
	}
	for _, name := range s.kinds {
		kind := failover.KindOf(name)
		for _, way := range s.ways {
			add(way, kind, false)
		}
		for _, rival := range s.against {
			if kind.Signal {
				add(rival, kind, true)
			}
		}
	}
	return all
}

// run measures a row on a system of its own. After a failure its logs stay.
func (p plan) run(ctx context.Context, progress io.Writer) (row failover.Row, err error) {
	row = failover.Row{Kind: p.Kind.Name, Way: p.way, Rival: p.other}
	dir, remove, err := tempDir()
	if err != nil {
		return row, err
	}
	err = p.measure(ctx, dir, &row, progress)
	switch {
	case errors.Is(err, rival.ErrNotFound):
		fmt.Fprintf(progress, "%s, %s: left out: %s\n", row.Kind, row.Way, err)
		err = nil
	case err != nil && ctx.Err() == nil:
		return row, fmt.Errorf("%w (the logs are in %s)", err, dir)
	}
	remove()
	return row, err
}

func (p *plan) measure(ctx context.Context, dir string, row *failover.Row, progress io.Writer) error {
	open := p.openWay
	if p.other {
		open = p.openRival
	}
	c, end, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer end()
	return failover.Run(ctx, c, p.Options, func(t failover.Trial) {
		row.Trials = append(row.Trials, t)
		fmt.Fprintf(progress, "%s, %s, trial %d: %s to %s: longest pause %.0f ms, %d failed, %d lost, %d doubled, %d stale\n", row.Kind, row.Way,
			len(row.Trials), t.Struck, t.Successor, t.Longest(), t.Failed, len(t.Lost), len(t.Doubled), len(t.Stale))
		if p.other {
			return // it fails requests by design
		}
		for _, example := range t.Examples {
			fmt.Fprintln(progress, "  "+example)
		}
	})
}
