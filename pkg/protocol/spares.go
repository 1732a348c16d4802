package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// spares returns the nodes that could hold another copy: heard and healthy, and no
// members. Who may never be promoted comes last, else they come by name.
func (s *situation) spares() []*watch {
	out := slices.DeleteFunc(s.heardNodes(), func(w *watch) bool {
		return s.rec.IsMember(w.entry.UUID) || s.ailment(w) != ""
	})
	slices.SortStableFunc(out, func(a, b *watch) int { return cmp.Compare(min(b.entry.Priority, 1), min(a.entry.Priority, 1)) })
	return out
}

// isMissing tells whether a node has not been heard for so long that a spare takes
// its place. One in maintenance is expected back.
func (s *situation) isMissing(w *watch) bool {
	after := time.Duration(s.m.reg.Settings.ReplaceAfter)
	return after > 0 && w.down && !w.entry.Maintenance && s.now.Sub(later(w.heard, s.m.awake)) >= after
}

// parting is a member that is to leave the group, and how.
type parting struct {
	w     *watch
	why   string
	spare *watch // who takes its place; nil: nobody
	wait  bool   // for the spare to be in sync, for this copy still counts
}

// parting returns the member that is to leave next: one whose node an operator
// removes, one that is missing, or one more than is wanted; nil for none. One at a
// time, so that one that is gone never costs two copies, and only while the primary
// serves: nobody resynchronises otherwise.
func (s *situation) parting() *parting {
	if s.rec.Epoch == 0 || s.cause() != "" || s.primary.suspicion != nil || !s.primaryServes() {
		return nil
	}
	if !s.hasSurplus() && !s.isAnyoneAway() {
		return nil
	}
	for _, choose := range []func(*watch) *parting{s.removed, s.missing, s.surplus} {
		for _, u := range s.fromTheLast() {
			if w := s.m.byUUID(u); w != nil {
				if p := choose(w); p != nil {
					return p
				}
			}
		}
	}
	return nil
}

// isAnyoneAway tells, at little cost, whether any member may have to be replaced.
func (s *situation) isAnyoneAway() bool {
	for _, w := range s.m.nodes {
		if (w.down || w.entry.Removed) && s.rec.IsMember(w.entry.UUID) {
			return true
		}
	}
	return false
}

// fromTheLast returns the members in the order in which they are given up: first
// who is not in sync, then by priority, then from the last name.
func (s *situation) fromTheLast() []UUID {
	rank := func(u UUID) (inSync, priority int, name string) {
		if s.rec.IsInSync(u) {
			inSync = 1
		}
		n, _ := s.m.reg.NodeOf(u)
		return inSync, n.Priority, n.Name
	}
	out := slices.Clone(s.rec.Members)
	slices.SortFunc(out, func(a, b UUID) int {
		as, ap, an := rank(a)
		bs, bp, bn := rank(b)
		return cmp.Or(cmp.Compare(as, bs), cmp.Compare(ap, bp), -strings.Compare(an, bn))
	})
	return out
}

func (s *situation) removed(w *watch) *parting {
	if !w.entry.Removed {
		return nil
	}
	p := &parting{w: w, why: w.name + " is removed from the cluster", spare: s.nextSpare()}
	p.wait = s.rec.IsInSync(w.entry.UUID) && !s.enoughWithout(w) && (p.spare != nil || s.hasSurplus())
	if len(s.rec.Members) == 1 && p.spare == nil {
		return nil // a group has a member
	}
	if p.wait && p.spare == nil && slices.ContainsFunc(s.rec.Members, s.isDeadWeight) {
		return nil // that one leaves first, and makes room for a spare
	}
	return p
}

// isDeadWeight tells whether a member is missing, and its copy does not count.
func (s *situation) isDeadWeight(u UUID) bool {
	w := s.m.byUUID(u)
	return w != nil && s.isMissing(w) && !s.rec.IsInSync(u)
}

