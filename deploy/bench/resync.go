package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/resync"
	"understudy.example/deploy/internal/cluster"
)

// errDisturbed makes bench fail where filling a node cost a client something.
var errDisturbed = errors.New("requests failed, writes were lost, or writers waited for too long: the results name them")

// resyncSettings are the flags of bench resync.
type resyncSettings struct {
	common
	size    byteSize
	value   int
	clients int
	readers int
	through string
	settle  time.Duration
	span    time.Duration
	limit   time.Duration
	bound   time.Duration
	dir     string
}

func parseResync(args []string, help io.Writer) (s resyncSettings, err error) {
	s.size = 1 << 30
	fs := newFlags("resync", help, &s.common)
	fs.Var(&s.size, "size", "`bytes` of values in the map; KiB, MiB and GiB are known")
	value := byteSize(4 << 10)
	fs.Var(&value, "value", "size of a value in `bytes`")
	fs.IntVar(&s.clients, "clients", 16, "`number` of writers")
	fs.IntVar(&s.readers, "readers", 2, "`number` of readers")
	fs.StringVar(&s.through, "through", "direct", "where requests go: `direct or monitor`")
	fs.DurationVar(&s.settle, "settle", 20*time.Second, "rest after the map has been filled: disks keep much in memory that they say is written")
	fs.DurationVar(&s.span, "for", 10*time.Second, "load before the node is started, and once it is in sync")
	fs.DurationVar(&s.limit, "limit", 5*time.Minute, "how long the node may take to be in sync")
	fs.DurationVar(&s.bound, "pause", 0, "fail if a writer waits for longer than this once the node has been started (0: any wait is well)")
	fs.StringVar(&s.dir, "dir", "", "`directory` on the disk to measure, for what is removed at the end (default: that for temporary files)")
	if err := s.parse(fs, args); err != nil {
		return s, err
	}
	s.value = int(value)
	switch {
	case s.nodes < 2:
		err = fmt.Errorf("%w: -nodes must be at least 2: one of them is filled by another", errUsage)
	case s.value < resync.LeastValue || s.value > 1<<20 || int64(s.size) < int64(s.value):
		err = fmt.Errorf("%w: -value must be %d to 1048576, and -size at least as much", errUsage, resync.LeastValue)
	case s.clients < 1 || s.readers < 0 || s.clients > 10_000 || s.readers > 10_000:
		err = fmt.Errorf("%w: -clients must be 1 to 10000, and -readers 0 to 10000", errUsage)
	case s.through != "direct" && s.through != "monitor":
		err = fmt.Errorf("%w: -through %q is not known: direct or monitor", errUsage, s.through)
	case s.span <= 0 || s.limit <= 0 || s.bound < 0 || s.settle < 0:
		err = fmt.Errorf("%w: -for and -limit must be positive, and -pause and -settle not negative", errUsage)
	}
	return s, err
}

// byteSize is a number of bytes on the command line.
type byteSize int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

var _ flag.Value = (*byteSize)(nil)

