package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/load"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// loadTimeout bounds a request: whatever is held is answered before.
const loadTimeout = proxyTimeout

// loadSettings are the flags of bench load.
type loadSettings struct {
	common
	load.Options
	monitor string
	reads   string
	ways    []string
	rates   []load.Rate // in place of the closed loop; empty: that
}

func parseLoad(args []string, help io.Writer) (s loadSettings, err error) {
	fs := newFlags("load", help, &s.common)
	fs.StringVar(&s.monitor, "monitor", "", "`host:port` of a running cluster's monitor, instead of starting one")
	fs.StringVar(&s.reads, "reads", "", "who answers reads in the cluster to start: `primary or spread`")
	rates := fs.String("rates", "", "fixed rates, all at the same time and through the monitor, in place of clients that wait: `write=100,read=1000`; fails if a request does")
	clients := fs.String("clients", "1,16,64,256", "`numbers` of clients")
	through := fs.String("through", "direct,monitor,library", "where requests go: `direct,monitor,library`")
	ops := fs.String("ops", "read,write", "what they do: `read,stale-read,write,hop-write,key-write`; a stale-read waits for no confirm, a hop-write has the id that a monitor gives it, a key-write a key of the client's")
	fs.DurationVar(&s.WarmUp, "warm-up", 200*time.Millisecond, "load before each measurement")
	fs.DurationVar(&s.For, "for", 3*time.Second, "duration of each measurement")
	fs.IntVar(&s.Value, "value", 100, "size of a value in `bytes`")
	fs.IntVar(&s.Keys, "keys", 1000, "`number` of different keys")
	if err := s.parse(fs, args); err != nil {
		return s, err
	}
	if *rates != "" {
		if s.rates, err = parseRates(*rates); err != nil {
			return s, err
		}
		if err = checkRates(fs); err != nil {
			return s, err
		}
		*through = "monitor"
	}
	if s.reads != "" {
		if _, err = words("reads", s.reads, protocol.ReadsPrimary, protocol.ReadsSpread); err != nil {
			return s, err
		}
	}
	if s.monitor != "" && s.reads != "" {
		return s, fmt.Errorf("%w: -reads is for a cluster that bench starts; a running one is told by PATCH /v1/config", errUsage)
	}
	if s.ways, err = words("through", *through, "direct", "monitor", "library"); err != nil {
		return s, err
	}
	if s.Ops, err = words("ops", *ops, load.Read, load.StaleRead, load.Write, load.HopWrite, load.KeyWrite); err != nil {
		return s, err
	}
	if s.Clients, err = numbers("clients", *clients, maxClients); err != nil {
		return s, err
	}
	if s.For <= 0 || s.WarmUp < 0 || s.Value < 0 || s.Value > 1<<20 || s.Keys < 1 {
		err = fmt.Errorf("%w: -for must be positive, -value 0 to 1048576 and -keys at least 1", errUsage)
	}
	return s, err
}

func runLoad(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseLoad(args, stdout)
	if err != nil {
		return err
	}
	view, address, end, err := loadSubject(ctx, s)
	if err != nil {
		return err
	}
	defer end()
	targets, hangUp, err := targets(s.ways, view, address)
	if err != nil {
		return err
	}
	defer hangUp()
	s.Targets = targets
	if len(s.rates) > 0 {
		return measureRates(ctx, s, view, stdout)
	}
	return measureLoad(ctx, s.Options, s.form, stdout, stderr)
}

// loadSubject returns the view of the cluster to measure and the address of its
// monitor: of the named one, or of a cluster started now.
func loadSubject(ctx context.Context, o loadSettings) (view wire.Cluster, address string, end func(), err error) {
	if o.monitor != "" {
		view, err = ask(ctx, o.monitor)
		return view, o.monitor, func() {}, err
	}
	dir, remove, err := tempDir()
	if err != nil {
		return view, "", nil, err
	}
	var flags []string
	if o.reads != "" {
		flags = []string{"-reads", o.reads}
	}
	s, stop, err := newSubject(ctx, dir, o.nodes, false, flags...)
	if err != nil {
		remove()
		return view, "", nil, err
	}
	end = func() {
		stop()
		remove()
	}
	if view, err = s.View(ctx); err != nil {
		end()
		return view, "", nil, err
	}
	return view, s.monitorAddress(), end, nil
}

// ask reads the view of a monitor that runs already.
func ask(ctx context.Context, monitor string) (view wire.Cluster, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+"/v1/cluster", nil)
	if err != nil {
		return view, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return view, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&view); err != nil {
		return view, fmt.Errorf("read the view of the monitor at %s: %w", monitor, err)
	}
	return view, nil
}

// targets lists the ways to a cluster. hangUp ends what their callers share.
func targets(ways []string, view wire.Cluster, monitor string) (all []load.Target, hangUp func(), err error) {
	_, address, err := primary(view)
	if err != nil {
		return nil, nil, err
	}
	shared, hangUp, err := library(monitor)
	if err != nil {
		return nil, nil, err
	}
	at := func(address string) func() call.Caller {
		return func() call.Caller { return call.NewHTTP(call.At(address), loadTimeout) }
	}
	open := map[string]func() call.Caller{"direct": at(address), "monitor": at(monitor), "library": shared}
	for _, way := range ways {
		all = append(all, load.Target{Through: way, Open: open[way]})
	}
	return all, hangUp, nil
}

func measureLoad(ctx context.Context, opts load.Options, form string, stdout, stderr io.Writer) error {
	cells := []load.Cell{}
	err := load.Run(ctx, opts, func(c load.Cell) {
		cells = append(cells, c)
		fmt.Fprintf(stderr, "%s %s, %d clients: %.0f/s\n", c.Op, c.Through, c.Clients, c.PerSec)
	})
	if err != nil {
		return err
	}
	if form == "json" {
		return writeJSON(stdout, cells)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "through\top\tclients\tops/s\tp50 µs\tp99 µs\tp999 µs\tmax µs\terrors\t")
	for _, c := range cells {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t\n", c.Through, c.Op, c.Clients, c.PerSec, c.P50, c.P99, c.P999, c.Max, c.Errors)
	}
	return t.Flush()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
