package failover

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// verify reads back everything that was acknowledged.
func verify(ctx context.Context, opts Options, writers []*writer) error {
	reader := newWriter("", opts.Target)
	defer reader.hangUp()
	for _, w := range writers {
		if err := w.verify(ctx, reader); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *writer) verify(ctx context.Context, reader *writer) error {
	for n := range w.step {
		res, err := reader.insist(ctx, get(w.onceKey(n)), http.StatusOK, http.StatusNotFound)
		if err != nil || res.status == 0 {
			return err
		}
		if res.status == http.StatusNotFound || res.body != strconv.Itoa(n) {
			w.lost = append(w.lost, fmt.Sprintf("%s: found %q", w.onceKey(n), res.body))
		}
	}
	if w.chained < 0 {
		return nil
	}
	res, err := reader.insist(ctx, get(w.chainKey()), http.StatusOK, http.StatusNotFound)
	if err != nil || res.status == 0 {
		return err
	}
	// The write that was under way at the stop may have been applied too.
	if res.body != strconv.Itoa(w.chained) && res.body != strconv.Itoa(w.chained+1) {
		w.lost = append(w.lost, fmt.Sprintf("%s: value %d was acknowledged, found %q", w.chainKey(), w.chained, res.body))
	}
	return nil
}

// sum fills the trial from its writers.
func (t *Trial) sum(writers []*writer, killedAt time.Time) {
	t.Lost, t.Doubled = []string{}, []string{}
	var all []time.Time
	var each []float64
	for _, w := range writers {
		all = append(all, w.acks...)
		each = append(each, outage(w.acks, killedAt))
		t.Acknowledged += len(w.acks)
		t.Refused += w.refused
		t.Broken += w.broken
		t.Lost = append(t.Lost, w.lost...)
		t.Doubled = append(t.Doubled, w.doubled...)
	}
	slices.SortFunc(all, time.Time.Compare)
	slices.Sort(each)
	t.Outage, t.WriterMax, t.WriterMedian = outage(all, killedAt), each[len(each)-1], Median(each)
}

// outage returns the longest time without an acknowledgement that ended after
// the kill, in milliseconds.
func outage(acks []time.Time, killedAt time.Time) float64 {
	longest := time.Duration(0)
	for i := 1; i < len(acks); i++ {
		if acks[i].After(killedAt) {
			longest = max(longest, acks[i].Sub(acks[i-1]))
		}
	}
	return float64(longest.Microseconds()) / 1e3
}

// Median returns the middle of sorted values, the upper one of two; of none, 0.
func Median(sorted []float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}
