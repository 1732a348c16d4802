package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// statusCollector shows the node's status as metrics, read when they are asked
// for.
type statusCollector struct {
	n                                           *node
	isPrimary, epoch, state, inSync             *prometheus.Desc
	position, commit, lagRecords, lagSec, stall *prometheus.Desc
	peerUp, peerAge                             *prometheus.Desc
}

func newStatusCollector(n *node) *statusCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("understudy_"+name, help, labels, nil)
	}
	return &statusCollector{
		n:          n,
		isPrimary:  desc("is_primary", "1 while this node serves as primary.", "group"),
		epoch:      desc("epoch", "The highest epoch that this node has accepted.", "group"),
		state:      desc("node_state", "1 for the state that the node is in.", "state"),
		inSync:     desc("in_sync_replicas", "Replicas in the in-sync set of the newest record held.", "group"),
		position:   desc("journal_seq", "The seq of the newest record in the journal.", "group"),
		commit:     desc("commit_seq", "The highest seq known to be committed.", "group"),
		lagRecords: desc("replication_lag_records", "At a primary: records that a standby has not acknowledged.", "group", "standby"),
		lagSec:     desc("replication_lag_seconds", "At a primary: age of the oldest record that a standby has not acknowledged.", "group", "standby"),
		peerUp:     desc("peer_up", "1 while this node sees another one.", "peer"),
		peerAge:    desc("peer_heard_age_seconds", "Time since this node last heard another one.", "peer"),
		stall:      desc("disk_unsynced_seconds", "Age of the oldest write that the disk has not answered."),
	}
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.isPrimary, c.epoch, c.state, c.inSync, c.position, c.commit, c.lagRecords, c.lagSec, c.stall, c.peerUp, c.peerAge,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	hb := c.n.Status()
	for _, s := range protocol.States() {
		gauge(c.state, flag(hb.State == s), string(s))
	}
	gauge(c.stall, float64(hb.Disk.OldestUnsyncedMS)/1000)
	for name, sees := range hb.Sees {
		gauge(c.peerUp, flag(sees == wire.SeesUp), name)
	}
	for name, ms := range hb.SeenMS {
		gauge(c.peerAge, float64(ms)/1000, name)
	}
	if c.n.replica == nil {
		return
	}
	gauge(c.inSync, float64(c.n.replica.InSync()), "0")
	for _, g := range hb.Groups {
		gauge(c.isPrimary, flag(g.Serving), "0")
		gauge(c.epoch, float64(g.Epoch), "0")
		gauge(c.position, float64(g.Position.Seq), "0")
		gauge(c.commit, float64(g.Commit), "0")
		for _, p := range g.Peers {
			name := c.n.nameOf(p.UUID)
			gauge(c.lagRecords, float64(g.Position.Seq-min(p.Durable, g.Position.Seq)), "0", name)
			gauge(c.lagSec, float64(p.BehindMS)/1000, "0", name)
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
