package protocol

import (
	"fmt"
	"strings"
	"time"
)

// Order is what an operator asks of a group: another primary.
type Order struct {
	Group  GroupID
	To     string // the name of the next primary; empty: the best candidate
	Reason string
	By     string
}

// Switchover orders a change of the primary with the present one's help. The answer
// is the number under which MonitorOrderDone tells the end, or why it is refused.
func (m *Monitor) Switchover(o Order, now time.Time) (uint64, *Refusal) {
	s := m.situation(o.Group, now)
	if no := s.busy(); no != nil {
		return 0, no
	}
	if s.cause() != "" || s.primary.suspicion != nil || !s.primaryServes() {
		return 0, refuse(RefuseStaleVersion, "%s does not serve at the moment, and a switchover needs its help: a failover does without", s.m.reg.NameOf(s.rec.Primary.UUID))
	}
	to, no := s.successor(o.To)
	if no == nil && o.To != "" {
		if why := s.reluctant(to); why != "" {
			no = refuse(RefuseStaleVersion, "%s", why)
		}
	} else if no == nil {
		var why string
		if to, why = s.heir(); to == nil {
			no = refuse(RefuseWouldLoseData, "%s", why)
		}
	}
	if no != nil {
		return 0, no
	}
	return s.take(o, plan{kind: KindSwitchover}, to), nil
}

// FailOver orders a change of the primary without its help: a replica in sync takes
// over at once, also while failovers are paused. Nothing acknowledged is lost.
func (m *Monitor) FailOver(o Order, now time.Time) (uint64, *Refusal) {
	s := m.situation(o.Group, now)
	if no := s.busy(); no != nil {
		return 0, no
	}
	to, no := s.successor(o.To)
	switch {
	case no != nil:
		return 0, no
	case to == nil && s.candidate == nil:
		return 0, refuse(RefuseWouldLoseData, "%s", s.awaited)
	case to == nil:
		to = s.candidate
	}
	p := Promote{Primary: ReplicaBoot{to.entry.UUID, to.entry.Boot}, Down: s.dead(), Unfit: s.unfit()}
	if s.rec.IsLeaving(to.entry.UUID) && p.hasOther(s.rec) {
		return 0, refuse(RefuseStaleVersion, "%s, and another replica holds every acknowledged write as well", s.reluctant(to))
	}
	return s.take(o, plan{kind: KindFailover}, to), nil
}

// Override orders that a replica outside the in-sync set becomes the primary, and
// returns a sentence on what is lost. It is refused while anybody who holds
// everything can take over, and while the old primary is or may be alive, unless
// stopped says that somebody has made sure that it is not.
func (m *Monitor) Override(o Order, stopped bool, now time.Time) (order uint64, loss string, no *Refusal) {
	s := m.situation(o.Group, now)
	if no = s.busy(); no != nil {
		return 0, "", no
	}
	to := s.named(o.To)
	switch {
	case strings.TrimSpace(o.Reason) == "":
		return 0, "", refuse(RefuseBadRequest, "an override needs a reason, for the history")
	case o.To == "":
		return 0, "", refuse(RefuseBadRequest, "an override names a node")
	case to == nil:
		return 0, "", refuse(RefuseNotFound, "no node is named %q", o.To)
	case s.rec.IsInSync(to.entry.UUID):
		return 0, "", refuse(RefuseStaleVersion, "%s is in the in-sync set and holds every acknowledged write: a failover to it loses nothing", to.name)
	case s.why(to.entry.UUID, to) != "":
		return 0, "", refuse(RefuseStaleVersion, "%s", s.why(to.entry.UUID, to))
	case s.reluctant(to) != "":
		return 0, "", refuse(RefuseStaleVersion, "%s", s.reluctant(to))
	}
	if no = s.mayOverride(stopped); no != nil {
		return 0, "", no
	}
	p := plan{kind: KindOverride, loss: s.lossTo(to)}
	p.lastHeard, _ = s.primaryHeard()
	return s.take(o, p, to), p.loss, nil
}

// take begins what was ordered.
func (s *situation) take(o Order, p plan, to *watch) uint64 {
	p.cause, p.reason, p.by = causeOperator, o.Reason, o.By
	n := s.begin(p, to)
	s.m.judge(s.now)
	return n
}

