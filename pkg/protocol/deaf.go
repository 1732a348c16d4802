package protocol

import (
	"fmt"
	"time"
)

// yieldWithin is how long a hand-over of the leadership may take before this monitor
// decides by itself after all.
const yieldWithin = 500 * time.Millisecond

// peerSight is what another monitor told of a node: when it had heard it last, by
// this monitor's clock.
type peerSight struct {
	peer  string
	heard time.Time
}

// askPeers asks the other monitors whether they hear a suspect. It is asked during
// the retries, and never waited for.
func (m *Monitor) askPeers(suspect *watch) {
	for _, rec := range m.reg.Groups {
		if m.leader && rec.Epoch > 0 && rec.Primary.UUID == suspect.entry.UUID {
			m.emit(MonitorEffect{Kind: MonitorAskPeers, Node: suspect.name})
			return
		}
	}
}

// PeerHears tells how long ago another monitor heard a node, in answer to
// MonitorAskPeers.
func (m *Monitor) PeerHears(peer, node string, ago time.Duration, now time.Time) {
	w := m.nodes[node]
	if w == nil {
		return
	}
	if heard := now.Add(-ago); heard.After(w.elsewhere.heard) {
		w.elsewhere = peerSight{peer, heard}
		m.judge(now)
	}
}

// deafTo returns the monitor that hears the primary where this one does not, or "".
// Heartbeats come in turn: one that another heard a little later proves nothing.
func (s *situation) deafTo() string {
	p := s.primary
	if s.cause() != "primary-down" || p.heard.IsZero() {
		return ""
	}
	margin := 2 * time.Duration(s.m.reg.Settings.HeartbeatInterval)
	if e := p.elsewhere; e.peer != "" && e.heard.Sub(p.heard) > margin {
		return e.peer
	}
	return ""
}

// mayYield tells whether the leadership is to be handed over instead of failing
// over, or is just being handed over.
func (s *situation) mayYield() bool {
	if s.deafTo() == "" {
		return false
	}
	since := s.now.Sub(s.m.yielded)
	return s.m.yielded.IsZero() || since < yieldWithin || since >= s.m.cfg.YieldAgain
}

// yield hands the leadership to the monitor that hears the primary.
func (s *situation) yield() {
	if !s.m.yielded.IsZero() && s.now.Sub(s.m.yielded) < yieldWithin {
		return // it is under way
	}
	s.m.yielded = s.now
	to := s.deafTo()
	why := fmt.Sprintf("%s is not heard here and monitor %s hears it: it leads instead, and nothing fails over", s.primary.name, to)
	s.m.emit(MonitorEffect{Kind: MonitorLog, Level: LogWarn, Group: s.id, Node: s.primary.name, Text: "leadership handed over", Detail: why})
	s.m.emit(MonitorEffect{
		Kind: MonitorYield, Group: s.id, Peer: to,
		Command: Command{Note: &HistoryEvent{Kind: "leader-deaf", Group: s.id, Epoch: s.rec.Epoch, Node: s.primary.name, Detail: why}},
	})
}
