package coordinator

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/pkg/protocol"
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
	return m, errors.Join(reg.Register(m.failovers), reg.Register(m.replaced), reg.Register(m.durations))
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

// statusCollector shows the cluster as metrics, read when they are asked for.
type statusCollector struct {
	c                                          *Coordinator
	hasPrimary, epoch, inSync, state, age, lag *prometheus.Desc
	leads, members, spares, differing          *prometheus.Desc
	hasLeader, term, reachable                 *prometheus.Desc
}

// Collector returns the metrics that mirror the cluster's state.
func (c *Coordinator) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("understudy_"+name, help, labels, nil)
	}
	return &statusCollector{
		c:          c,
		hasPrimary: desc("has_primary", "1 while the group has a primary that serves.", "group"),
		epoch:      desc("epoch", "The epoch of the group's record.", "group"),
		inSync:     desc("in_sync_replicas", "Replicas in the group's in-sync set.", "group"),
		state:      desc("node_state", "1 for the state that a node is in, as this monitor sees it.", "node", "state"),
		age:        desc("heartbeat_age_seconds", "Time since a node was last heard.", "node"),
		lag:        desc("replication_lag_records", "Records of the primary that a node does not hold.", "group", "node"),
		members:    desc("members", "Members of the group, in sync or not.", "group"),
		spares:     desc("spares", "Nodes that could take the place of a member.", "group"),
		differing:  desc("differing_views", "Nodes that another node sees otherwise than this monitor does."),
		leads:      desc("is_leader", "1 while this monitor leads the registry."),
		hasLeader:  desc("has_leader", "1 while this monitor leads or hears a leader."),
		term:       desc("registry_term", "The registry's term: it grows with every election."),
		reachable:  desc("monitor_reachable", "1 while a monitor answers this one.", "monitor"),
	}
}

// Describe implements prometheus.Collector.
func (s *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.hasPrimary, s.epoch, s.inSync, s.state, s.age, s.lag, s.leads, s.members, s.spares, s.differing, s.hasLeader, s.term, s.reachable} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *statusCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	view := s.c.Cluster()
	gauge(s.leads, flag(view.Leader == s.c.opts.Name))
	gauge(s.hasLeader, flag(view.Leader != ""))
	gauge(s.term, float64(view.Term))
	for _, m := range view.Monitors {
		gauge(s.reachable, flag(m.Reachable), m.Name)
	}
	for _, g := range view.Groups {
		gauge(s.hasPrimary, flag(g.Serving), "0")
		gauge(s.epoch, float64(g.Epoch), "0")
		gauge(s.inSync, float64(len(g.InSync)), "0")
		gauge(s.members, float64(len(g.Members)), "0")
		gauge(s.spares, float64(len(g.Spares)), "0")
	}
	gauge(s.differing, float64(len(view.Differences())))
	for _, n := range view.Nodes {
		for _, st := range protocol.States() {
			gauge(s.state, flag(n.State == st), n.Name, string(st))
		}
		if n.HeartbeatAgeMS >= 0 {
			gauge(s.age, (time.Duration(n.HeartbeatAgeMS) * time.Millisecond).Seconds(), n.Name)
		}
		for _, g := range n.Groups {
			gauge(s.lag, float64(g.LagRecords), "0", n.Name)
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