func (b *byteSize) String() string {
	for _, u := range units {
		if *b != 0 && int64(*b)%u.bytes == 0 {
			return strconv.FormatInt(int64(*b)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

// Set implements [flag.Value].
func (b *byteSize) Set(s string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > 1<<40/u.bytes {
			return fmt.Errorf("%q is not a size from 1 to 1024GiB, such as 256MiB", s)
		}
		*b = byteSize(n * u.bytes)
		return nil
	}
	return nil
}

func runResync(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseResync(args, stdout)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "understudy-resync-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer os.RemoveAll(dir)
	f, end, err := newFilled(ctx, dir, s.nodes)
	if err != nil {
		return err
	}
	defer end()
	report, err := f.measure(ctx, s, stderr)
	if err != nil {
		return err
	}
	if err := f.print(report, s.form, stdout); err != nil {
		return err
	}
	if report.Failed > 0 || len(report.Wrong) > 0 || s.bound > 0 && report.Worst > s.bound {
		return errDisturbed
	}
	return nil
}

// filled is a cluster one node of which is away and comes back empty.
type filled struct {
	*cluster.Cluster
	primary string // its address
	away    string // the node's name
}

// newFilled starts a cluster and takes a standby away from it, with its data.
func newFilled(ctx context.Context, dir string, nodes int) (f filled, end func(), err error) {
	binaries, err := cluster.Build(ctx)
	if err != nil {
		return f, nil, err
	}
	f.Cluster, err = cluster.Start(ctx, cluster.Options{
		Binaries: binaries, Nodes: nodes, Monitors: 1, Dir: dir, Log: zerolog.Nop(),
		// Nobody is to take the place of the node that is away.
		MonitorFlags: []string{"-replace-after", "0"},
	})
	if err != nil {
		return f, nil, err
	}
	if err := f.takeAway(ctx); err != nil {
		f.Close()
		return f, nil, err
	}
	return f, f.Close, nil
}

func (f *filled) takeAway(ctx context.Context) error {
	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := f.WaitReady(ready); err != nil {
		return err
	}
	view, err := f.View(ctx)
	if err != nil {
		return err
	}
	name, address, err := primary(view)
	if err != nil {
		return err
	}
	f.primary = address
	for _, n := range f.Nodes() {
		if n != name {
			f.away = n
		}
	}
	if err := f.Terminate(f.away); err != nil {
		return err
	}
	return os.RemoveAll(f.Data(f.away))
}

// InSync implements [resync.Cluster].
func (f *filled) InSync(ctx context.Context) (bool, error) {
	view, err := f.View(ctx)
	return err == nil && len(view.Groups) > 0 && slices.Contains(view.Groups[0].InSync, f.away), err
}

// Join implements [resync.Cluster].
func (f *filled) Join() error { return f.Start(f.away) }

// Processes implements [resync.Cluster].
func (f *filled) Processes() []resync.Process {
	var all []resync.Process
	for _, p := range f.Cluster.Processes() {
		all = append(all, resync.Process{Name: p.Name, PID: p.PID, Dir: f.Data(p.Name)})
	}
	return all
}

func (f *filled) measure(ctx context.Context, s resyncSettings, stderr io.Writer) (*resync.Report, error) {
	keys := resync.NewKeys(int64(s.size), s.value)
	began := time.Now()
	if err := keys.Fill(ctx, f.primary); err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "filled with %s in %.1f s\n", s.size.String(), time.Since(began).Seconds())
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.settle):
	}
	address := f.primary
	if s.through == "monitor" {
		address = strings.TrimPrefix(f.Monitor(), "http://")
	}
	report, err := resync.Run(ctx, resync.Options{
		Cluster: f, Keys: keys, Writers: s.clients, Readers: s.readers, For: s.span, Limit: s.limit,
		Open:   func() call.Caller { return call.NewHTTP(call.At(address), loadTimeout) },
		Second: func(sec resync.Second) { f.tell(stderr, sec) },
	})
	if err != nil {
		return nil, err
	}
	quiet, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	if err := f.WaitQuiet(quiet); err != nil {
		return nil, err
	}
	for _, n := range f.Nodes() {
		wrong, err := keys.Check(ctx, strings.TrimPrefix(f.Node(n), "http://"))
		if err != nil {
			return nil, err
		}
		for _, w := range wrong {
			report.Wrong = append(report.Wrong, n+": "+w)
		}
	}
	report.Restart, err = f.restart(quiet)
	return report, err
}

// restart kills the node and tells how long its next process takes to be in sync,
// in seconds.
func (f *filled) restart(ctx context.Context) (float64, error) {
	if err := f.Kill(f.away); err != nil {
		return 0, err
	}
	for in := true; in; {
		time.Sleep(againAfter) // and InSync fails once ctx has ended
		var err error
		if in, err = f.InSync(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := f.Join(); err != nil {
		return 0, err
	}
	if err := f.WaitReady(ctx); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

// tell says how a second went.
func (f *filled) tell(w io.Writer, s resync.Second) {
	fmt.Fprintf(w, "%s: %d writes, longest %.0f ms, longest pause %.0f ms, memory %s\n",
		s.Phase, s.Writes, s.Longest.Seconds()*1e3, s.Pause.Seconds()*1e3, f.each(s.Memory))
}

// each names the processes with what they take.
func (f *filled) each(bytes []int64) string {
	var parts []string
	for i, p := range f.Processes() {
		if i < len(bytes) {
			parts = append(parts, fmt.Sprintf("%s %d MiB", p.Name, bytes[i]>>20))
		}
	}
	return strings.Join(parts, ", ")
}

func (f *filled) print(r *resync.Report, form string, stdout io.Writer) error {
	if form == "json" {
		return writeJSON(stdout, r)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\ts\twrites/s\tp50 ms\tp99 ms\tmax ms\tpause ms\treads/s\tp99 ms\tmax ms\t")
	for _, p := range r.Phases {
		fmt.Fprintf(t, "%s\t%.1f\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t\n", p.Phase, p.Seconds,
			p.Writes.PerSec, p.Writes.P50, p.Writes.P99, p.Writes.Max, p.Pause, p.Reads.PerSec, p.Reads.P99, p.Reads.Max)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Phases {
		fmt.Fprintf(stdout, "%s: memory %s; disk %s\n", p.Phase, f.each(p.Memory), f.each(p.Disk))
	}
	fmt.Fprintf(stdout, "in sync after %.1f s; writers' longest pause %.1f ms, longest write %.1f ms; failed %d %s; wrong %d %s\nkilled and started again: in sync after %.1f s\n",
		r.InSync, r.Pause, r.Longest, r.Failed, r.Failure, len(r.Wrong), strings.Join(r.Wrong, "; "), r.Restart)
	return nil
}
