package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// watch is what the monitor knows of one registered name.
type watch struct {
	name  string
	entry NodeEntry // zero before the node is registered
	// report and heard are of the registered boot; heard is the monitor's own
	// clock, zero when nothing has been heard yet.
	report    NodeReport
	heard     time.Time
	suspicion *suspicion
	down      bool
	downAt    time.Time
	doubted   time.Time // of one that is down: when the suspicion began
	elsewhere peerSight // of a suspect: who else hears it
	// closedAt is the newest question when the node's connection closed, until it is
	// heard again; 0: it is open.
	closedAt uint64
	// claim is another boot or uuid that says it is this node.
	claim    *claim
	askedFor NodeEntry // the entry last proposed, and when
	askedAt  time.Time
	// spareAsked tells that another machine was asked for in its place.
	spareAsked bool
	forgetAt   time.Time // when it was last proposed that the removed node be forgotten
}

// suspicion is the time between doubt and judgement: retries, each a probe.
type suspicion struct {
	since    time.Time
	interval time.Duration
	next     time.Time
	sent     int
	failed   int
	probes   []uint64
	closed   bool // began with a refused or closed connection
}

// claim is a newcomer under a known name. It is believed when the old process
// is certainly gone.
type claim struct {
	report NodeReport
	heard  time.Time
	probe  uint64 // 0: not asked yet
	sentAt time.Time
	denied time.Time // when the old process was found alive
	silent bool      // the old address gave no sign at all
	own    bool      // the probe went to its own address
	agreed bool
}

// claimTimeout is how long a probe for a claim is waited for before another is
// sent, and how long a denial holds.
const claimTimeout = time.Second

