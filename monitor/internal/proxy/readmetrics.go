package proxy

import (
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// readMetrics tell who answers the reads.
type readMetrics struct {
	reads  *prometheus.CounterVec
	resent *prometheus.CounterVec
	nodes  func() []string // of the cluster now
	known  sync.Map        // names that may have a counter
}

func newReadMetrics(registerer prometheus.Registerer, nodes func() []string) *readMetrics {
	m := &readMetrics{
		nodes: nodes,
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_proxy_reads_total",
			Help: "Reads of keys, lists and the state that came through this monitor, by the node that answered.",
		}, []string{"node"}),
		resent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_proxy_reads_resent_total",
			Help: "Reads that a standby did not answer, or not in time, so that the primary did, by the standby.",
		}, []string{"node"}),
	}
	registerer.MustRegister(m)
	return m
}

// count counts a read that was answered.
func (m *readMetrics) count(answer http.Header) {
	if node := nodeOf(answer); node != "" {
		m.reads.WithLabelValues(node).Inc()
		m.note(node)
	}
}

// again counts a read that a standby left to the primary.
func (m *readMetrics) again(standby string) {
	m.resent.WithLabelValues(standby).Inc()
	m.note(standby)
}

// note says that a node has a counter. That comes after the counting: if the node is
// forgotten in between, the next collection finds it again.
func (m *readMetrics) note(node string) {
	if _, known := m.known.Load(node); !known {
		m.known.Store(node, nil)
	}
}

// Describe implements prometheus.Collector.
func (m *readMetrics) Describe(out chan<- *prometheus.Desc) {
	m.reads.Describe(out)
	m.resent.Describe(out)
}

// Collect implements prometheus.Collector. Of nodes that were removed nothing is
// kept.
func (m *readMetrics) Collect(out chan<- prometheus.Metric) {
	nodes := m.nodes()
	m.known.Range(func(name, _ any) bool {
		if !slices.Contains(nodes, name.(string)) {
			m.known.Delete(name)
			m.reads.DeleteLabelValues(name.(string))
			m.resent.DeleteLabelValues(name.(string))
		}
		return true
	})
	m.reads.Collect(out)
	m.resent.Collect(out)
}

// weights shows how often it is whose turn.
type weights struct {
	spread *spread
	desc   *prometheus.Desc
}

func newWeights(s *spread) *weights {
	return &weights{s, prometheus.NewDesc("understudy_proxy_read_weight",
		"How often a standby is sent a read, as a part of how often the quickest replica is: 1 while it is about as quick, 0 while it rests after a failure.",
		[]string{"node", "op"}, nil)}
}

// Describe implements prometheus.Collector.
func (w *weights) Describe(out chan<- *prometheus.Desc) { out <- w.desc }

// Collect implements prometheus.Collector.
func (w *weights) Collect(out chan<- prometheus.Metric) {
	s := w.spread
	if !s.on.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind := range s.turns {
		for i, b := range s.standbys {
			out <- prometheus.MustNewConstMetric(w.desc, prometheus.GaugeValue, s.turns[kind].Weight(1+i), b.Name, kindNames[kind])
		}
	}
}
