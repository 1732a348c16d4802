package protocol

import (
	"fmt"
	"slices"
)

// failOver promotes the candidate.
func (s *situation) failOver() {
	s.startClock()
	f := s.g.failover
	f.Sight = s.sight()
	f.Kind, f.Epoch, f.To, f.Cause = KindFailover, s.rec.Epoch+1, s.candidate.name, s.cause()
	s.m.emit(MonitorEffect{
		Kind: MonitorLog, Level: LogWarn, Group: s.id, Node: f.From, Text: "primary down, failing over",
		Detail: fmt.Sprintf("%s; %s takes over in epoch %d", f.Cause, f.To, f.Epoch),
	})
	s.g.refusal = ""
	s.promote(ReplicaBoot{s.candidate.entry.UUID, s.candidate.entry.Boot}, s.dead(), s.unfit())
}

// promote proposes the next primary, for the reason that the
// story tells.
func (s *situation) promote(to ReplicaBoot, down, unfit []UUID) {
	f := s.g.failover
	s.propose(Command{Promote: &Promote{
		Group: s.id, Version: s.rec.Version, Primary: to, Down: down, Unfit: unfit,
		Reason: fmt.Sprintf("%s took over from %s (%s)", f.To, f.From, f.why()),
	}})
}

// dead lists who of the in-sync set need not be waited for.
func (s *situation) dead() []UUID {
	var out []UUID
	for _, u := range s.rec.InSync {
		if w := s.m.byUUID(u); w == nil || w.down || w.report.State == StateCorrupt {
			out = append(out, u)
		}
	}
	return out
}

// unfit lists who of the in-sync set is alive and cannot take over.
func (s *situation) unfit() []UUID {
	dead := s.dead()
	var out []UUID
	for _, u := range s.rec.InSync {
		if w := s.m.byUUID(u); s.why(u, w) != "" && !slices.Contains(dead, u) {
			out = append(out, u)
		}
	}
	return out
}

// startClock begins the story of a failover that no judgement of silence began.
func (s *situation) startClock() {
	if f := s.g.failover; f != nil && f.Committed.IsZero() {
		return
	}
	f := &Failover{Group: s.id, From: s.m.reg.NameOf(s.rec.Primary.UUID), Suspected: s.now, Declared: s.now, LastHeard: s.now}
	if s.primary != nil && s.primary.entry.Boot == s.rec.Primary.Boot && !s.primary.heard.IsZero() {
		f.LastHeard = s.primary.heard
	}
	s.g.failover = f
}

// served tells whether the primary of the failover under way answers.
func (s *situation) served() bool {
	f := s.g.failover
	if f == nil || f.Committed.IsZero() || s.primary == nil || s.primary.entry.Boot != s.rec.Primary.Boot {
		return false
	}
	r := s.primary.report.group(s.id)
	if r.Epoch >= s.rec.Epoch && f.Accepted.IsZero() {
		f.Accepted = s.now
	}
	return s.primaryServes()
}

// primaryServes tells whether the record's primary says that it serves its epoch.
func (s *situation) primaryServes() bool {
	if s.primary == nil || s.primary.entry.Boot != s.rec.Primary.Boot {
		return false
	}
	r := s.primary.report.group(s.id)
	return r.Epoch == s.rec.Epoch && r.Serving
}

func (s *situation) complete() {
	f := s.g.failover
	f.Serving = s.now
	s.g.failover, s.g.refusal, s.again = nil, "", true
	s.m.emit(MonitorEffect{Kind: MonitorFailover, Group: s.id, Node: f.To, Report: *f})
	s.tellNow()
	s.g.untold, s.g.untoldOn = f, s.rec.Version
	s.m.tell(s.g, s.now)
	if p := s.g.plan; p != nil {
		s.g.plan = nil
		s.m.emit(MonitorEffect{Kind: MonitorOrderDone, Group: s.id, Node: f.To, Order: p.order, Report: *f})
	}
}

// tellNow ends the wait of an earlier story: it is over.
func (s *situation) tellNow() {
	if f := s.g.untold; f != nil {
		s.m.tell(s.g, f.Serving.Add(answerWait))
	}
}