// busy says why no order can be taken for the group now, or nothing.
func (s *situation) busy() *Refusal {
	switch {
	case !s.m.leader || s.m.reg.Cluster == "":
		return refuse(RefuseNoLeader, "this monitor does not lead: ask the leader")
	case s.rec.Epoch == 0:
		return refuse(RefuseStaleVersion, "group %d has no primary yet", s.id)
	case s.m.Learning(s.now):
		return refuse(RefuseNoLeader, "this monitor has just started or slept, and learns who is there: ask again in a moment")
	case s.registryBehind():
		return refuse(RefuseRegistryBehind, "%s", s.behindDetail())
	case s.g.plan != nil:
		return refuse(RefuseStaleVersion, "another change is under way: %s", s.planned())
	case s.outcomeAwaited():
		return refuse(RefuseStaleVersion, "another change of group %d is just being decided: look again in a moment", s.id)
	}
	return nil
}

func (s *situation) named(name string) *watch {
	if w := s.m.nodes[name]; w != nil && w.entry.Name != "" {
		return w
	}
	return nil
}

// successor returns the node that an order names, if it holds everything and is
// well; nil if none is named.
func (s *situation) successor(name string) (*watch, *Refusal) {
	if name == "" {
		return nil, nil
	}
	w := s.named(name)
	switch {
	case w == nil:
		return nil, refuse(RefuseNotFound, "no node is named %q", name)
	case ReplicaBoot{w.entry.UUID, w.entry.Boot} == s.rec.Primary:
		return nil, refuse(RefuseStaleVersion, "%s is the primary already", name)
	case !s.rec.IsInSync(w.entry.UUID):
		return nil, refuse(RefuseWouldLoseData, "%s is not in the in-sync set: acknowledged writes may be missing from it", name)
	case s.why(w.entry.UUID, w) != "":
		return nil, refuse(RefuseStaleVersion, "%s", s.why(w.entry.UUID, w))
	}
	return w, nil
}

// mayOverride says why the old primary, or another replica in sync, forbids an
// override, or nothing.
func (s *situation) mayOverride(stopped bool) *Refusal {
	name := s.m.reg.NameOf(s.rec.Primary.UUID)
	heard, known := s.primaryHeard()
	ago := s.now.Sub(heard)
	switch {
	case s.cause() == "":
		return refuse(RefuseWouldLoseData, "%s is the primary and not down: a switchover loses nothing", name)
	case s.candidate != nil:
		return refuse(RefuseWouldLoseData, "%s holds every acknowledged write and can take over: a failover to it loses nothing", s.candidate.name)
	case stopped || s.cause() == "primary-restarted" || known && ago >= s.m.cfg.OverrideGuard:
		return nil
	case !known:
		return refuse(RefuseWouldLoseData, "%s has not been heard since this monitor started, and may still answer clients: make sure that it is stopped, and say so with -primary-is-stopped", name)
	}
	return refuse(RefuseWouldLoseData, "%s was heard %s ago, and may still answer clients: make sure that it is stopped, and say so with -primary-is-stopped", name, ago.Round(time.Millisecond))
}

// primaryHeard returns when the record's primary was last heard, if ever.
func (s *situation) primaryHeard() (time.Time, bool) {
	if p := s.primary; p != nil && p.entry.Boot == s.rec.Primary.Boot && !p.heard.IsZero() {
		return p.heard, true
	}
	return time.Time{}, false
}

// lossTo says what is lost with a replica outside the in-sync set, as far as the
// positions last heard tell.
func (s *situation) lossTo(to *watch) string {
	have := to.report.group(s.id).Position
	most, unknown := Seq(0), []string(nil)
	positions := []string{fmt.Sprintf("%s ends at %s", to.name, have)}
	for _, u := range s.rec.InSync {
		w := s.m.byUUID(u)
		if w == nil || w.heard.IsZero() {
			unknown = append(unknown, s.m.reg.NameOf(u))
			continue
		}
		at := w.report.group(s.id).Position
		positions = append(positions, fmt.Sprintf("%s was last heard at %s", w.name, at))
		if at.Seq > have.Seq {
			most = max(most, at.Seq-have.Seq)
		}
	}
	text := strings.Join(positions, ", ")
	if len(unknown) > 0 {
		text += "; nothing is known of " + strings.Join(unknown, ", ")
	}
	return text + fmt.Sprintf(": at least %d records are lost, and whatever was acknowledged later", most)
}
