package protocol

import (
	"fmt"
	"time"
)

// plan is a change of the primary that somebody wants: an operator's order, or a
// switchover because the primary is stopping, in maintenance or to leave. Only one is
// under way in a group. It is bounded in time, and a monitor that loses the
// leadership drops it: a sealed primary reopens by itself.
type plan struct {
	order  uint64
	kind   string // KindSwitchover, KindFailover or KindOverride
	phase  planPhase
	epoch  Epoch       // that it ends
	to     ReplicaBoot // the next primary
	name   string      // of to
	cause  string      // causeOperator, or the row that began it
	reason string
	by     string
	until  time.Time
	failed string // why the primary did not seal
	// loss and lastHeard are what an override tells the history.
	loss      string
	lastHeard time.Time
}

// planPhase is how far a plan has come.
type planPhase uint8

const (
	planBegun     planPhase = iota // nothing has been asked of anybody
	planSealing                    // the primary was asked to seal
	planSealed                     // the next primary holds everything
	planPromoting                  // the promotion was proposed
)

// causeOperator is the cause of what an operator has ordered.
const causeOperator = "operator"

// retry keeps a switchover that nobody ordered from being tried without pause: each
// try seals the primary for a while.
type retry struct {
	epoch Epoch
	cause string
	until time.Time
	pause time.Duration
}

// begin takes up a plan, from which the rules go on.
func (s *situation) begin(p plan, to *watch) uint64 {
	s.m.orders++
	p.order = s.m.orders
	p.epoch, p.until = s.rec.Epoch, s.now.Add(s.m.cfg.SwitchoverWithin)
	p.to, p.name = ReplicaBoot{to.entry.UUID, to.entry.Boot}, to.name
	s.g.plan, s.g.wanting, s.g.refusal, s.again = &p, "", "", true
	if p.kind == KindSwitchover {
		s.g.failover = nil
	}
	s.startClock()
	f := s.g.failover
	f.Kind, f.Epoch, f.To, f.Cause = p.kind, s.rec.Epoch+1, p.name, p.cause
	f.Reason, f.By, f.Asked = p.reason, p.by, s.now
	s.m.emit(MonitorEffect{
		Kind: MonitorLog, Group: s.id, Node: f.From, Text: p.kind + " begins",
		Detail: fmt.Sprintf("from %s to %s (%s)", f.From, f.To, f.why()),
	})
	return p.order
}

// over says why the plan under way must be given up, or nothing.
func (s *situation) over() string {
	p := s.g.plan
	late := p != nil && !s.now.Before(p.until)
	switch {
	case p == nil:
		return ""
	case !s.m.leader:
		return "this monitor does not lead any more: the leader decides"
	case s.rec.Epoch == p.epoch:
		return s.stopped(late)
	case s.rec.Epoch != p.epoch+1 || s.rec.Primary != p.to:
		return fmt.Sprintf("%s has become the primary of epoch %d meanwhile", s.m.reg.NameOf(s.rec.Primary.UUID), s.rec.Epoch)
	case s.cause() != "":
		return fmt.Sprintf("%s took over in epoch %d and cannot serve (%s)", p.name, s.rec.Epoch, s.cause())
	case late:
		return fmt.Sprintf("%s took over in epoch %d and does not serve yet: look at its standbys", p.name, s.rec.Epoch)
	}
	return ""
}

// stopped says what keeps the next primary of a plan from being promoted. Once its
// promotion is on its way to the registry, the outcome is waited for.
func (s *situation) stopped(late bool) string {
	p := s.g.plan
	to := s.m.byUUID(p.to.UUID)
	switch {
	case p.phase == planPromoting && s.outcomeAwaited():
		return ""
	case p.kind == KindSwitchover && s.cause() != "":
		return fmt.Sprintf("the primary failed (%s): a failover is decided instead", s.cause())
	case p.failed != "":
		return "the primary did not seal: " + p.failed
	case late:
		return "it was not done within " + s.m.cfg.SwitchoverWithin.String()
	case to == nil || to.entry.Boot != p.to.Boot:
		return p.name + " has been started again meanwhile"
	case s.why(p.to.UUID, to) != "":
		return s.why(p.to.UUID, to)
	case p.kind != KindOverride && !s.rec.IsInSync(p.to.UUID):
		return p.name + " has left the in-sync set"
	case p.kind == KindSwitchover:
		return s.reluctant(to)
	}
	return ""
}

