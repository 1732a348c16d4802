package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/load"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

const (
	// chainedWithin bounds the wait for all streams to have moved.
	chainedWithin = time.Minute
	configPath    = "/v1/config"
	// sentMetric counts what a primary puts on the streams.
	sentMetric = "understudy_stream_sent_bytes_total"
)

// topologySettings are the flags of bench topology.
type topologySettings struct {
	load.Options
	form   string
	copies []int
	values []int
	rate   int // bytes a second that a node can send; 0: no limit
	rounds int
}

// topologyRow is one measurement of writes, straight at the primary.
type topologyRow struct {
	Copies   int    `json:"copies"`
	Topology string `json:"topology"`
	Value    int    `json:"value_bytes"`
	load.Cell
	SentPerWrite float64 `json:"sent_bytes_per_write"` // by the primary, to all standbys
	InSync       int     `json:"in_sync"`              // copies at the end: a standby that was too slow has been removed
}

func parseTopology(args []string, help io.Writer) (s topologySettings, err error) {
	fs := flag.NewFlagSet("bench topology", flag.ContinueOnError)
	fs.SetOutput(help)
	copies := fs.String("copies", "3,5,9", "`numbers` of nodes, all of them in sync")
	clients := fs.String("clients", "1,64", "`numbers` of clients")
	values := fs.String("values", "100,16384", "`sizes` of a value in bytes")
	fs.IntVar(&s.rate, "rate", 0, "`bytes` a second that a node can send to others, 0 for no limit: it has links in the place of a network")
	fs.IntVar(&s.rounds, "rounds", 2, "`number` of times that star and chain take turns")
	fs.DurationVar(&s.WarmUp, "warm-up", 200*time.Millisecond, "load before each measurement")
	fs.DurationVar(&s.For, "for", 3*time.Second, "duration of each measurement")
	fs.StringVar(&s.form, "o", "table", "form of the results: `table or json`")
	if err := daemon.ParseFlags(fs, args); err != nil {
		return s, fmt.Errorf("%w: %w", errUsage, err)
	}
	if s.copies, err = numbers("copies", *copies, 9); err != nil {
		return s, err
	}
	if s.Clients, err = numbers("clients", *clients, maxClients); err != nil {
		return s, err
	}
	if s.values, err = numbers("values", *values, 1<<20); err != nil {
		return s, err
	}
	switch {
	case slices.Min(s.copies) < 2:
		err = fmt.Errorf("%w: -copies must be at least 2: a topology is that of standbys", errUsage)
	case s.For <= 0 || s.WarmUp < 0 || s.rounds < 1 || s.rate < 0:
		err = fmt.Errorf("%w: -for must be positive, -rounds at least 1 and -rate not negative", errUsage)
	case s.form != "table" && s.form != "json":
		err = fmt.Errorf("%w: -o %q is not known: table or json", errUsage, s.form)
	}
	s.Keys, s.Ops = 1000, []string{load.Write}
	return s, err
}

func runTopology(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseTopology(args, stdout)
	if err != nil {
		return err
	}
	rows := []topologyRow{}
	for _, copies := range s.copies {
		err := measureTopologies(ctx, s, copies, func(r topologyRow) {
			rows = append(rows, r)
			fmt.Fprintf(stderr, "%d copies, %s, %d bytes, %d clients: %.0f/s\n", r.Copies, r.Topology, r.Value, r.Clients, r.PerSec)
		})
		if err != nil {
			return err
		}
	}
	if s.form == "json" {
		return writeJSON(stdout, rows)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "copies\ttopology\tbytes\tclients\twrites/s\tp50 µs\tp99 µs\tmax µs\terrors\tsent bytes/write\tin sync\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%.0f\t%d\t\n",
			r.Copies, r.Topology, r.Value, r.Clients, r.PerSec, r.P50, r.P99, r.Max, r.Errors, r.SentPerWrite, r.InSync)
	}
	return t.Flush()
}

