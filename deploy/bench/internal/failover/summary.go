package failover

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Row is all trials of one kind on one way.
type Row struct {
	Kind    string  `json:"kind"`
	Way     string  `json:"way"`
	Rival   bool    `json:"rival,omitempty"` // the way names another store
	Trials  []Trial `json:"trials"`
	Summary Summary `json:"summary"`
}

// Summary sums up the trials of a row. Times are in milliseconds.
type Summary struct {
	Requests   int    `json:"requests"` // answered with a success
	Failed     int    `json:"failed"`
	Lost       int    `json:"lost"`
	Doubled    int    `json:"doubled"`
	Stale      int    `json:"stale"`
	Pause      Spread `json:"longest_pause_ms"` // of any worker, for each trial
	WritePause Spread `json:"write_pause_ms"`
	ReadPause  Spread `json:"read_pause_ms"`
	Return     Spread `json:"return_pause_ms"`
	Outage     Spread `json:"outage_ms"`
	Quiet      Spread `json:"quiet_pause_ms"`
}

// Spread is the middle and the worst of a number of trials.
type Spread struct {
	Median float64 `json:"median"`
	Worst  float64 `json:"worst"`
}

// Sum fills the summary from the trials.
func (r *Row) Sum() {
	s := Summary{
		Pause:      spread(r.Trials, func(t *Trial) float64 { return t.Longest() }),
		WritePause: spread(r.Trials, func(t *Trial) float64 { return t.WritePause }),
		ReadPause:  spread(r.Trials, func(t *Trial) float64 { return t.ReadPause }),
		Return:     spread(r.Trials, func(t *Trial) float64 { return t.Return }),
		Outage:     spread(r.Trials, func(t *Trial) float64 { return t.Outage }),
		Quiet:      spread(r.Trials, func(t *Trial) float64 { return t.Quiet }),
	}
	for _, t := range r.Trials {
		s.Requests += t.Writes + t.Reads
		s.Failed += t.Failed
		s.Lost += len(t.Lost)
		s.Doubled += len(t.Doubled)
		s.Stale += len(t.Stale)
	}
	r.Summary = s
}

// spread returns the median, the upper one of two in the middle, and the worst.
func spread(trials []Trial, of func(*Trial) float64) Spread {
	if len(trials) == 0 {
		return Spread{}
	}
	var all []float64
	for i := range trials {
		all = append(all, of(&trials[i]))
	}
	slices.Sort(all)
	return Spread{all[len(all)/2], all[len(all)-1]}
}

// Broken tells whether a promise about the data was broken.
func (s *Summary) Broken() bool { return s.Lost+s.Doubled+s.Stale > 0 }

// Show writes the rows as a table, what was wrong, and a histogram of each row's
// pauses.
func Show(out io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tway\ttrials\trequests\tfailed\tlost\tdoubled\tstale\tlongest pause\twrites\treads\treturn\tno write\tquiet\t")
	for _, r := range rows {
		s := &r.Summary
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Kind, r.Way, len(r.Trials), s.Requests,
			s.Failed, s.Lost, s.Doubled, s.Stale, s.Pause, s.WritePause, s.ReadPause, s.Return, s.Outage, s.Quiet)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\nPauses are median/worst of the trials in ms: the longest time between two successes of one client,\n" +
		"of writers, of readers, after the return of the node, of all writers together, and before the strike.\n")
	for i := range rows {
		rows[i].tell(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String returns the numbers for the table.
func (s Spread) String() string { return fmt.Sprintf("%.0f/%.0f", s.Median, s.Worst) }

// tell adds the histogram of the row, and what was wrong in it.
func (r *Row) tell(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s, %s: the longest pause of each client in each trial\n", r.Kind, r.Way)
	var pauses []float64
	codes := map[string]int{}
	for _, t := range r.Trials {
		pauses = append(pauses, t.Pauses...)
		for code, n := range t.Codes {
			codes[code] += n
		}
	}
	bars(b, pauses)
	if len(codes) > 0 {
		fmt.Fprintf(b, "  failed: %s\n", strings.Trim(fmt.Sprint(codes), "map[]"))
	}
	for i, t := range r.Trials {
		faults := slices.Concat(t.Lost, t.Doubled, t.Stale)
		for _, fault := range faults[:min(len(faults), maxFaults)] {
			fmt.Fprintf(b, "  trial %d: %s\n", i+1, fault)
		}
		if more := len(faults) - maxFaults; more > 0 {
			fmt.Fprintf(b, "  trial %d: and %d more\n", i+1, more)
		}
	}
}

// maxFaults bounds how many faults of a trial are shown.
const maxFaults = 10

// edges are the upper ends of the histogram's buckets but the last, in ms.
var edges = []float64{5, 10, 20, 50, 100, 150, 200, 300, 500, 1000, 2000, 5000}

const widest = 50

// bars draws a histogram, leaving out what is empty at both ends.
func bars(b *strings.Builder, values []float64) {
	counts := make([]int, len(edges)+1)
	for _, v := range values {
		i, _ := slices.BinarySearch(edges, v)
		counts[i]++
	}
	first := slices.IndexFunc(counts, func(n int) bool { return n > 0 })
	if first < 0 {
		return
	}
	last := len(counts) - 1
	for counts[last] == 0 {
		last--
	}
	most := slices.Max(counts)
	for i := first; i <= last; i++ {
		label := fmt.Sprintf("over %.0f", edges[len(edges)-1])
		if i < len(edges) {
			label = fmt.Sprintf("up to %.0f", edges[i])
		}
		bar := strings.Repeat("#", (counts[i]*widest+most-1)/most)
		fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("  %10s ms %6d %s", label, counts[i], bar), " "))
	}
}
