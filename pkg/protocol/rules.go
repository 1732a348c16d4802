package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule is one row of the monitor's table: the first row whose condition holds
// decides what is done about a group.
type Rule struct {
	Name string
	// When and Do say in a sentence what the row waits for and what it does.
	When, Do string

	when func(*situation) bool
	do   func(*situation)
}

// ruleAwaited is the row that holds for a moment after every decision: it is not
// worth a line in the log.
const ruleAwaited = "outcome-awaited"

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
}

// Rules returns the monitor's rules in their order.
func Rules() []Rule {
	return []Rule{
		{
			"not-leader", "this monitor does not lead the registry", "nothing: the leader decides",
			func(s *situation) bool { return !s.m.leader || s.m.reg.Cluster == "" }, func(*situation) {},
		},
		{
			"learning", "the monitor has just started or slept", "wait one expiry: not heard yet is not down",
			func(s *situation) bool { return s.m.Learning(s.now) }, func(*situation) {},
		},
		{
			"registry-behind", "a node knows a higher epoch or version than the registry's", "no promotion until the registry is adopted anew",
			(*situation).registryBehind, func(s *situation) { s.refuse(LogError, s.behindDetail()) },
		},
		{
			ruleAwaited, "a command was proposed on this version a moment ago", "wait for its record",
			(*situation).outcomeAwaited, func(*situation) {},
		},
		{
			"birth-members", "the group has no members and enough nodes were heard, or one for the birth wait", "make them members",
			(*situation).mayBeBorn, (*situation).proposeBirth,
		},
		{
			"birth-waits", "the group has no members yet", "wait for nodes",
			func(s *situation) bool { return len(s.rec.Members) == 0 }, func(*situation) {},
		},
		{
			"birth-primary", "the group has members and never had a primary", "promote the lowest name heard",
			func(s *situation) bool { return s.rec.Epoch == 0 }, (*situation).promoteFirst,
		},
		{
			"failover-served", "the primary of a failover serves", "tell its timeline",
			(*situation).served, (*situation).complete,
		},
		{
			"paused", "the primary cannot serve, and failover is paused by an operator", "wait for -resume",
			func(s *situation) bool { return s.m.reg.Settings.Paused && s.cause() != "" },
			func(s *situation) { s.refuse(LogWarn, "failover is paused: resume it with client -resume") },
		},
		{
			"primary-down", "the primary is down and a candidate is ready", "promote it",
			func(s *situation) bool { return s.cause() == "primary-down" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-restarted", "the primary's process has started anew", "promote a warm standby, or the same node in the next epoch",
			func(s *situation) bool { return s.cause() == "primary-restarted" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-replaced", "the primary came back with an empty directory", "promote a standby that is in sync",
			func(s *situation) bool { return s.cause() == "primary-replaced" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-corrupt", "the primary's journal is damaged", "promote a standby that is in sync",
			func(s *situation) bool { return s.cause() == "primary-corrupt" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-disk", "the primary's disk does not answer, and a standby's does", "promote the standby",
			func(s *situation) bool { return s.cause() == "primary-disk" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-stuck", "the new primary does not serve because of its disk, and a standby's disk is well", "promote the standby",
			func(s *situation) bool { return s.cause() == "primary-stuck" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"failover-refused", "the primary cannot serve and nobody who holds everything is ready", "wait for one of the in-sync set, by name",
			func(s *situation) bool {
				return s.cause() != "" && s.cause() != "primary-disk" && s.cause() != "primary-stuck"
			},
			func(s *situation) { s.refuse(LogError, s.awaited) },
		},
		{
			"members-wanted", "the group has fewer members than wanted copies, and a node is free", "make it a member",
			(*situation).memberWanted, (*situation).takeIn,
		},
		{
			"primary-suspected", "the primary is suspected and not judged yet", "wait for the retries",
			func(s *situation) bool { return s.primary.suspicion != nil }, func(*situation) {},
		},
		{
			"steady", "the primary is heard", "nothing",
			func(*situation) bool { return true }, func(s *situation) { s.g.refusal = "" },
		},
	}
}

var rules = Rules()

func (m *Monitor) judgeGroup(id GroupID, now time.Time) {
	s := m.situation(id, now)
	for i := range rules {
		if !rules[i].when(s) {
			continue
		}
		if s.g.rule != rules[i].Name && rules[i].Name != ruleAwaited {
			s.g.rule = rules[i].Name
			m.emit(MonitorEffect{Kind: MonitorLog, Group: id, Text: "rule applies", Detail: rules[i].Name + ": " + rules[i].When})
		}
		rules[i].do(s)
		return
	}
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

func (s *situation) behind() *watch {
	for _, name := range sortedKeys(s.m.nodes) {
		w := s.m.nodes[name]
		if r := w.report.group(s.id); w.entry.Name != "" && (r.Epoch > s.rec.Epoch || r.Version > s.rec.Version) {
			return w
		}
	}
	return nil
}

func (s *situation) registryBehind() bool { return s.behind() != nil }

func (s *situation) behindDetail() string {
	w := s.behind()
	r := w.report.group(s.id)
	return fmt.Sprintf("%s knows epoch %d, version %d, and the registry epoch %d, version %d: the registry is older than the nodes; bring back the newest copy of it",
		w.name, r.Epoch, r.Version, s.rec.Epoch, s.rec.Version)
}

func (s *situation) outcomeAwaited() bool {
	return !s.g.proposed.IsZero() && s.g.proposedOn == s.rec.Version && s.now.Sub(s.g.proposed) < s.m.cfg.ProposeAgain
}

func (s *situation) propose(c Command) {
	s.g.proposed, s.g.proposedOn = s.now, s.rec.Version
	s.m.emit(MonitorEffect{Kind: MonitorPropose, Group: s.id, Command: c})
}

// heardNodes returns the registered nodes that have been heard, by name.
func (s *situation) heardNodes() []*watch {
	var out []*watch
	for _, name := range sortedKeys(s.m.nodes) {
		if w := s.m.nodes[name]; w.entry.Name != "" && !w.heard.IsZero() && !w.down && !w.entry.Maintenance {
			out = append(out, w)
		}
	}
	return out
}

func (s *situation) mayBeBorn() bool {
	if len(s.rec.Members) > 0 {
		return false
	}
	n := len(s.heardNodes())
	return n >= s.m.reg.Settings.WantCopies || n > 0 && s.now.Sub(s.m.firstHeard) >= s.m.cfg.BirthWait
}

func (s *situation) proposeBirth() {
	var members []UUID
	var names []string
	for _, w := range s.heardNodes() {
		if len(members) < s.m.reg.Settings.WantCopies {
			members, names = append(members, w.entry.UUID), append(names, w.name)
		}
	}
	s.propose(Command{SetMembers: &SetMembers{Group: s.id, Version: s.rec.Version, Members: members, Reason: "born with " + strings.Join(names, ", ")}})
}

func (s *situation) promoteFirst() {
	able := slices.DeleteFunc(s.heardNodes(), func(w *watch) bool {
		return !s.rec.IsMember(w.entry.UUID) || w.report.State == StateCorrupt
	})
	// Priority 0 is never promoted, unless there is nobody else to begin with.
	slices.SortStableFunc(able, func(a, b *watch) int { return cmp.Compare(min(b.entry.Priority, 1), min(a.entry.Priority, 1)) })
	if len(able) > 0 {
		w := able[0]
		s.propose(Command{Promote: &Promote{
			Group: s.id, Version: s.rec.Version, Primary: ReplicaBoot{w.entry.UUID, w.entry.Boot},
			Reason: w.name + " is the first primary",
		}})
	}
}

// failOver promotes the candidate.
func (s *situation) failOver() {
	s.startClock()
	f := s.g.failover
	f.Epoch, f.To, f.Cause = s.rec.Epoch+1, s.candidate.name, s.cause()
	var down []UUID
	for _, u := range s.rec.InSync {
		if w := s.m.byUUID(u); w == nil || w.down || w.report.State == StateCorrupt {
			down = append(down, u)
		}
	}
	s.m.emit(MonitorEffect{
		Kind: MonitorLog, Level: LogWarn, Group: s.id, Node: f.From, Text: "primary down, failing over",
		Detail: fmt.Sprintf("%s; %s takes over in epoch %d", f.Cause, f.To, f.Epoch),
	})
	s.g.refusal = ""
	s.propose(Command{Promote: &Promote{
		Group: s.id, Version: s.rec.Version, Primary: ReplicaBoot{s.candidate.entry.UUID, s.candidate.entry.Boot},
		Down: down, Reason: fmt.Sprintf("%s took over from %s (%s)", f.To, f.From, f.Cause),
	}})
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
	return r.Epoch == s.rec.Epoch && r.Serving
}

func (s *situation) complete() {
	f := s.g.failover
	f.Serving = s.now
	s.g.failover, s.g.refusal = nil, ""
	s.m.emit(MonitorEffect{Kind: MonitorFailover, Group: s.id, Node: f.To, Report: *f})
	s.m.emit(MonitorEffect{Kind: MonitorPropose, Group: s.id, Command: Command{Note: &HistoryEvent{
		Kind: "failover", Group: s.id, Epoch: s.rec.Epoch, Version: s.rec.Version, Node: f.To,
		Detail: fmt.Sprintf("failover from %s to %s complete (%s)", f.From, f.To, f.Cause), TimelineMS: f.Timeline(),
	}}})
}

func (s *situation) freeNode() *watch {
	for _, w := range s.heardNodes() {
		if !s.rec.IsMember(w.entry.UUID) {
			return w
		}
	}
	return nil
}

func (s *situation) memberWanted() bool {
	return len(s.rec.Members) < s.m.reg.Settings.WantCopies && s.freeNode() != nil
}

func (s *situation) takeIn() {
	w := s.freeNode()
	members := append(slices.Clone(s.rec.Members), w.entry.UUID)
	s.propose(Command{SetMembers: &SetMembers{Group: s.id, Version: s.rec.Version, Members: members, Reason: w.name + " becomes a member"}})
}
