package protocol_test

import (
	"time"

	"understudy.example/pkg/protocol"
)

// monitorProcess is one start of a monitor. The registry is on the disks of all,
// and survives them.
type monitorProcess struct {
	w      *world
	number int
	name   string
	core   *protocol.Monitor
	known  protocol.Registry // what it has applied: the leader all, a follower perhaps less
	dead   bool
	frozen time.Time
}

// startMonitors starts one monitor or three, of which one comes to lead.
func (w *world) startMonitors() {
	w.monitors = make([]*monitorProcess, 1+2*w.rng.IntN(2))
	for i := range w.monitors {
		w.startMonitor(i)
	}
	w.monitor = w.monitors[0]
	w.after(w.upTo(300*time.Millisecond), w.elect)
	w.every(50*time.Millisecond, func() bool {
		if !w.monitor.well() {
			w.after(w.upTo(400*time.Millisecond), w.elect)
		}
		return true
	})
}

func (w *world) startMonitor(number int) {
	m := &monitorProcess{
		w: w, number: number, name: "m" + string(rune('1'+number)), known: w.reg,
		core: protocol.NewMonitor(protocol.DefaultMonitorConfig(), w.reg, w.now),
	}
	again := w.monitor == w.monitors[number] && w.monitor != nil
	w.monitors[number] = m
	w.tell("%s starts", m.name)
	if again {
		w.monitor = m // nobody was elected meanwhile
		w.after(w.upTo(300*time.Millisecond), w.elect)
	}
	w.every(10*time.Millisecond, func() bool {
		m.event(func() { m.core.Tick(w.now) })
		return !m.dead
	})
}

// well tells whether a monitor takes part in the registry.
func (m *monitorProcess) well() bool { return !m.dead && !m.w.now.Before(m.frozen) }

// elect has a monitor lead that is well: the one that did, or any other.
func (w *world) elect() {
	if w.monitor.well() {
		w.lead(w.monitor)
		return
	}
	var able []*monitorProcess
	for _, m := range w.monitors {
		if m.well() {
			able = append(able, m)
		}
	}
	if len(able)*2 > len(w.monitors) {
		w.lead(able[w.rng.IntN(len(able))])
	}
}

// lead makes a monitor the leader. One that was frozen learns of it late.
func (w *world) lead(m *monitorProcess) {
	if old := w.monitor; old != m {
		w.tell("%s leads the registry", m.name)
		w.monitor = m
		old.event(func() { old.core.Lead(w.monitor == old, w.now) }) // it may lead again by then
	}
	m.event(func() {
		m.learn()
		m.core.Lead(w.monitor == m, w.now)
	})
}

// yield hands the leadership over, now and then of its own accord.
func (w *world) yield() {
	if m := w.monitors[w.rng.IntN(len(w.monitors))]; m.well() {
		w.lead(m)
	}
}

func (m *monitorProcess) learn() {
	m.known = m.w.reg
	m.core.Registry(m.known, m.w.now)
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
			m.propose(e.Command)
		case protocol.MonitorLog:
			m.w.tell("%s: %s %s %s", m.name, e.Node, e.Text, e.Detail)
		case protocol.MonitorFailover:
			m.w.check.completed(m.w, e.Report)
		case protocol.MonitorAnswered: // the history tells it as well
		case protocol.MonitorSeal:
			m.seal(e)
		case protocol.MonitorOrderDone:
			m.w.tell("%s: order %d ends: %s", m.name, e.Order, e.Text)
		case protocol.MonitorAskPeers:
			m.askPeers(e.Node)
		case protocol.MonitorYield:
			m.propose(e.Command)
			for _, other := range m.w.monitors {
				if other.name == e.Peer && other.well() && m == m.w.monitor {
					m.w.lead(other)
				}
			}
		}
	}
}

// propose brings a command to the registry, which takes it of the leader alone. It
// may be applied late, when another leads.
func (m *monitorProcess) propose(c protocol.Command) {
	if m != m.w.monitor || m.w.faults.lossy && m.w.chance(20) {
		return
	}
	registry := m.w.loss.lives
	m.w.after(m.w.delay(), func() {
		if m.w.loss.lives == registry {
			m.w.apply(c)
		}
	})
}