// measureTopologies measures both on one cluster, in turn: the machine's noise
// is then the same for both.
func measureTopologies(ctx context.Context, s topologySettings, copies int, done func(topologyRow)) error {
	dir, remove, err := tempDir()
	if err != nil {
		return err
	}
	defer remove()
	sub, stop, err := newSubject(ctx, dir, copies, s.rate > 0)
	if err != nil {
		return err
	}
	defer stop()
	sub.links.limit(s.rate)
	for range s.rounds {
		for _, topology := range []string{protocol.Star, protocol.Chain} {
			if err := sub.arrange(ctx, topology, copies); err != nil {
				return err
			}
			for _, s.Value = range s.values {
				if err := measureTopology(ctx, s, sub, topologyRow{Copies: copies, Topology: topology, Value: s.Value}, done); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func measureTopology(ctx context.Context, s topologySettings, sub subject, row topologyRow, done func(topologyRow)) error {
	_, address, err := sub.Primary(ctx)
	if err != nil {
		return err
	}
	s.Targets = []load.Target{{Through: "direct", Open: func() call.Caller { return call.NewHTTP(call.At(address), loadTimeout) }}}
	for _, clients := range s.Clients {
		opts := s.Options
		opts.Clients = []int{clients}
		before, err := sent(ctx, address)
		if err != nil {
			return err
		}
		at, err := sub.newest(ctx)
		if err != nil {
			return err
		}
		if err := load.Run(ctx, opts, func(c load.Cell) { row.Cell = c }); err != nil {
			return err
		}
		after, err := sent(ctx, address)
		if err != nil {
			return err
		}
		end, err := sub.newest(ctx)
		if err != nil {
			return err
		}
		row.SentPerWrite = (after - before) / float64(end-at)
		if row.InSync, err = sub.inSync(ctx); err != nil {
			return err
		}
		done(row)
	}
	return nil
}

// inSync counts the copies that hold every write.
func (s subject) inSync(ctx context.Context) (int, error) {
	view, err := s.View(ctx)
	if err != nil {
		return 0, err
	}
	return len(view.Groups[0].InSync), nil
}

// newest returns the newest seq of the primary's journal: one for each write.
func (s subject) newest(ctx context.Context) (protocol.Seq, error) {
	name, _, err := s.Primary(ctx)
	if err != nil {
		return 0, err
	}
	hb, err := s.Heartbeat(ctx, name)
	if err != nil || len(hb.Groups) == 0 {
		return 0, fmt.Errorf("ask %s for its position: %w", name, err)
	}
	return hb.Groups[0].Position.Seq, nil
}

// arrange sets the topology, and waits until the streams go that way.
func (s subject) arrange(ctx context.Context, topology string, copies int) error {
	if err := s.call(ctx, http.MethodPatch, configPath, []byte(`{"topology":"`+topology+`"}`)); err != nil {
		return err
	}
	relayed := 0
	if topology == protocol.Chain {
		relayed = copies - 2
	}
	ctx, cancel := context.WithTimeout(ctx, chainedWithin)
	defer cancel()
	for {
		view, err := s.View(ctx)
		if err != nil {
			return fmt.Errorf("wait for the streams to go by way of a %s: %w", topology, err)
		}
		if inSync, n := len(view.Groups[0].InSync), countRelayed(view); inSync == copies && n == relayed {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the streams did not go by way of a %s within %s", topology, chainedWithin)
		case <-time.After(againAfter):
		}
	}
}

// countRelayed counts the standbys that take their streams from another.
func countRelayed(view wire.Cluster) (n int) {
	for _, node := range view.Nodes {
		for _, g := range node.Groups {
			if g.Upstream != "" && g.Upstream != view.Groups[0].Primary {
				n++
			}
		}
	}
	return n
}

// sent reads how many bytes a node has put on the streams of its standbys.
func sent(ctx context.Context, address string) (float64, error) {
	values, err := scrape(ctx, "http://"+address, sentMetric)
	if err != nil {
		return 0, err
	}
	return values[0], nil
}