func (m *Monitor) watch(name string) *watch {
	w := m.nodes[name]
	if w == nil {
		w = &watch{name: name}
		m.nodes[name] = w
	}
	return w
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// adoptEntry takes the registered entry of the name. A new boot or uuid starts
// with what its claim said.
func (w *watch) adoptEntry(e NodeEntry) {
	changed := w.entry.UUID != e.UUID || w.entry.Boot != e.Boot
	w.entry = e
	if !changed {
		return
	}
	w.report, w.heard, w.suspicion, w.down, w.closedAt = NodeReport{}, time.Time{}, nil, false, 0
	if c := w.claim; c != nil && c.report.UUID == e.UUID && c.report.Boot == e.Boot {
		w.report, w.heard = c.report, c.heard
	}
	w.claim = nil
}

func (w *watch) matches(n NodeReport) bool {
	return w.entry.UUID == n.UUID && w.entry.Boot == n.Boot
}

// Heard takes a heartbeat, or the answer to a probe. It is refused from a
// stranger, from a boot that was replaced, and from a newcomer whose name is
// held by a living process.
func (m *Monitor) Heard(n NodeReport, now time.Time) *Refusal {
	switch {
	case m.reg.Cluster == "":
		return nil // no registry yet: the node asks again
	case n.Cluster != "" && n.Cluster != m.reg.Cluster:
		m.stirred = true
		return m.estrange(n, m.refuseForeign(n), now)
	}
	if m.firstHeard.IsZero() {
		m.firstHeard = now
	}
	w := m.watch(n.Name)
	if w.entry.Name != "" && w.matches(n) {
		m.heardRegistered(w, n, now)
		return nil
	}
	m.stirred = true
	if w.entry.Name != "" && w.entry.hasReplaced(n.UUID, n.Boot) {
		return refuse(RefuseDuplicateNode, "boot %s of %s has been replaced by boot %s: stop one of the two processes", n.Boot, n.Name, w.entry.Boot)
	}
	if w.claim == nil || w.claim.report.UUID != n.UUID || w.claim.report.Boot != n.Boot {
		w.claim = &claim{}
	}
	w.claim.report, w.claim.heard = n, now
	return m.pursueClaim(w, now)
}

// Ask returns the number of a question that the shell puts to nodes of its own
// accord.
func (m *Monitor) Ask() uint64 {
	m.probes++
	return m.probes
}

// HeardAnswer takes what a node says in answer to a question. What it was asked
// before its connection closed it may have answered before it died: on another
// connection, that may arrive after the close, and is no sign of life then.
func (m *Monitor) HeardAnswer(n NodeReport, question uint64, now time.Time) *Refusal {
	if w := m.nodes[n.Name]; w != nil && w.isOutdated(n, question) {
		return nil
	}
	return m.Heard(n, now)
}

func (w *watch) isOutdated(n NodeReport, question uint64) bool {
	return w.matches(n) && question <= w.closedAt
}

func (m *Monitor) heardRegistered(w *watch, n NodeReport, now time.Time) {
	if m.deaf(now) {
		m.log(LogWarn, w.name, "nobody had been heard, learning anew before it judges", "")
		m.awake, m.stirred = now, true
	}
	if w.suspicion != nil && w.suspicion.sent > 0 {
		m.log(LogInfo, w.name, "node heard again, suspicion cleared", "")
	}
	if w.down {
		m.log(LogInfo, w.name, "node is back", fmt.Sprintf("after %s", now.Sub(w.downAt).Round(time.Millisecond)))
	}
	news := m.saysNew(w, n)
	w.report, w.heard, w.suspicion, w.down, w.spareAsked, w.closedAt = n, now, nil, false, false, 0
	if w.claim != nil {
		w.claim.agreed = false // this process is not gone after all, or has only just gone
	}
	for _, g := range m.groups {
		if g.failover != nil && g.failover.From == w.name && g.failover.Epoch == 0 {
			g.failover = nil // it was judged down, and nobody was promoted
		}
	}
	if n.Address != w.entry.Address || n.Priority != w.entry.Priority {
		m.register(w, n, now)
	}
	if news {
		m.judge(now)
	}
}

// deaf tells whether no node at all has been heard for an expiry, which says more
// of this monitor's network than of the nodes. When it ends, whoever is heard
// first must not take over from a primary that will be heard a moment later.
func (m *Monitor) deaf(now time.Time) bool {
	registered := 0
	for _, w := range m.nodes {
		if w.entry.Name == "" {
			continue
		}
		registered++
		if now.Sub(w.heard) < time.Duration(m.reg.Settings.HeartbeatExpiry) {
			return false
		}
	}
	return registered > 1 && !m.Learning(now)
}

// register proposes the entry of a node, not more often than ProposeAgain.
func (m *Monitor) register(w *watch, n NodeReport, now time.Time) {
	e := NodeEntry{Name: n.Name, UUID: n.UUID, Boot: n.Boot, Address: n.Address, Priority: n.Priority}
	if !m.leader || (w.askedFor.UUID == e.UUID && w.askedFor.Boot == e.Boot && w.askedFor.Address == e.Address && now.Sub(w.askedAt) < m.cfg.ProposeAgain) {
		return
	}
	w.askedFor, w.askedAt = e, now
	m.emit(MonitorEffect{Kind: MonitorPropose, Node: n.Name, Command: Command{Register: &Register{
		Node: e, Epoch: n.epoch(), Empty: n.empty(), Over: &ReplicaBoot{w.entry.UUID, w.entry.Boot},
		Cluster: n.Cluster, Journal: n.journal(),
	}}})
}

// pursueClaim registers a newcomer whose name is free, or asks whether the old
// process is gone.
func (m *Monitor) pursueClaim(w *watch, now time.Time) *Refusal {
	c := w.claim
	if no := m.reg.refuseRemoved(w.name, c.report.UUID); no != nil {
		return no
	}
	switch {
	case !m.reg.mayBring(Register{Node: NodeEntry{UUID: c.report.UUID}, Empty: c.report.empty(), Cluster: c.report.Cluster, Journal: c.report.journal()}):
		return m.estrange(c.report, refuseUnknown(w.name), now)
	case w.entry.Name == "" || c.agreed:
		m.register(w, c.report, now)
	case w.down && c.report.UUID != w.entry.UUID:
		// An empty replica can claim nothing that was acknowledged, so the
		// judgement that the old one is down is enough. But it must be there
		// itself: a late word of a process that is gone would lock out one that
		// was only frozen.
		if c.probe == 0 || now.Sub(c.sentAt) >= claimTimeout {
			c.probe, c.sentAt, c.own = m.probe(w.name, c.report.Address), now, true
		}
	case !c.denied.IsZero() && now.Sub(c.denied) < claimTimeout:
		return refuse(RefuseDuplicateNode, "another process named %s is alive at %s: stop it, or give this one another name", w.name, w.entry.Address)
	case c.probe == 0 || now.Sub(c.sentAt) >= claimTimeout:
		c.probe, c.sentAt, c.own = m.probe(w.name, w.entry.Address), now, false
	}
	if c.silent {
		return refuse(RefuseDuplicateNode, "%s is registered at %s, where nobody answers and nobody refuses: its old process may be alive behind a broken network; start this one at that address, or make sure that connections to it are refused", w.name, w.entry.Address)
	}
	return nil
}

func (m *Monitor) probe(name, address string) uint64 {
	number := m.Ask()
	m.emit(MonitorEffect{Kind: MonitorProbe, Node: name, Address: address, Probe: number})
	return number
}

// ProbeOutcome is how a probe ended.
type ProbeOutcome uint8

// The outcomes of a probe.
const (
	ProbeAnswered ProbeOutcome = iota // by whom, the report says
	ProbeRefused                      // nobody listens there
	ProbeSilent                       // no answer within the deadline
)

// ProbeDone tells how a probe ended. answered is the report that came, if any.
func (m *Monitor) ProbeDone(name string, number uint64, outcome ProbeOutcome, answered NodeReport, now time.Time) {
	w := m.nodes[name]
	if w == nil {
		return
	}
	m.stirred = true
	if c := w.claim; c != nil && c.probe == number {
		m.claimAnswered(w, outcome, answered, now)
		return
	}
	if outcome == ProbeAnswered {
		// An answer of the registered boot clears its suspicion. One of another boot
		// is a claim, and no sign of life of the one that was asked.
		if no := m.HeardAnswer(answered, number, now); no != nil {
			m.log(LogWarn, name, "probe answered by a stranger", no.Detail)
		}
	}
	if s := w.suspicion; s != nil && slices.Contains(s.probes, number) {
		switch {
		case outcome == ProbeAnswered && w.isOutdated(answered, number):
			s.sent-- // it proves nothing either way: another is sent
		case outcome == ProbeRefused:
			s.hurry(m.cfg.FastInterval, now)
			s.failed++
		default:
			s.failed++
		}
		m.tickNode(w, now)
		m.judge(now)
	}
}

func (m *Monitor) claimAnswered(w *watch, outcome ProbeOutcome, answered NodeReport, now time.Time) {
	c := w.claim
	c.probe, c.silent = 0, false
	itself := outcome == ProbeAnswered && answered.UUID == c.report.UUID && answered.Boot == c.report.Boot
	switch {
	case itself, outcome == ProbeRefused && !c.own:
		c.agreed = true
		m.register(w, c.report, now)
	case c.own: // it is not there, or not any more
	case outcome == ProbeAnswered:
		c.denied = now
		m.log(LogWarn, w.name, "newcomer refused, the old process is alive", c.report.Boot.String())
	default: // silence proves nothing
		c.silent = true
	}
}

// hurry shortens the pauses of a suspicion: somebody answered that nobody is
// there.
func (s *suspicion) hurry(interval time.Duration, now time.Time) {
	s.interval = min(s.interval, interval)
	s.closed = true
	if next := now.Add(s.interval); next.Before(s.next) {
		s.next = next
	}
}

// ConnClosed tells that a node closed its heartbeat connection. It raises a
// suspicion at once, and declares nobody dead by itself.
func (m *Monitor) ConnClosed(name string, boot Boot, now time.Time) {
	w := m.nodes[name]
	if w == nil || w.entry.Boot != boot {
		return
	}
	w.closedAt = m.probes
	if w.heard.IsZero() || w.down {
		return
	}
	if w.suspicion == nil {
		w.suspicion = &suspicion{since: now, interval: m.cfg.FastInterval, next: now, closed: true}
	} else {
		w.suspicion.hurry(m.cfg.FastInterval, now)
	}
	m.tickNode(w, now)
	m.stirred = true
}

// tickNode moves a suspicion on: expiry, retries, judgement.
func (m *Monitor) tickNode(w *watch, now time.Time) {
	if w.entry.Name == "" || w.down || m.reg.Cluster == "" {
		return
	}
	s := m.reg.Settings
	if w.suspicion == nil {
		if now.Sub(later(w.heard, m.awake)) <= time.Duration(s.HeartbeatExpiry) {
			return
		}
		w.suspicion = &suspicion{since: now, interval: time.Duration(s.RetryInterval), next: now}
	}
	sus := w.suspicion
	if sus.sent < s.Retries && !now.Before(sus.next) {
		m.retry(w, now)
	}
	if sus.failed >= s.Retries {
		w.down, w.downAt, w.doubted, w.suspicion = true, now, sus.since, nil
		m.noteDown(w, sus, now)
	}
}

func (m *Monitor) retry(w *watch, now time.Time) {
	sus := w.suspicion
	text := "heartbeat expired, retrying"
	if sus.closed {
		text = "heartbeat connection lost, retrying"
	}
	sus.sent++
	sus.next = now.Add(sus.interval)
	m.emit(MonitorEffect{
		Kind: MonitorLog, Level: LogWarn, Node: w.name, Text: text,
		Detail: m.silence(w, now), Retry: sus.sent, Retries: m.reg.Settings.Retries,
	})
	sus.probes = append(sus.probes, m.probe(w.name, w.entry.Address))
	if sus.sent == 1 {
		m.askReady(w)
		w.elsewhere = peerSight{}
	}
	m.askPeers(w)
}

func (m *Monitor) silence(w *watch, now time.Time) string {
	if w.heard.IsZero() {
		return "not heard since this monitor started"
	}
	return "last heard " + now.Sub(w.heard).Round(time.Millisecond).String() + " ago"
}

// askReady asks the candidates for a sign of life while a primary is only
// suspected, so that a judgement finds fresh ones.
func (m *Monitor) askReady(suspect *watch) {
	for _, id := range sortedKeys(m.reg.Groups) {
		rec := m.reg.Groups[id]
		if rec.Primary.UUID != suspect.entry.UUID {
			continue
		}
		for _, name := range sortedKeys(m.nodes) {
			if w := m.nodes[name]; w != suspect && w.entry.Name != "" && rec.IsInSync(w.entry.UUID) {
				m.probe(name, w.entry.Address)
			}
		}
	}
}

// noteDown tells of a judgement, and starts the clock of the failovers that
// follow from it.
func (m *Monitor) noteDown(w *watch, s *suspicion, now time.Time) {
	primary := false
	for id, rec := range m.reg.Groups {
		if rec.Primary.UUID == w.entry.UUID && rec.Epoch > 0 {
			primary = true
			if g := m.group(id); g.plan == nil { // which has a story of its own
				g.failover = &Failover{
					Group: id, Kind: KindFailover, From: w.name, Cause: "primary-down",
					LastHeard: later(w.heard, m.awake), Suspected: s.since, Declared: now,
				}
			}
		}
	}
	if !primary {
		m.log(LogWarn, w.name, "node down", m.silence(w, now))
	}
}

// NodeState is a node as the monitor sees it.
type NodeState struct {
	Entry  NodeEntry
	Report NodeReport
	Heard  time.Time // zero: not heard since the monitor started
	Down   bool
	Doubt  bool // suspected, not judged yet
}

// Nodes returns every registered node, by name.
func (m *Monitor) Nodes() []NodeState {
	var out []NodeState
	for _, name := range sortedKeys(m.nodes) {
		if w := m.nodes[name]; w.entry.Name != "" {
			out = append(out, NodeState{Entry: w.entry, Report: w.report, Heard: w.heard, Down: w.down, Doubt: w.suspicion != nil})
		}
	}
	return out
}