func (s *situation) missing(w *watch) *parting {
	if w == s.primary || !s.isMissing(w) {
		return nil
	}
	p := &parting{w: w, why: fmt.Sprintf("%s has not been heard for %s", w.name, time.Duration(s.m.reg.Settings.ReplaceAfter)), spare: s.nextSpare()}
	if p.spare == nil && !s.hasSurplus() {
		return nil // its place is kept for it
	}
	// The primary still has it in sync: it is this monitor that does not hear it.
	p.wait = s.rec.IsInSync(w.entry.UUID) && !s.enoughWithout(w)
	return p
}

func (s *situation) surplus(w *watch) *parting {
	if w == s.primary || !s.hasSurplus() || !s.enoughWithout(w) {
		return nil
	}
	return &parting{w: w, why: fmt.Sprintf("%d copies are wanted", s.m.reg.Settings.WantCopies)}
}

// nextSpare returns who takes the place of a parting member, nil where there is
// nobody or no place.
func (s *situation) nextSpare() *watch {
	if spares := s.spares(); len(spares) > 0 && !s.hasSurplus() {
		return spares[0]
	}
	return nil
}

func (s *situation) hasSurplus() bool { return len(s.rec.Members) > s.m.reg.Settings.WantCopies }

// enoughWithout tells whether the wanted copies are in sync without a node's.
func (s *situation) enoughWithout(w *watch) bool {
	n := len(s.rec.InSync)
	if s.rec.IsInSync(w.entry.UUID) {
		n--
	}
	return n >= s.m.reg.Settings.WantCopies
}

// mayReplace tells whether a member may leave now.
func (s *situation) mayReplace() bool {
	p := s.parting()
	return p != nil && !p.wait
}

// replace has a member leave, and a spare take its place.
func (s *situation) replace() {
	p := s.parting()
	members := slices.DeleteFunc(slices.Clone(s.rec.Members), func(u UUID) bool { return u == p.w.entry.UUID })
	reason := p.why + ": it is no member any more"
	if p.spare != nil {
		members = append(members, p.spare.entry.UUID)
		reason = fmt.Sprintf("%s: %s takes its place", p.why, p.spare.name)
	}
	s.propose(Command{SetMembers: &SetMembers{Group: s.id, Version: s.rec.Version, Members: members, Reason: reason, Kind: KindReplaced}})
}

// maySupport tells whether a spare is to become a member beside one that is to
// leave, and that must not leave before.
func (s *situation) maySupport() bool {
	p := s.parting()
	return p != nil && p.wait && p.spare != nil
}

// support makes a spare a member beside the one that is to leave.
func (s *situation) support() {
	p := s.parting()
	s.propose(Command{SetMembers: &SetMembers{
		Group: s.id, Version: s.rec.Version, Members: append(slices.Clone(s.rec.Members), p.spare.entry.UUID),
		Reason: fmt.Sprintf("%s: %s becomes a member beside it", p.why, p.spare.name), Kind: KindReplaced,
	}})
}

// Spares returns the names of the nodes that could take the place of a member.
func (m *Monitor) Spares(id GroupID, now time.Time) []string {
	var out []string
	for _, w := range m.situation(id, now).spares() {
		out = append(out, w.name)
	}
	return out
}

// KindNoSpare is the kind of the line in the history that asks for another machine.
const KindNoSpare = "no-spare"

// askForSpares tells, once for each, of the missing members whose place nobody can
// take: somebody outside may start another machine.
func (m *Monitor) askForSpares(now time.Time) {
	if !m.leader || m.Learning(now) {
		return
	}
	for _, id := range sortedKeys(m.reg.Groups) {
		s := m.situation(id, now)
		if !s.isAnyoneAway() || s.rec.Epoch == 0 || len(s.spares()) > 0 {
			continue
		}
		for _, u := range s.rec.Members {
			if w := m.byUUID(u); w != nil && !w.spareAsked && s.isMissing(w) {
				w.spareAsked = true
				m.emit(MonitorEffect{Kind: MonitorPropose, Group: id, Node: w.name, Command: Command{Note: &HistoryEvent{
					Kind: KindNoSpare, Group: id, Epoch: s.rec.Epoch, Version: s.rec.Version, Node: w.name,
					Detail: fmt.Sprintf("%s has not been heard for %s, and there is no spare to take its place: start another node", w.name, time.Duration(m.reg.Settings.ReplaceAfter)),
				}}})
			}
		}
	}
}
