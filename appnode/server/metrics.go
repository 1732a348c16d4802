package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/appnode/internal/replica"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// statusCollector shows the node's status as metrics, read when they are asked
// for: so nothing is left of a node that has been removed.
type statusCollector struct {
	n    *node
	desc map[string]*prometheus.Desc
}

// statusMetrics are the metrics of a node's status. Those of a replica have the
// label group, and those about somebody else a label for whom.
var statusMetrics = []struct {
	name, help string
	labels     []string
}{
	{"node_state", "1 for the state that the node is in.", []string{"state"}},
	{"disk_unsynced_seconds", "Age of the oldest write that the disk has not answered.", nil},
	{"disk_full", "1 while the disk has no room for records.", nil},
	{"monitors", "Monitors that this node sends heartbeats to.", nil},
	{"monitors_answering", "Monitors that answered this node's last heartbeat.", nil},
	{"peer_up", "1 while this node sees another one.", []string{"peer"}},
	{"peer_heard_age_seconds", "Time since this node last heard another one.", []string{"peer"}},

	{"is_primary", "1 while this node serves as primary.", []string{"group"}},
	{"epoch", "The highest epoch that this node has accepted.", []string{"group"}},
	{"in_sync_replicas", "Replicas in the in-sync set of the newest record held.", []string{"group"}},
	{"view_replicas", "At a primary: replicas that must hold a record before it is acknowledged.", []string{"group"}},
	{"journal_seq", "The seq of the newest record in the journal.", []string{"group"}},
	{"commit_seq", "The highest seq known to be committed.", []string{"group"}},
	{"upstream_connected", "At a standby: 1 while records come from the primary.", []string{"group"}},
	{"upstream_heard_age_seconds", "At a standby: time since the primary last said anything on the stream.", []string{"group"}},

	{"stream_connected", "At a primary: 1 while a standby is connected.", []string{"group", "standby"}},
	{"replication_lag_records", "At a primary: records that a standby has not acknowledged.", []string{"group", "standby"}},
	{"replication_lag_bytes", "At a primary: about how many bytes of the journal a standby has not acknowledged.", []string{"group", "standby"}},
	{"replication_lag_seconds", "At a primary: age of the oldest record that a standby has not acknowledged.", []string{"group", "standby"}},

	{"watchers", "Watches of committed changes that are open at this node.", []string{"group"}},
	{"state_keys", "Keys of the map.", []string{"group"}},
	{"state_bytes", "Memory that the map takes, as -max-bytes counts it.", []string{"group"}},
	{"state_limit_bytes", "What -max-bytes allows of it; absent: there is no limit.", []string{"group"}},
	{"remembered_requests", "Sessions and keys whose answers are kept, so that each request is applied once.", []string{"group", "kind"}},
	{"remembered_requests_limit", "The most that are kept: beyond it new ones are refused.", []string{"group", "kind"}},
}

func newStatusCollector(n *node) *statusCollector {
	c := &statusCollector{n: n, desc: map[string]*prometheus.Desc{journalBytes: prometheus.NewDesc(
		"understudy_"+journalBytes, "Bytes of records written to the journal since the start.", []string{"group"}, nil)}}
	for _, m := range statusMetrics {
		c.desc[m.name] = prometheus.NewDesc("understudy_"+m.name, m.help, m.labels, nil)
	}
	return c
}

// journalBytes is the one counter among them.
const journalBytes = "journal_written_bytes_total"

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.desc {
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
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	r := reading{c, out}
	hb := c.n.Status()
	r.ofNode(hb)
	if c.n.replica == nil {
		return
	}
	r.gauge("in_sync_replicas", float64(c.n.replica.InSync()), "0")
	for _, g := range hb.Groups {
		r.gauge("is_primary", flag(g.Serving), "0")
		r.gauge("epoch", float64(g.Epoch), "0")
		r.gauge("journal_seq", float64(g.Position.Seq), "0")
		r.gauge("commit_seq", float64(g.Commit), "0")
		r.ofReplica(g.Role, c.n.replica.Measures())
	}
}

func (r reading) ofNode(hb wire.Heartbeat) {
	for _, s := range protocol.States() {
		r.gauge("node_state", flag(hb.State == s), string(s))
	}
	r.gauge("disk_unsynced_seconds", float64(hb.Disk.OldestUnsyncedMS)/1000)
	r.gauge("disk_full", flag(hb.Disk.Full))
	r.gauge("monitors", float64(len(r.n.opts.Monitors)))
	r.gauge("monitors_answering", float64(r.n.answering.Load()))
	for name, sees := range hb.Sees {
		r.gauge("peer_up", flag(sees == wire.SeesUp), name)
	}
	for name, ms := range hb.SeenMS {
		r.gauge("peer_heard_age_seconds", float64(ms)/1000, name)
	}
}

func (r reading) ofReplica(role protocol.Role, m replica.Measures) {
	switch role {
	case protocol.RolePrimary:
		r.gauge("view_replicas", float64(m.View), "0")
	case protocol.RoleStandby:
		r.gauge("upstream_connected", flag(m.Streams), "0")
		if m.Heard >= 0 {
			r.gauge("upstream_heard_age_seconds", m.Heard.Seconds(), "0")
		}
	case protocol.RoleNone:
	}
	for _, l := range m.Lags {
		name := r.n.nameOf(l.UUID)
		r.gauge("stream_connected", flag(l.Connected), "0", name)
		r.gauge("replication_lag_records", float64(l.Records), "0", name)
		r.gauge("replication_lag_bytes", float64(l.Bytes), "0", name)
		r.gauge("replication_lag_seconds", l.Age.Seconds(), "0", name)
	}
	r.gauge("watchers", float64(m.Watchers), "0")
	r.gauge("state_keys", float64(m.Keys), "0")
	r.gauge("state_bytes", float64(m.StateBytes), "0")
	if m.StateLimit > 0 {
		r.gauge("state_limit_bytes", float64(m.StateLimit), "0")
	}
	r.gauge("remembered_requests", float64(m.Sessions), "0", "session")
	r.gauge("remembered_requests_limit", store.MaxSessions, "0", "session")
	r.gauge("remembered_requests", float64(m.RequestKeys), "0", "key")
	r.gauge("remembered_requests_limit", store.MaxKeys, "0", "key")
	r.out <- prometheus.MustNewConstMetric(r.desc[journalBytes], prometheus.CounterValue, float64(m.JournalBytes), "0")
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
