package coordinator

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Metrics are what a monitor measures of the cluster.
type Metrics struct {
	failovers *prometheus.CounterVec
	replaced  prometheus.Counter
	durations *prometheus.HistogramVec
}

// NewMetrics registers the monitor's counters.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		failovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_failovers_total", Help: "Changes of the primary that this monitor decided on.",
		}, []string{"reason", "result"}),
		replaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "understudy_member_replacements_total", Help: "Changes of the members in the place of one that was missing, removed or one too many, decided by this monitor.",
		}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "understudy_failover_duration_seconds",
			Help:    "From the last sign of life of the old primary, or for a switchover from the asking, to each step of a change.",
			Buckets: []float64{.01, .02, .05, .075, .1, .15, .2, .25, .3, .5, .75, 1, 1.5, 2, 5, 10, 30},
		}, []string{"kind", "phase"}),
	}
	for _, reason := range reasons {
		m.failovers.WithLabelValues(reason, "complete")
	}
	m.failovers.WithLabelValues("planned", "aborted")
	return m, errors.Join(reg.Register(m.failovers), reg.Register(m.replaced), reg.Register(m.durations))
}

// reasons are why the primary changes: the rules, and operators. Each has a counter
// from the beginning, so that the first change is a rise from 0.
var reasons = []string{
	"primary-down", "primary-restarted", "primary-replaced", "primary-corrupt", "primary-disk", "primary-stuck",
	"primary-stopping", "primary-maintenance", "primary-leaving", "operator",
}

func (m *Metrics) failover(f protocol.Failover) {
	m.failovers.WithLabelValues(f.Cause, "complete").Inc()
	for phase, ms := range f.Timeline() {
		m.durations.WithLabelValues(f.Kind, phase).Observe(ms / 1000)
	}
}

// answered measures the whole pause, as a caller of this monitor saw it.
func (m *Metrics) answered(f protocol.Failover, ms float64) {
	m.durations.WithLabelValues(f.Kind, "first_answer").Observe(ms / 1000)
}

// replacing counts a change of the members that the rules decided.
func (m *Metrics) replacing() { m.replaced.Inc() }

// aborted counts a planned change that was given up.
func (m *Metrics) aborted() { m.failovers.WithLabelValues("planned", "aborted").Inc() }

// statusCollector shows the cluster as metrics, read when they are asked for: so
// nothing is left of a node or a monitor that has been removed.
type statusCollector struct {
	c    *Coordinator
	desc map[string]*prometheus.Desc
}

// statusMetrics are the metrics of the cluster as a monitor sees it. A follower
// tells what it knows, which may be a moment old: of several monitors, the one
// with is_leader 1 is right.
var statusMetrics = []struct {
	name, help string
	labels     []string
}{
	{"is_leader", "1 while this monitor leads the registry.", nil},
	{"has_leader", "1 while this monitor leads or hears a leader.", nil},
	{"registry_term", "The registry's term: it grows with every election.", nil},
	{"monitor_reachable", "1 while a monitor answers this one.", []string{"monitor"}},
	{"failover_paused", "1 while an operator has paused automatic failover.", nil},
	{"wanted_copies", "How many members a group is to have.", nil},
	{"min_copies", "How many replicas must be in sync for a write to be taken.", nil},
	{"differing_views", "Nodes that another node sees otherwise than this monitor does.", nil},

	{"has_primary", "1 while the group has a primary that serves.", []string{"group"}},
	{"failover_possible", "1 while somebody who holds everything could take over.", []string{"group"}},
	{"epoch", "The epoch of the group's record.", []string{"group"}},
	{"in_sync_replicas", "Replicas in the group's in-sync set.", []string{"group"}},
	{"members", "Members of the group, in sync or not.", []string{"group"}},
	{"spares", "Nodes that could take the place of a member.", []string{"group"}},

	{"node_state", "1 for the state that a node is in, as this monitor sees it.", []string{"node", "state"}},
	{"node_maintenance", "1 while an operator holds a node out for maintenance.", []string{"node"}},
	{"heartbeat_age_seconds", "Time since a node was last heard.", []string{"node"}},
	{"clock_skew_seconds", "How far a node's wall clock is ahead of this monitor's. No promise depends on it.", []string{"node"}},
	{"replication_lag_records", "Records of the primary that a node does not hold.", []string{"group", "node"}},
}

// Collector returns the metrics that mirror the cluster's state.
func (c *Coordinator) Collector() prometheus.Collector {
	s := &statusCollector{c: c, desc: map[string]*prometheus.Desc{}}
	for _, m := range statusMetrics {
		s.desc[m.name] = prometheus.NewDesc("understudy_"+m.name, m.help, m.labels, nil)
	}
	return s
}

// Describe implements prometheus.Collector.
func (s *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range s.desc {
		out <- d
	}
}

// reading is one collection under way.
type reading struct {
	*statusCollector
	out chan<- prometheus.Metric
}

func (r reading) gauge(name string, v float64, labels ...string) {
	r.out <- prometheus.MustNewConstMetric(r.desc[name], prometheus.GaugeValue, v, labels...)
}

// Collect implements prometheus.Collector.
func (s *statusCollector) Collect(out chan<- prometheus.Metric) {
	r, view := reading{s, out}, s.c.Cluster()
	r.gauge("is_leader", flag(view.Leader == s.c.opts.Name))
	r.gauge("has_leader", flag(view.Leader != ""))
	r.gauge("registry_term", float64(view.Term))
	for _, m := range view.Monitors {
		r.gauge("monitor_reachable", flag(m.Reachable), m.Name)
	}
	r.gauge("failover_paused", flag(view.Settings.Paused))
	r.gauge("wanted_copies", float64(view.Settings.WantCopies))
	r.gauge("min_copies", float64(view.Settings.MinCopies))
	r.gauge("differing_views", float64(len(view.Differences())))
	if len(view.Groups) == 0 { // not born yet, or the registry was lost
		r.gauge("has_primary", 0, "0")
		r.gauge("failover_possible", 0, "0")
	}
	for _, g := range view.Groups {
		r.gauge("has_primary", flag(g.Serving), "0")
		r.gauge("failover_possible", flag(g.Failover.Possible), "0")
		r.gauge("epoch", float64(g.Epoch), "0")
		r.gauge("in_sync_replicas", float64(len(g.InSync)), "0")
		r.gauge("members", float64(len(g.Members)), "0")
		r.gauge("spares", float64(len(g.Spares)), "0")
	}
	for _, n := range view.Nodes {
		r.ofNode(n)
	}
}

func (r reading) ofNode(n wire.NodeView) {
	for _, st := range protocol.States() {
		r.gauge("node_state", flag(n.State == st), n.Name, string(st))
	}
	r.gauge("node_maintenance", flag(n.Maintenance), n.Name)
	if n.HeartbeatAgeMS >= 0 {
		r.gauge("heartbeat_age_seconds", float64(n.HeartbeatAgeMS)/1000, n.Name)
		r.gauge("clock_skew_seconds", float64(n.ClockSkewMS)/1000, n.Name)
	}
	for _, g := range n.Groups {
		r.gauge("replication_lag_records", float64(g.LagRecords), "0", n.Name)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
