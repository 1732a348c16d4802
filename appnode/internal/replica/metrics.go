package replica

import (
	"errors"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/pkg/protocol"
)

// Metrics are what a replica measures of its own work. Gauges that mirror its
// status are the server's.
type Metrics struct {
	syncs    prometheus.Histogram
	repeats  prometheus.Counter
	removals *prometheus.CounterVec

	written     *prometheus.CounterVec // snapshots on this disk
	writing     prometheus.Histogram
	fetched     *prometheus.CounterVec // the primary's snapshots in the place of this copy
	fetching    prometheus.Gauge
	fetchTime   prometheus.Histogram
	fetchBytes  prometheus.Counter
	sent        *prometheus.CounterVec // snapshots to standbys
	sending     prometheus.Gauge
	sentBytes   prometheus.Counter
	streamed    prometheus.Counter
	relayed     prometheus.Counter
	collections []prometheus.Collector
}

// transferBuckets are of what takes as long as reading or writing the whole map:
// 10 ms to 10 min.
var transferBuckets = []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 120, 300, 600}

// results are the values of the label result.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// NewMetrics registers the replica's metrics.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{}
	m.syncs = m.histogram("journal_sync_duration_seconds", "How long a batch of records took to be written and synced.",
		prometheus.ExponentialBuckets(50e-6, 2, 18)) // 50 µs to 6.5 s
	m.repeats = m.counter("repeated_requests_total", "Writes that came again with their id and got their first answer again.")
	m.removals = m.counters("standby_removals_total", "Standbys that the registry removed from the in-sync set at the request of this primary, by reason.", "reason", removalReasons()...)
	m.written = m.counters("snapshots_written_total", "Snapshots of the state written to this node's disk, by result.", "result", resultOK, resultFailed)
	m.writing = m.histogram("snapshot_write_duration_seconds", "How long a snapshot took to be written to this node's disk.", transferBuckets)
	m.fetched = m.counters("resyncs_total", "Snapshots of the primary fetched in the place of this replica's copy, by result.", "result", resultOK, resultFailed)
	m.fetching = m.gauge("resync_in_progress", "1 while this replica fetches a snapshot of the primary in the place of its copy.")
	m.fetchTime = m.histogram("resync_duration_seconds", "How long a snapshot of the primary took to be fetched and installed, or to fail.", transferBuckets)
	m.fetchBytes = m.counter("resync_received_bytes_total", "Bytes of the primary's snapshots that this replica has received.")
	m.sent = m.counters("snapshot_sends_total", "Snapshots sent to standbys, by result.", "result", resultOK, resultFailed)
	m.streamed = m.counter("stream_sent_bytes_total", "Bytes that this node, as primary, has put on the streams of its standbys.")
	m.relayed = m.counter("stream_relayed_bytes_total", "Bytes of the primary's streams that this standby has passed on to the ones behind it in a chain.")
	m.sending = m.gauge("snapshot_sends_in_progress", "Snapshots on their way to standbys.")
	m.sentBytes = m.counter("snapshot_sent_bytes_total", "Bytes of snapshots sent to standbys.")
	var errs []error
	for _, c := range m.collections {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	return keep(m, prometheus.NewCounter(prometheus.CounterOpts{Name: "understudy_" + name, Help: help}))
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	return keep(m, prometheus.NewGauge(prometheus.GaugeOpts{Name: "understudy_" + name, Help: help}))
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return keep(m, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "understudy_" + name, Help: help, Buckets: buckets}))
}

// counters makes a counter for each value of the label, so that the first event
// is a rise from 0.
func (m *Metrics) counters(name, help, label string, values ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "understudy_" + name, Help: help}, []string{label})
	for _, v := range values {
		vec.WithLabelValues(v)
	}
	return keep(m, vec)
}

func keep[C prometheus.Collector](m *Metrics, c C) C {
	m.collections = append(m.collections, c)
	return c
}

// Sync notes how long a sync took.
func (m *Metrics) Sync(d time.Duration) { m.syncs.Observe(d.Seconds()) }

// wrote notes how writing a snapshot ended.
func (m *Metrics) wrote(began time.Time, err error) {
	m.written.WithLabelValues(resultOf(err)).Inc()
	if err == nil {
		m.writing.Observe(time.Since(began).Seconds())
	}
}

// fetch begins to measure a snapshot of the primary's, until the func that it
// returns is called.
func (m *Metrics) fetch() func(error) {
	began := time.Now()
	m.fetching.Inc()
	return func(err error) {
		m.fetching.Dec()
		m.fetched.WithLabelValues(resultOf(err)).Inc()
		m.fetchTime.Observe(time.Since(began).Seconds())
	}
}

// send begins to measure a snapshot for a standby, until the func that it returns
// is called.
func (m *Metrics) send() func(error) {
	m.sending.Inc()
	return func(err error) {
		m.sending.Dec()
		m.sent.WithLabelValues(resultOf(err)).Inc()
	}
}

func resultOf(err error) string {
	if err != nil {
		return resultFailed
	}
	return resultOK
}

// countedReader and countedWriter add what passes to a counter.
type (
	countedReader struct {
		io.Reader
		bytes prometheus.Counter
	}
	countedWriter struct {
		io.Writer
		bytes prometheus.Counter
	}
)

// Read implements [io.Reader].
func (c countedReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.bytes.Add(float64(n))
	return n, err
}

// Write implements [io.Writer].
func (c countedWriter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.bytes.Add(float64(n))
	return n, err
}

// removalReason is a sentence of the core for why a standby is to leave the
// in-sync set, and its name as a label's value.
var removalReason = map[string]string{
	"it is no member any more":                 "no-member",
	"it is held out for maintenance":           "maintenance",
	"it is leaving":                            "leaving",
	"the monitor holds it for down":            "down",
	"its connection closed and did not return": "disconnected",
	"its answer is overdue":                    "overdue",
	"it was waited for too long":               "slow",
}

// otherReason is what a standby says of itself: its disk is full, or has failed.
const otherReason = "trouble"

func removalReasons() []string {
	out := []string{otherReason}
	for _, name := range removalReason {
		out = append(out, name)
	}
	return out
}

// removed counts the standbys that a record removes from the set of the one
// before because this primary has asked for it.
func (m *Metrics) removed(asked protocol.ChangeInSync, before, rec protocol.GroupRecord) {
	if asked.Version != before.Version || rec.Version != before.Version+1 || rec.Epoch != asked.Epoch {
		return
	}
	reason, known := removalReason[asked.Reason]
	if !known {
		reason = otherReason
	}
	for _, u := range before.InSync {
		if !rec.IsInSync(u) {
			m.removals.WithLabelValues(reason).Inc()
		}
	}
}
