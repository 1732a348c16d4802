package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// askTimeout bounds a question to a process that is measured.
const askTimeout = 5 * time.Second

// settleIdle is how long a new cluster is left alone before it is measured.
const settleIdle = 5 * time.Second

type idleSettings struct {
	common
	monitors int
	span     time.Duration
	most     float64 // percent of one core; 0: only told
}

// idleRow is what one process used.
type idleRow struct {
	Name   string  `json:"name"`
	CPU    float64 `json:"cpu_percent"`  // of one core
	Memory float64 `json:"resident_mib"` // at the end
}

func parseIdle(args []string, help io.Writer) (s idleSettings, err error) {
	fs := newFlags("idle", help, &s.common)
	fs.IntVar(&s.monitors, "monitors", 3, "monitors of the cluster, `1 to 5`")
	fs.DurationVar(&s.span, "for", 30*time.Second, "how `long` to measure")
	fs.Float64Var(&s.most, "at-most", 0, "fail above so many `percent` of one core in all (0: never)")
	if err = s.parse(fs, args); err != nil {
		return s, err
	}
	switch {
	case s.monitors < 1 || s.monitors > 5:
		return s, fmt.Errorf("%w: -monitors %d is out of range: 1 to 5", errUsage, s.monitors)
	case s.span < time.Second:
		return s, fmt.Errorf("%w: -for %s is out of range: at least 1s", errUsage, s.span)
	case s.most < 0:
		return s, fmt.Errorf("%w: -at-most %g is out of range: above 0, or 0 for never", errUsage, s.most)
	}
	return s, nil
}

// runIdle measures what a cluster costs that nobody asks anything.
func runIdle(ctx context.Context, args []string, stdout, _ io.Writer) error {
	s, err := parseIdle(args, stdout)
	if err != nil {
		return err
	}
	dir, remove, err := tempDir()
	if err != nil {
		return err
	}
	defer remove()
	sub, end, err := newSubjectOf(ctx, dir, s.nodes, s.monitors, false)
	if err != nil {
		return err
	}
	defer end()
	if err := pass(ctx, settleIdle); err != nil {
		return err
	}
	rows, err := sub.idle(ctx, s.span)
	if err != nil {
		return err
	}
	total := 0.0
	for _, r := range rows {
		total += r.CPU
	}
	if err := showIdle(stdout, rows, total, s.form); err != nil {
		return err
	}
	if s.most > 0 && total > s.most {
		return fmt.Errorf("the idle cluster uses %.2f %% of one core, and at most %.2f %% were allowed", total, s.most)
	}
	return nil
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s subject) idle(ctx context.Context, span time.Duration) ([]idleRow, error) {
	all := s.Processes()
	before := make([]used, len(all))
	for i, p := range all {
		var err error
		if before[i], err = usageOf(ctx, p.URL); err != nil {
			return nil, err
		}
	}
	if err := pass(ctx, span); err != nil {
		return nil, err
	}
	rows := make([]idleRow, len(all))
	for i, p := range all {
		after, err := usageOf(ctx, p.URL)
		if err != nil {
			return nil, err
		}
		rows[i] = idleRow{Name: p.Name, CPU: 100 * share(before[i], after), Memory: after.resident / (1 << 20)}
	}
	return rows, nil
}

func showIdle(w io.Writer, rows []idleRow, total float64, form string) error {
	if form == "json" {
		return writeJSON(w, rows)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "process\t% of a core\tMiB\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.2f\t%.1f\t\n", r.Name, r.CPU, r.Memory)
	}
	fmt.Fprintf(t, "all\t%.2f\t\t\n", total)
	return t.Flush()
}
