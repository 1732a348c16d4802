package failover

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"understudy.example/pkg/wire"
)

// judge compares what is there with what was acknowledged.
func (t *trial) judge(items []wire.Item) {
	t.Lost, t.Doubled, t.Stale = []string{}, []string{}, []string{}
	have := make(map[string]wire.Item, len(items))
	for _, it := range items {
		have[it.Key] = it
	}
	for _, w := range t.writers {
		w.expect(func(key string, want int, etag string) {
			it, there := have[key]
			delete(have, key)
			switch {
			case !there:
				t.Lost = append(t.Lost, fmt.Sprintf("%s: value %d was acknowledged, and the key is gone", key, want))
			case it.Value == nil || *it.Value != strconv.Itoa(want):
				t.Lost = append(t.Lost, fmt.Sprintf("%s: value %d was acknowledged, and %s is there", key, want, text(it)))
			case etag != "" && it.ETag != etag:
				t.Doubled = append(t.Doubled, fmt.Sprintf("%s: value %d was written as %s, and again as %s", key, want, etag, it.ETag))
			}
		})
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		t.Doubled = append(t.Doubled, key+" is there, although no write of it was acknowledged")
	}
}

func text(it wire.Item) string {
	if it.Value == nil {
		return "no text"
	}
	return strconv.Quote(*it.Value)
}

// sum fills the outcome from the workers' records.
func (t *trial) sum() {
	t.Codes = map[string]int{}
	var writes []time.Time
	for i, w := range t.workers {
		t.Quiet = max(t.Quiet, longest(w.successes, time.Time{}, t.struck))
		pause := longest(w.successes, t.struck, time.Time{})
		t.Return = max(t.Return, longest(w.successes, t.returned, time.Time{}))
		t.Pauses = append(t.Pauses, pause)
		if i < len(t.writers) { // writers come first
			t.WritePause = max(t.WritePause, pause)
			t.Writes += len(w.successes)
			writes = append(writes, w.successes...)
		} else {
			t.ReadPause = max(t.ReadPause, pause)
			t.Reads += len(w.successes)
		}
		t.Repeats += w.repeats
		for code, n := range w.codes {
			t.Codes[code] += n
			t.Failed += n
		}
		t.Examples = append(t.Examples, w.examples...)
		t.Lost = append(t.Lost, w.lost...)
		t.Doubled = append(t.Doubled, w.doubled...)
		t.Stale = append(t.Stale, w.stale...)
	}
	slices.SortFunc(writes, time.Time.Compare)
	t.Outage = longest(writes, t.struck, time.Time{})
	slices.Sort(t.Examples)
	t.Examples = t.Examples[:min(len(t.Examples), maxTold)]
}

// maxTold bounds how many failures of a trial are told in full.
const maxTold = 3

// longest returns the longest time between two successes that ended after from
// and not after until, zero for any time, in milliseconds.
func longest(successes []time.Time, from, until time.Time) float64 {
	most := time.Duration(0)
	for i := 1; i < len(successes); i++ {
		if at := successes[i]; at.After(from) && (until.IsZero() || !at.After(until)) {
			most = max(most, at.Sub(successes[i-1]))
		}
	}
	return float64(most.Microseconds()) / 1e3
}
