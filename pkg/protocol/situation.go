package protocol

import (
	"fmt"
	"time"
)

// situation is a group at one moment, as its rules see it.
type situation struct {
	m   *Monitor
	g   *groupWatch
	id  GroupID
	rec GroupRecord
	now time.Time
	// primary is the watch of the record's primary, nil where its directory
	// belongs to no registered node any more.
	primary *watch
	// candidate may take over now; if nil, awaited says who is waited for.
	candidate *watch
	awaited   string
	again     bool // what a row did lets the rules decide anew
}

func (m *Monitor) situation(id GroupID, now time.Time) *situation {
	s := &situation{m: m, g: m.group(id), id: id, rec: m.reg.Groups[id], now: now}
	for _, w := range m.nodes {
		if w.entry.Name != "" && w.entry.UUID == s.rec.Primary.UUID {
			s.primary = w
		}
	}
	s.watchIdle()
	s.candidate, s.awaited = s.choose(s.cause() == "primary-restarted")
	return s
}

// cause says why the record's primary cannot serve, or "".
func (s *situation) cause() string {
	p := s.primary
	switch {
	case s.rec.Epoch == 0:
		return ""
	case p == nil:
		return "primary-replaced"
	case p.entry.Boot != s.rec.Primary.Boot:
		return "primary-restarted"
	case p.down:
		return "primary-down"
	case p.report.State == StateCorrupt:
		return "primary-corrupt"
	case p.report.DiskFailed != "" || p.report.DiskAge >= s.m.cfg.DiskStall:
		return "primary-disk"
	case p.report.DiskFull && !s.g.idle.IsZero() && s.now.Sub(s.g.idle) >= s.m.cfg.TakeOver:
		return "primary-stuck"
	}
	return ""
}

// watchIdle notes since when the primary has been in its epoch without serving.
func (s *situation) watchIdle() {
	r := GroupReport{}
	if s.primary != nil {
		r = s.primary.report.group(s.id)
	}
	switch {
	case s.primary == nil || s.primary.entry.Boot != s.rec.Primary.Boot || r.Epoch != s.rec.Epoch || r.Serving:
		s.g.idle = time.Time{}
	case s.g.idle.IsZero():
		s.g.idle = s.now
	}
}

// behind returns the node that knows more than the registry, the first by name.
func (s *situation) behind() (first *watch) {
	for _, w := range s.m.nodes { // in any order: this is looked at with every judgement
		r := w.report.group(s.id)
		if w.entry.Name != "" && (r.Epoch > s.rec.Epoch || r.Version > s.rec.Version) && (first == nil || w.name < first.name) {
			first = w
		}
	}
	return first
}

func (s *situation) registryBehind() bool { return s.behind() != nil }

func (s *situation) behindDetail() string {
	w := s.behind()
	r := w.report.group(s.id)
	return fmt.Sprintf("%s knows epoch %d, version %d, and the registry epoch %d, version %d: the registry is older than the nodes; bring back the newest copy of it, or have it rebuilt from the nodes with client -adopt",
		w.name, r.Epoch, r.Version, s.rec.Epoch, s.rec.Version)
}

func (s *situation) outcomeAwaited() bool {
	return !s.g.proposed.IsZero() && s.g.proposedOn == s.rec.Version && s.now.Sub(s.g.proposed) < s.m.cfg.ProposeAgain
}

func (s *situation) propose(c Command) {
	s.g.proposed, s.g.proposedOn = s.now, s.rec.Version
	s.m.emit(MonitorEffect{Kind: MonitorPropose, Group: s.id, Command: c})
}

func (m *Monitor) byUUID(u UUID) *watch {
	for _, w := range m.nodes {
		if w.entry.Name != "" && w.entry.UUID == u {
			return w
		}
	}
	return nil
}

// refuse remembers why nobody is promoted, and tells it when it is new.
func (s *situation) refuse(level LogLevel, why string) {
	if s.g.refusal != why {
		s.m.emit(MonitorEffect{Kind: MonitorLog, Level: level, Group: s.id, Text: "failover refused", Detail: why})
	}
	s.g.refusal = why
}
