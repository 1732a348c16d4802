package protocol

import (
	"slices"
	"time"
)

// NextTick returns when the next tick is due: before, and as long as no event comes,
// [Monitor.Tick] would do nothing. It is never so late that a monitor at rest would
// hold itself for asleep. A moment in the past is due.
func (m *Monitor) NextTick() time.Time {
	if m.stirred {
		return m.ticked
	}
	// Later than the next heartbeat, which puts it off: at rest nothing else wakes
	// the monitor.
	d := deadline{after: m.ticked, at: m.awakeAt.Add(m.cfg.SleptAfter * 3 / 5)}
	if m.reg.Cluster == "" {
		return d.at
	}
	expiry := time.Duration(m.reg.Settings.HeartbeatExpiry)
	d.from(m.awake, expiry)
	d.from(m.firstHeard, m.cfg.BirthWait)
	d.from(m.yielded, yieldWithin)
	d.from(m.yielded, m.cfg.YieldAgain)
	for _, w := range m.nodes {
		if w.entry.Name != "" {
			m.nodeDeadline(&d, w, expiry)
		}
	}
	for _, g := range m.groups {
		m.groupDeadline(&d, g)
	}
	for _, s := range m.strangers {
		d.from(s.heard, strangerFresh+1)
	}
	return d.at
}

func (m *Monitor) nodeDeadline(d *deadline, w *watch, expiry time.Duration) {
	heard := later(w.heard, m.awake)
	d.from(w.heard, expiry+1) // an expiry is over only after it
	d.from(heard, expiry+1)
	if w.down {
		d.from(heard, time.Duration(m.reg.Settings.ReplaceAfter))
		d.from(w.forgetAt, m.cfg.ProposeAgain)
	}
	if s := w.suspicion; s != nil && s.sent < m.reg.Settings.Retries {
		d.until(s.next)
	}
}

func (m *Monitor) groupDeadline(d *deadline, g *groupWatch) {
	d.from(g.proposed, m.cfg.ProposeAgain)
	d.from(g.idle, m.cfg.TakeOver)
	d.until(g.retry.until)
	if g.untold != nil {
		d.from(g.untold.Serving, answerWait)
	}
	if g.plan != nil {
		d.until(g.plan.until)
	}
}

// deadline is the earliest of the moments that it is told of and that no tick has
// seen yet.
type deadline struct{ after, at time.Time }

func (d *deadline) until(t time.Time) {
	if t.After(d.after) && t.Before(d.at) {
		d.at = t
	}
}

func (d *deadline) from(t time.Time, wait time.Duration) {
	if !t.IsZero() && wait > 0 {
		d.until(t.Add(wait))
	}
}

// Awake tells that the process runs at this moment. Before anything else is made of
// a moment, a monitor that has stood still must know it: what it did not hear
// meanwhile says nothing of the nodes.
func (m *Monitor) Awake(now time.Time) {
	if slept := now.Sub(m.awakeAt); slept > m.cfg.SleptAfter {
		m.log(LogWarn, "", "monitor slept, learning anew before it judges", slept.String())
		m.awake = now
		for _, w := range m.nodes {
			w.suspicion = nil
		}
		m.stirred = true
	}
	m.awakeAt = now
}

// Stirred tells that something has happened since the last tick beside heartbeats
// that say nothing new. The next tick is then due at once.
func (m *Monitor) Stirred() bool { return m.stirred }

// saysNew tells whether a report may change what the rules decide or people are
// shown. How far a journal has come, and how long ago others were seen, is looked at
// when a decision is made for another reason.
func (m *Monitor) saysNew(w *watch, n NodeReport) bool {
	o := w.report
	stalls := func(r NodeReport) bool { return r.DiskAge >= m.cfg.DiskStall }
	return w.heard.IsZero() || w.suspicion != nil || w.down || w.spareAsked ||
		n.Address != w.entry.Address || n.Priority != w.entry.Priority ||
		n.State != o.State || n.Stopping != o.Stopping || n.DiskFull != o.DiskFull || n.DiskFailed != o.DiskFailed ||
		stalls(n) != stalls(o) ||
		!slices.EqualFunc(n.Groups, o.Groups, func(a, b GroupReport) bool {
			a.Position, b.Position = Position{}, Position{}
			return a == b
		})
}

// tickPause is the pause between two ticks of a replica that awaits something.
const tickPause = 10 * time.Millisecond

// NextTick returns when [Replica.Tick] is due, as long as no effect is pending: every
// 10 ms at a primary that has waited for somebody for longer than is usual, and
// otherwise when the next confirm is due. What a primary begins to await without an
// effect that tells of it has a longer bound than that, and slowness is summed up when
// an answer comes, too: so it does the same as one that ticks all the time, little
// more than ConfirmEvery later at most.
func (r *Replica) NextTick() time.Time {
	rest := r.lastTick.Add(r.cfg.SleptAfter / 2)
	switch g := r.reign; {
	case g == nil:
		return rest
	case r.awaits():
		return r.lastTick.Add(tickPause)
	default:
		next := deadline{after: r.lastTick, at: rest}
		next.from(g.confirmAt, r.cfg.ConfirmEvery)
		return next.at
	}
}

// awaits tells whether a primary waits for anything that time may soon end.
func (r *Replica) awaits() bool {
	g := r.reign
	if !g.serving || r.Sealed() || g.asked.version == r.record.Version {
		return true
	}
	for u, p := range g.peers {
		inSync := r.record.IsInSync(u)
		switch {
		case inSync && (p.conn == 0 || p.trouble != "" || r.awaited(p, r.lastTick) >= r.cfg.SlowAfter):
			return true
		case !inSync && (p.entering || p.conn != 0 && r.record.MayAdd(u)):
			return true
		}
	}
	return false
}
