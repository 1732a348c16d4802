package protocol_test

import (
	"time"

	"understudy.example/pkg/protocol"
)

const monitorName = "m"

// monitorProcess is one start of the monitor. The registry is on its disk, and
// survives it.
type monitorProcess struct {
	w      *world
	core   *protocol.Monitor
	dead   bool
	frozen time.Time
}

func (w *world) startMonitor() {
	m := &monitorProcess{w: w, core: protocol.NewMonitor(protocol.DefaultMonitorConfig(), w.reg, w.now)}
	w.monitor = m
	w.tell("the monitor starts")
	w.after(w.upTo(300*time.Millisecond), func() {
		m.event(func() { m.core.Lead(true, w.now) })
	})
	w.every(10*time.Millisecond, func() bool {
		m.event(func() { m.core.Tick(w.now) })
		return !m.dead
	})
}

func (m *monitorProcess) event(do func()) {
	switch {
	case m.dead:
	case m.w.now.Before(m.frozen):
		m.w.after(m.frozen.Sub(m.w.now), func() { m.event(do) })
	default:
		do()
		m.carryOut()
		m.w.check.prospect(m.w, m.core.Prospect(0, m.w.now))
	}
}

func (m *monitorProcess) carryOut() {
	for _, e := range m.core.Effects() {
		switch e.Kind {
		case protocol.MonitorProbe:
			m.probe(e)
		case protocol.MonitorPropose:
			if m.w.faults.lossy && m.w.chance(20) {
				continue // the registry's log did not take it in time
			}
			m.w.after(m.w.delay(), func() { m.event(func() { m.w.apply(e.Command) }) })
		case protocol.MonitorLog:
			m.w.tell("monitor: %s %s %s", e.Node, e.Text, e.Detail)
		case protocol.MonitorFailover:
			m.w.check.completed(m.w, e.Report)
		case protocol.MonitorAnswered: // the history tells it as well
		case protocol.MonitorSeal:
			m.seal(e)
		case protocol.MonitorOrderDone:
			m.w.tell("monitor: order %d ends: %s", e.Order, e.Text)
		case protocol.MonitorAskPeers, protocol.MonitorYield: // it is alone
		}
	}
}

// probe asks a node for its heartbeat, and waits for 100 ms.
func (m *monitorProcess) probe(e protocol.MonitorEffect) {
	open := true
	done := func(outcome protocol.ProbeOutcome, r protocol.NodeReport) {
		m.event(func() {
			if open {
				open = false
				m.core.ProbeDone(e.Node, e.Probe, outcome, r, m.w.now)
			}
		})
	}
	m.w.after(100*time.Millisecond, func() { done(protocol.ProbeSilent, protocol.NodeReport{}) })
	n := m.w.node(e.Node)
	m.w.send(monitorName, n.name, func() {
		if n.process == nil || n.process.dead {
			m.w.send(n.name, monitorName, func() { done(protocol.ProbeRefused, protocol.NodeReport{}) })
			return
		}
		p := n.process
		p.event(func() {
			r := p.report()
			m.w.send(n.name, monitorName, func() { done(protocol.ProbeAnswered, r) })
		})
	})
}

func (w *world) node(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// apply changes the registry, and pushes what changed.
func (w *world) apply(c protocol.Command) (protocol.GroupRecord, bool) {
	next, no := w.reg.Apply(c)
	if no != nil {
		w.tell("registry refuses: %s", no.Detail)
		return protocol.GroupRecord{}, false
	}
	before, rec := w.reg.Groups[0], next.Groups[0]
	w.check.registry(w, before, rec)
	if s := c.SetMembers; s != nil && s.Kind == protocol.KindReplaced {
		w.check.replaced(w, before, rec)
	}
	w.reg = next
	w.after(w.upTo(2*time.Millisecond), func() {
		w.monitor.event(func() { w.monitor.core.Registry(w.reg, w.now) })
	})
	if rec.Version == before.Version {
		return rec, true
	}
	w.tell("registry v%d: epoch %d of %s, in sync %v, leaving %v, down %v, held out %v, members %v", rec.Version, rec.Epoch, rec.Primary, rec.InSync, rec.Leaving, rec.Down, rec.HeldOut, rec.Members)
	for _, n := range w.nodes {
		w.send(monitorName, n.name, func() {
			if p := n.process; p != nil {
				p.event(func() { p.record(rec) })
			}
		})
	}
	return rec, true
}

// report is what a node says of itself.
func (p *process) report() protocol.NodeReport {
	return protocol.NodeReport{
		Cluster: p.dir.cluster, Name: p.n.name, UUID: p.me.UUID, Boot: p.me.Boot, Address: p.n.name,
		Priority: protocol.DefaultPriority, State: p.core.State(), Stopping: p.stopping,
		Groups: []protocol.GroupReport{{Epoch: p.core.Accepted(), Position: p.core.Last(), Serving: p.core.Serving()}},
	}
}

// heartbeat tells the monitor of the node, and takes the record from the answer.
func (p *process) heartbeat() {
	w, r := p.w, p.report()
	w.send(p.n.name, monitorName, func() {
		w.monitor.event(func() {
			if no := w.monitor.core.Heard(r, w.now); no != nil {
				w.tell("monitor refuses %s %s: %s", r.Name, r.Boot, no.Detail)
				return
			}
			rec, cluster := w.reg.Groups[0], w.reg.Cluster
			w.send(monitorName, p.n.name, func() {
				p.event(func() {
					p.dir.cluster = cluster
					p.record(rec)
				})
			})
		})
	})
}

// propose brings a primary's wish to the registry.
func (p *process) propose(c protocol.ChangeInSync) {
	w := p.w
	w.tell("%s asks on v%d for %v: %s", p.n.name, c.Version, c.InSync, c.Reason)
	w.send(p.n.name, monitorName, func() {
		w.monitor.event(func() {
			rec, ok := w.apply(protocol.Command{ChangeInSync: &c})
			if ok {
				w.send(monitorName, p.n.name, func() { p.event(func() { p.record(rec) }) })
			}
		})
	})
}
