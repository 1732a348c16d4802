package replica

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what a replica measures of its own work. Gauges that mirror its
// status are the server's.
type Metrics struct {
	syncs   prometheus.Histogram
	repeats prometheus.Counter
}

// NewMetrics registers the replica's metrics.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "understudy_journal_sync_duration_seconds",
			Help:    "How long a batch of records took to be written and synced.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18), // 50 µs to 6.5 s
		}),
		repeats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "understudy_repeated_requests_total",
			Help: "Writes that came again with their id and got their first answer again.",
		}),
	}
	return m, errors.Join(reg.Register(m.syncs), reg.Register(m.repeats))
}

// Sync notes how long a sync took.
func (m *Metrics) Sync(d time.Duration) { m.syncs.Observe(d.Seconds()) }
