package protocol

import "fmt"

// The rows that begin a switchover that nobody has ordered.
const (
	causeStopping    = "primary-stopping"
	causeMaintenance = "primary-maintenance"
	causeLeaving     = "primary-leaving"
)

// goingPrimary is why the primary is to give its place up though it is well, or "".
func (s *situation) goingPrimary() string {
	p := s.primary
	switch {
	case s.rec.Epoch == 0 || s.cause() != "" || p.suspicion != nil || !s.primaryServes():
		return ""
	case p.report.Stopping:
		return causeStopping
	case p.entry.Maintenance:
		return causeMaintenance
	case !s.rec.IsMember(p.entry.UUID):
		return causeLeaving
	}
	return ""
}

// mayHandOver tells whether a switchover for the cause may begin now.
func (s *situation) mayHandOver(cause string) bool {
	if s.goingPrimary() != cause {
		return false
	}
	r := s.g.retry
	if r.epoch == s.rec.Epoch && r.cause == cause && s.now.Before(r.until) {
		return false
	}
	w, _ := s.heir()
	return w != nil
}

func (s *situation) handOver() {
	to, _ := s.heir()
	cause := s.goingPrimary()
	s.begin(plan{kind: KindSwitchover, cause: cause, reason: s.goingReason(cause)}, to)
}

// goingReason says for people why the primary gives its place up.
func (s *situation) goingReason(cause string) string {
	switch cause {
	case causeStopping:
		return s.primary.name + " is stopping"
	case causeMaintenance:
		return s.primary.name + " is in maintenance"
	}
	return s.primary.name + " is no member any more"
}

// awaitedHeir says what a switchover that is wanted waits for, or nothing.
func (s *situation) awaitedHeir() string {
	cause := s.goingPrimary()
	if cause == "" {
		return ""
	}
	if w, why := s.heir(); w == nil {
		return fmt.Sprintf("%s, and nobody can take over: %s", s.goingReason(cause), why)
	}
	return ""
}

func (s *situation) awaitHeir() {
	s.g.refusal = ""
	if why := s.awaitedHeir(); s.g.wanting != why {
		s.g.wanting = why
		s.m.emit(MonitorEffect{Kind: MonitorLog, Level: LogWarn, Group: s.id, Node: s.primary.name, Text: "switchover waits", Detail: why})
	}
}

// leaver returns a standby in sync that is stopping and not marked yet.
func (s *situation) leaver() *watch {
	for _, u := range s.rec.InSync {
		w := s.m.byUUID(u)
		if w != nil && w.report.Stopping && u != s.rec.Primary.UUID && !s.rec.IsLeaving(u) {
			return w
		}
	}
	return nil
}

func (s *situation) seeOff() {
	e := s.leaver().entry
	s.propose(Command{Leave: &Leave{Node: e.Name, UUID: e.UUID, Boot: e.Boot}})
}

// planned tells of the planned change that is under way or wanted.
func (s *situation) planned() string {
	if p := s.g.plan; p != nil {
		return fmt.Sprintf("%s to %s, %s", p.kind, p.name, [...]string{"begun", "sealing", "sealed", "promoting"}[p.phase])
	}
	return s.awaitedHeir()
}
