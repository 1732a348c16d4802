package resync

import (
	"time"

	"understudy.example/deploy/bench/internal/histogram"
)

// Report is what was measured.
type Report struct {
	Phases  []Row         `json:"phases"`
	InSync  float64       `json:"in_sync_after_s"` // from the start of the node
	Pause   float64       `json:"longest_pause_ms"`
	Longest float64       `json:"longest_write_ms"`
	Failed  int           `json:"failed"`
	Failure string        `json:"failure,omitempty"` // the first
	Wrong   []string      `json:"wrong"`             // keys that are not what was acknowledged
	Restart float64       `json:"restarted_in_sync_after_s"`
	Worst   time.Duration `json:"-"` // the longer one of pause and write
}

// Row is one phase. Memory and disk are the most of each process, in the order of
// the cluster's processes, in bytes.
type Row struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
	Writes  Figures `json:"writes"`
	Reads   Figures `json:"reads"`
	Pause   float64 `json:"longest_pause_ms"`
	Memory  []int64 `json:"memory_bytes"`
	Disk    []int64 `json:"disk_bytes"`
}

// Figures are of one kind of request. Times are in milliseconds.
type Figures struct {
	PerSec float64 `json:"per_second"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

func (g *gauge) report(took [phases]time.Duration) *Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &Report{InSync: took[During].Seconds(), Failed: g.failed, Failure: g.failure, Wrong: []string{}}
	for p := range phases {
		r.Phases = append(r.Phases, Row{
			Phase: p.String(), Seconds: took[p].Seconds(), Pause: millis(g.pause[p]),
			Writes: figures(&g.writes[p], took[p]), Reads: figures(&g.reads[p], took[p]),
			Memory: g.memory[p], Disk: g.disk[p],
		})
		if p == Before {
			continue
		}
		r.Pause = max(r.Pause, millis(g.pause[p]))
		r.Longest = max(r.Longest, millis(g.writes[p].Max()))
		r.Worst = max(r.Worst, g.pause[p], g.writes[p].Max())
	}
	return r
}

func figures(h *histogram.Histogram, over time.Duration) Figures {
	return Figures{
		PerSec: float64(h.Count()) / max(over.Seconds(), 1e-3),
		P50:    millis(h.Quantile(0.5)), P99: millis(h.Quantile(0.99)), Max: millis(h.Max()),
	}
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