// askPeers asks the other monitors whether they hear a node.
func (m *monitorProcess) askPeers(node string) {
	for _, other := range m.w.monitors {
		if other == m {
			continue
		}
		m.w.send(m.name, other.name, func() {
			other.event(func() {
				for _, n := range other.core.Nodes() {
					if n.Entry.Name == node && !n.Heard.IsZero() {
						ago := m.w.now.Sub(n.Heard)
						m.w.send(other.name, m.name, func() {
							m.event(func() { m.core.PeerHears(other.name, node, ago, m.w.now) })
						})
					}
				}
			})
		})
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
	m.w.send(m.name, n.name, func() {
		if n.process == nil || n.process.dead {
			m.w.send(n.name, m.name, func() { done(protocol.ProbeRefused, protocol.NodeReport{}) })
			return
		}
		p := n.process
		p.event(func() {
			r := p.report()
			m.w.send(n.name, m.name, func() { done(protocol.ProbeAnswered, r) })
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
	for _, m := range w.monitors {
		late := 2 * time.Millisecond
		if m != w.monitor {
			late = 60 * time.Millisecond
		}
		w.after(w.upTo(late), func() { m.event(m.learn) })
	}
	if rec.Version == before.Version {
		return rec, true
	}
	w.tell("registry v%d: epoch %d of %s, in sync %v, leaving %v, down %v, held out %v, members %v", rec.Version, rec.Epoch, rec.Primary, rec.InSync, rec.Leaving, rec.Down, rec.HeldOut, rec.Members)
	for _, n := range w.nodes {
		w.send(w.monitor.name, n.name, func() {
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
		Groups: []protocol.GroupReport{{Epoch: p.core.Accepted(), Version: p.core.GroupRecord().Version, Position: p.core.Last(), Serving: p.core.Serving()}},
		Knows:  p.knows,
	}
}

// heartbeat tells every monitor of the node, and takes the record from the answers.
func (p *process) heartbeat() {
	for _, m := range p.w.monitors {
		p.heartbeatTo(m)
	}
}

func (p *process) heartbeatTo(m *monitorProcess) {
	w, r := p.w, p.report()
	w.send(p.n.name, m.name, func() {
		m.event(func() {
			if no := m.core.Heard(r, w.now); no != nil {
				w.tell("%s refuses %s %s: %s", m.name, r.Name, r.Boot, no.Detail)
				return
			}
			rec, cluster, knows := m.known.Groups[0], m.known.Cluster, map[string]protocol.UUID{}
			for name, e := range m.known.Nodes {
				if e.UUID != r.UUID {
					knows[name] = e.UUID
				}
			}
			w.send(m.name, p.n.name, func() {
				p.event(func() {
					p.dir.cluster, p.knows = cluster, knows
					p.record(rec)
				})
			})
		})
	})
}

// propose brings a primary's wish to the registry, by way of any monitor.
func (p *process) propose(c protocol.ChangeInSync) {
	w := p.w
	w.tell("%s asks on v%d for %v: %s", p.n.name, c.Version, c.InSync, c.Reason)
	via := w.monitors[w.rng.IntN(len(w.monitors))]
	w.send(p.n.name, via.name, func() {
		via.event(func() {
			if via == w.monitor {
				p.judged(via, c)
				return
			}
			leader := w.monitor
			w.send(via.name, leader.name, func() { leader.event(func() { p.judged(leader, c) }) })
		})
	})
}

// judged has the registry judge a wish at a monitor, if that leads.
func (p *process) judged(m *monitorProcess, c protocol.ChangeInSync) {
	w := p.w
	if m != w.monitor {
		return
	}
	if rec, ok := w.apply(protocol.Command{ChangeInSync: &c}); ok {
		w.send(m.name, p.n.name, func() { p.event(func() { p.record(rec) }) })
	}
}