// abort gives the plan up; whoever ordered it is told.
func (s *situation) abort() {
	why := s.over()
	p := s.g.plan
	s.g.plan, s.again = nil, true
	if f := s.g.failover; f != nil && !f.Asked.IsZero() && s.rec.Primary != p.to {
		s.g.failover = nil // where it is another's, it has another story
	}
	if p.cause != causeOperator {
		s.pause(p.cause)
	}
	s.m.emit(MonitorEffect{Kind: MonitorLog, Level: LogWarn, Group: s.id, Node: p.name, Text: p.kind + " aborted", Detail: why})
	s.m.emit(MonitorEffect{Kind: MonitorOrderDone, Group: s.id, Node: p.name, Order: p.order, Text: why})
}

// pause puts the next try off, each time longer.
func (s *situation) pause(cause string) {
	r := &s.g.retry
	if r.epoch != s.rec.Epoch || r.cause != cause {
		*r = retry{epoch: s.rec.Epoch, cause: cause}
	}
	r.pause = min(max(2*r.pause, s.m.cfg.SwitchoverAgain), s.m.cfg.SwitchoverAgainMax)
	r.until = s.now.Add(r.pause)
}

// inPhase tells whether a plan of the kind waits at its next step before the
// promotion is committed.
func (s *situation) inPhase(kind string, from, to planPhase) bool {
	p := s.g.plan
	return p != nil && p.kind == kind && s.rec.Epoch == p.epoch && from <= p.phase && p.phase <= to
}

// askSeal asks the primary to seal.
func (s *situation) askSeal() {
	p := s.g.plan
	p.phase = planSealing
	s.m.emit(MonitorEffect{
		Kind: MonitorSeal, Group: s.id, Node: s.primary.name, Address: s.primary.entry.Address,
		Order: p.order, Epoch: s.rec.Epoch, To: p.to.UUID,
	})
}

// promoteSealed promotes the standby that a sealed primary hands over to. Nobody is
// held for down: the old primary follows, and stays in sync.
func (s *situation) promoteSealed() {
	p := s.g.plan
	p.phase = planPromoting
	s.promote(p.to, nil, nil)
}

// promoteOrdered promotes whom an operator named, without the old primary's help.
func (s *situation) promoteOrdered() {
	p := s.g.plan
	p.phase = planPromoting
	s.promote(p.to, s.dead(), s.unfit())
}

// promoteOutside gives the group to a replica that is not in sync.
func (s *situation) promoteOutside() {
	p := s.g.plan
	p.phase = planPromoting
	s.propose(Command{Override: &Override{
		Group: s.id, Version: s.rec.Version, Primary: p.to, Reason: p.reason, By: p.by,
		LossExpected: p.loss, LastHeard: p.lastHeard,
	}})
}

// SealAnswer is what became of MonitorSeal: the position up to which the named
// standby holds everything, or why the primary did not seal.
type SealAnswer struct {
	Group    GroupID
	Order    uint64
	Position Position
	Err      string
}

// SealAnswered tells that the primary has sealed, or why not. What comes for another
// plan than the present one changes nothing.
func (m *Monitor) SealAnswered(a SealAnswer, now time.Time) {
	g := m.group(a.Group)
	p := g.plan
	if p == nil || p.order != a.Order || p.phase != planSealing {
		return
	}
	if a.Err != "" {
		p.failed = a.Err
	} else {
		p.phase = planSealed
		g.failover.Sealed = now
		m.emit(MonitorEffect{Kind: MonitorLog, Group: a.Group, Node: p.name, Text: "primary sealed", Detail: "everything up to " + a.Position.String() + " is in sync"})
	}
	m.judge(now)
}
