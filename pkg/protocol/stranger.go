package protocol

import (
	"maps"
	"slices"
	"time"
)

// Bounds of what is remembered of strangers.
const (
	// MaxStrangers is how many there are at most: the one not heard for longest goes
	// first.
	MaxStrangers = 64
	// strangerKept is how long one that is not heard any more is remembered: a node
	// that was there must not be forgotten while the registry is rebuilt.
	strangerKept = 10 * time.Minute
	// strangerFresh is how old a stranger's last word may be for it to be there.
	strangerFresh = time.Second
)

// stranger is a node that is refused, with a journal that this registry knows nothing
// of or from another cluster: what a registry that was lost is rebuilt from.
type stranger struct {
	report NodeReport
	heard  time.Time
}

// estrange refuses a node, and remembers the newest that it said.
func (m *Monitor) estrange(n NodeReport, why *Refusal, now time.Time) *Refusal {
	if n.Cluster == "" {
		return why // it belongs to no cluster, and brings nothing
	}
	old, known := m.strangers[n.UUID]
	if known && n.Boot.Count < old.report.Boot.Count {
		return why // a late word of a process that is gone
	}
	if !known {
		m.log(LogWarn, n.Name, "a stranger is refused", why.Detail)
		m.forgetStrangers(now)
	}
	m.strangers[n.UUID] = stranger{n, now}
	return why
}

// refuseForeign says what becomes of a node of another cluster, and how a registry
// that was lost is rebuilt.
func (m *Monitor) refuseForeign(n NodeReport) *Refusal {
	text := "point it at its own monitors, or give it an empty data directory"
	if !m.reg.inUse() {
		text = "if this registry is new because the old one was lost, have it rebuilt from the nodes with client -adopt; else " + text
	}
	return refuse(RefuseWrongCluster, "%s belongs to cluster %s and this monitor to %s: %s", n.Name, n.Cluster, m.reg.Cluster, text)
}

// inUse tells whether a group has ever had a primary under this registry.
func (g Registry) inUse() bool {
	for _, r := range g.Groups {
		if r.Epoch > 0 {
			return true
		}
	}
	return false
}

// forgetStrangers makes room for one more.
func (m *Monitor) forgetStrangers(now time.Time) {
	maps.DeleteFunc(m.strangers, func(_ UUID, s stranger) bool { return now.Sub(s.heard) > strangerKept })
	for len(m.strangers) >= MaxStrangers {
		delete(m.strangers, slices.MinFunc(sortedKeys(m.strangers), func(a, b UUID) int {
			return m.strangers[a].heard.Compare(m.strangers[b].heard)
		}))
	}
}

// welcome has the registered nodes be strangers no longer. What one said as such
// counts: it must not be taken for silent until its next heartbeat.
func (m *Monitor) welcome(reg Registry) {
	for name, entry := range reg.Nodes {
		s, known := m.strangers[entry.UUID]
		if !known {
			continue
		}
		delete(m.strangers, entry.UUID)
		if w := m.watch(name); w.heard.IsZero() && w.matches(s.report) {
			w.report, w.heard = s.report, s.heard
		}
	}
}

// knocking returns a node that is refused and has had a primary, if one is there: it
// is of another cluster, or this registry is a copy from before the group's birth. Its
// own journal may be empty: others have theirs.
func (m *Monitor) knocking(now time.Time) (NodeReport, bool) {
	for _, u := range sortedKeys(m.strangers) {
		s := m.strangers[u]
		if (!s.report.empty() || s.report.epoch() > 0) && now.Sub(s.heard) <= strangerFresh {
			return s.report, true
		}
	}
	return NodeReport{}, false
}

// birthHeld tells whether the group may have been lost with the registry: a new one
// that is born beside it would have clients find an empty map.
func (s *situation) birthHeld() bool {
	_, there := s.m.knocking(s.now)
	return there && s.rec.Epoch == 0
}

func (s *situation) heldDetail() string {
	n, _ := s.m.knocking(s.now)
	if n.Cluster == s.m.reg.Cluster {
		return refuseUnknown(n.Name).Detail
	}
	return s.m.refuseForeign(n).Detail
}

// refuseUnknown says what becomes of a node whose journal was written under another
// registry of its cluster.
func refuseUnknown(name string) *Refusal {
	return refuse(RefuseRegistryBehind, "%s brings a journal that this registry knows nothing of: if the registry is an old copy, bring back the newest one, or have it rebuilt from the nodes with client -adopt", name)
}
