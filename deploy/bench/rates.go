package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"understudy.example/deploy/bench/internal/load"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// errFailedRequests makes bench fail when not every request at a fixed rate was
// answered.
var errFailedRequests = errors.New("requests failed: the results tell how many, and of each kind one")

// maxRate is more than a machine of this kind answers.
const maxRate = 1_000_000

// parseRates reads a list of the form write=100,read=1000.
func parseRates(list string) ([]load.Rate, error) {
	var all []load.Rate
	known := []string{load.Read, load.StaleRead, load.Write, load.KeyWrite}
	for item := range strings.SplitSeq(list, ",") {
		op, text, _ := strings.Cut(item, "=")
		n, err := strconv.Atoi(text)
		if !slices.Contains(known, op) || err != nil || n < 1 || n > maxRate {
			return nil, fmt.Errorf("%w: -rates: %q is not of the form write=100: %s, 1 to %d a second", errUsage, item, strings.Join(known, ", "), maxRate)
		}
		all = append(all, load.Rate{Op: op, PerSec: n})
	}
	return all, nil
}

// checkRates refuses flags of the closed loop beside -rates.
func checkRates(fs *flag.FlagSet) (err error) {
	fs.Visit(func(f *flag.Flag) {
		if f.Name == "clients" || f.Name == "through" || f.Name == "ops" {
			err = fmt.Errorf("%w: -%s is not for -rates, which names the operations itself and goes through the monitor", errUsage, f.Name)
		}
	})
	return err
}

// flow is a rate's result, with what there is to compare.
type flow struct {
	load.Flow
	Uneven float64 `json:"uneven"` // part of its share by which a node differs at most
}

// measureRates sends all rates at the same time through the monitor.
func measureRates(ctx context.Context, s loadSettings, view wire.Cluster, stdout io.Writer) error {
	measured, err := load.RunRates(ctx, s.Options, s.rates)
	if err != nil {
		return err
	}
	flows := make([]flow, len(measured))
	failed := false
	for i, f := range measured {
		if reads := f.Op == load.Read || f.Op == load.StaleRead; reads && view.Settings.Reads == protocol.ReadsSpread {
			addSilent(f.Nodes, view.Groups[0].InSync)
		}
		flows[i] = flow{f, f.Uneven()}
		failed = failed || f.Failed > 0
	}
	if err := showRates(stdout, flows, s.form); err != nil {
		return err
	}
	if failed {
		return errFailedRequests
	}
	return nil
}

// addSilent names the nodes that should have answered and did not.
func addSilent(counts map[string]int, names []string) {
	for _, name := range names {
		counts[name] += 0
	}
}

func showRates(w io.Writer, flows []flow, form string) error {
	if form == "json" {
		return writeJSON(w, flows)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "op\tper s\tanswered\tfailed\tp50 µs\tp99 µs\tp999 µs\tmax µs\tuneven\t")
	for _, f := range flows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f %%\t\n", f.Op, f.Rate, f.Requests, f.Failed, f.P50, f.P99, f.P999, f.Max, 100*f.Uneven)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range flows {
		fmt.Fprintf(w, "%s: answered by", f.Op)
		for _, name := range slices.Sorted(maps.Keys(f.Nodes)) {
			fmt.Fprintf(w, " %s %d", name, f.Nodes[name])
		}
		fmt.Fprintln(w)
		if f.Failed > 0 {
			fmt.Fprintf(w, "%s: a failure %s\n", f.Op, f.Example)
		}
	}
	return nil
}
