package protocol_test

import (
	"time"

	"understudy.example/pkg/protocol"
)

// sealing is a seal as the shell of a primary sees it.
type sealing struct {
	answer func(at protocol.Position, err string) // whoever asked waits for it; nil: nobody
	since  time.Time
	at     protocol.Position // zero until everything is committed
}

// seal brings the monitor's wish to the primary. The answer may never come.
func (m *monitorProcess) seal(e protocol.MonitorEffect) {
	n := m.w.node(e.Node)
	m.w.send(m.name, n.name, func() {
		if n.process == nil {
			return
		}
		p := n.process
		p.event(func() {
			p.seal(e, func(at protocol.Position, err string) {
				m.w.send(n.name, m.name, func() {
					m.event(func() {
						m.core.SealAnswered(protocol.SealAnswer{Order: e.Order, Position: at, Err: err}, m.w.now)
					})
				})
			})
		})
	})
}

func (p *process) seal(e protocol.MonitorEffect, answer func(protocol.Position, string)) {
	before := p.core.Sealed()
	if no := p.core.Seal(e.Epoch, e.To, p.w.now); no != nil {
		p.w.tell("%s does not seal: %s", p.n.name, no.Detail)
		answer(protocol.Position{}, no.Detail)
		return
	}
	if !before {
		p.sealing.since = p.w.now
	}
	p.sealing.answer = answer
}

// sealed tells whoever waits that the successor holds everything.
func (p *process) sealed(e protocol.Effect) {
	if !p.core.Sealed() {
		return // it has ended since
	}
	p.w.check.sealed(p.w, p, e)
	p.sealing.at = e.Position
	if p.sealing.answer != nil {
		p.sealing.answer(e.Position, "")
		p.sealing.answer = nil
	}
}

func (p *process) reopened(why string) {
	if p.sealing.answer != nil {
		p.sealing.answer(protocol.Position{}, why)
	}
	p.sealing = sealing{}
	p.next()
}

// sealed: the successor has all that the primary has.
func (c *checker) sealed(w *world, p *process, e protocol.Effect) {
	w.tell("%s is sealed at %s for %s", p.n.name, e.Position, e.Peer)
	if d := w.directory(e.Peer); d != nil && (e.Position != p.dir.last() || !holds(d, e.Position, d.durable)) {
		c.fail(w, "%s is sealed at %s with %s, and %s has %s (%d durable)", p.n.name, e.Position, p.dir.last(), e.Peer, d.last(), d.durable)
	}
}

// sealedFor: a sealed primary does not stay so, and appends nothing meanwhile.
func (c *checker) sealedFor(w *world, p *process) {
	if !p.core.Sealed() {
		return
	}
	if s := p.sealing; !s.since.IsZero() && w.now.Sub(s.since) > simConfig().SealFor {
		c.fail(w, "%s has been sealed since %s", p.n.name, s.since.Sub(w.start))
	}
	if at := p.sealing.at; at.Seq > 0 && at != p.dir.last() {
		c.fail(w, "%s was sealed at %s and goes on to %s", p.n.name, at, p.dir.last())
	}
}

// completed counts the changes of the primary that the monitor tells of.
func (c *checker) completed(w *world, f protocol.Failover) {
	c.failovers++
	if f.Kind == protocol.KindSwitchover {
		c.switchovers++
	}
	w.tell("monitor: %s complete: %v", f.Kind, f.Timeline())
}

// switchOver has an operator order a switchover, to a node of any kind.
func (w *world) switchOver() {
	o := protocol.Order{By: "somebody", Reason: "a change"}
	if w.rng.IntN(2) == 0 {
		o.To = w.anyNode().name
	}
	w.monitor.event(func() { w.ordered(w.monitor.core.Switchover(o, w.now)) })
}

// failOver has an operator order a failover, whatever the primary does.
func (w *world) failOver() {
	o := protocol.Order{By: "somebody", Reason: "a change"}
	if w.rng.IntN(2) == 0 {
		o.To = w.anyNode().name
	}
	w.monitor.event(func() { w.ordered(w.monitor.core.FailOver(o, w.now)) })
}

func (w *world) ordered(order uint64, no *protocol.Refusal) {
	if no != nil {
		w.tell("monitor refuses an order: %s", no.Detail)
		return
	}
	w.tell("monitor takes order %d", order)
}

// pauseAwhile keeps failovers from being decided, and resumes them.
func (w *world) pauseAwhile() {
	w.pause(true)
	w.after(w.away(), func() { w.pause(false) })
}

func (w *world) pause(on bool) {
	if s := w.reg.Settings; s.Paused != on {
		s.Paused = on
		w.tell("failovers paused: %v", on)
		w.apply(protocol.Command{SetConfig: &protocol.SetConfig{Settings: s}})
	}
}

// handOff has a node stop as it is asked to: it exits when it has nothing left to
// hand over, or after 5 s, and is started again.
func (w *world) handOff() {
	p := w.anyNode().process
	if p == nil || p.dead || p.stopping {
		return
	}
	w.tell("%s is asked to stop", p.n.name)
	p.stopping = true
	p.event(p.heartbeat)
	until := w.now.Add(5 * time.Second)
	w.every(10*time.Millisecond, func() bool {
		p.event(func() {
			switch {
			case p.core.MayExit():
				w.check.handOffs++
			case w.now.Before(until):
				return
			}
			w.tell("%s has stopped, nothing left to hand over: %v", p.n.name, p.core.MayExit())
			w.stop(p.n, w.away())
		})
		return !p.dead
	})
}
