package protocol

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// choose returns who may take over now: an in-sync replica with a healthy disk
// that was just heard, by priority, then position, then name. Without one it
// returns a sentence that names who is waited for. A primary that has started
// anew is cold, and comes last; who is about to go comes after everybody else. Who
// has given a sign of life since the primary came to be suspected is there for
// certain: it comes before whoever may have gone with the primary.
func (s *situation) choose(includePrimary bool) (*watch, string) {
	var ready []*watch
	var awaited []string
	for _, u := range s.rec.InSync {
		w := s.m.byUUID(u)
		if u == s.rec.Primary.UUID && !includePrimary {
			if w == nil || w.down {
				awaited = append(awaited, s.why(u, w))
			}
			continue
		}
		if why := s.why(u, w); why != "" {
			awaited = append(awaited, why)
			continue
		}
		ready = append(ready, w)
	}
	if len(ready) == 0 {
		return nil, s.awaiting(awaited)
	}
	slices.SortFunc(ready, s.compare)
	return ready[0], ""
}

func (s *situation) compare(a, b *watch) int {
	return cmp.Or(
		cmp.Compare(s.going(a), s.going(b)),
		cmp.Compare(s.cold(a), s.cold(b)),
		cmp.Compare(s.unproven(a), s.unproven(b)),
		-cmp.Compare(a.entry.Priority, b.entry.Priority),
		-a.report.group(s.id).Position.Compare(b.report.group(s.id).Position),
		strings.Compare(a.name, b.name),
	)
}

func (s *situation) cold(w *watch) int {
	if w.entry.UUID == s.rec.Primary.UUID {
		return 1
	}
	return 0
}

// unproven grades who has not been heard since the primary came to be suspected: the
// candidates are asked for a sign of life then.
func (s *situation) unproven(w *watch) int {
	if p := s.primary; p != nil && p.down && w.heard.Before(p.doubted) {
		return 1
	}
	return 0
}

// going grades how soon a replica will be gone: a stopping one may serve for a
// moment, and the registry takes a leaving one only where nobody else is left.
func (s *situation) going(w *watch) int {
	switch {
	case s.rec.IsLeaving(w.entry.UUID) || w.entry.Maintenance || w.entry.Removed:
		return 2
	case w.report.Stopping:
		return 1
	}
	return 0
}

// reluctant says why a replica is promoted only where nobody else is left, or
// nothing.
func (s *situation) reluctant(w *watch) string {
	switch {
	case w.entry.Maintenance:
		return w.name + " is in maintenance: end that with client -maintenance " + w.name + "=off"
	case w.report.Stopping:
		return w.name + " is stopping: start it again"
	case w.entry.Removed:
		return w.name + " is removed from the cluster"
	case s.rec.IsLeaving(w.entry.UUID):
		return w.name + " is leaving the in-sync set"
	}
	return ""
}

// heir returns who may take over from a primary that is well: a candidate that is
// there to stay. Without one it says why.
func (s *situation) heir() (*watch, string) {
	w, why := s.choose(false)
	if w != nil {
		why = s.reluctant(w)
	}
	if why != "" {
		return nil, why
	}
	return w, ""
}

// why returns what keeps an in-sync replica from taking over, as a sentence
// that says what would end it; "" if nothing does.
func (s *situation) why(u UUID, w *watch) string {
	if w == nil {
		return s.m.reg.NameOf(u) + " has an empty data directory in place of the one that was in sync: bring the old one back"
	}
	if why := s.ailment(w); why != "" {
		return why
	}
	if w.entry.Priority == 0 {
		return w.name + " has priority 0, so it is never promoted"
	}
	return ""
}

// ailment returns what keeps a node from being of use, as a sentence that says what
// would end it; "" if it is well.
func (s *situation) ailment(w *watch) string {
	expiry := time.Duration(s.m.reg.Settings.HeartbeatExpiry)
	switch {
	case w.down:
		return w.name + " is down: start it again"
	case w.suspicion != nil && w.suspicion.closed:
		return w.name + " has just closed its connection: it is judged in a moment"
	case w.heard.IsZero() || s.now.Sub(w.heard) > expiry:
		return w.name + " has not been heard: check it and its network"
	case w.report.State == StateCorrupt:
		return w.name + " has a damaged journal: another copy is needed"
	case w.report.DiskFailed != "":
		return w.name + " has given up its disk (" + w.report.DiskFailed + ")"
	case w.report.DiskAge >= s.m.cfg.DiskStall:
		return w.name + " waits for its disk: check it"
	case w.report.DiskFull:
		return w.name + " has a full disk: make room on it"
	}
	return ""
}

func (s *situation) awaiting(awaited []string) string {
	if len(awaited) == 0 {
		return "no other replica is in sync: only " + s.m.reg.NameOf(s.rec.Primary.UUID) + " holds every acknowledged write"
	}
	return "no replica that holds every acknowledged write can take over now: " + strings.Join(awaited, "; ")
}

// Prospect says whether a failover of a group is possible now.
type Prospect struct {
	Candidate string // empty: none
	Reason    string // why not, and what would end it
	Rule      string // the rule that applies now
	Planned   string // the planned change that is under way or wanted; empty: none
}

// Prospect returns what would happen if the primary of a group died now, or,
// while it cannot serve, what a takeover waits for.
func (m *Monitor) Prospect(id GroupID, now time.Time) Prospect {
	s := m.situation(id, now)
	p := Prospect{Rule: s.g.rule, Reason: s.g.refusal, Planned: s.planned()}
	if p.Reason != "" {
		return p
	}
	if s.rec.Epoch == 0 {
		p.Reason = "the group has no primary yet"
		return p
	}
	if w, why := s.choose(s.cause() == "primary-restarted"); w != nil {
		p.Candidate = w.name
	} else {
		p.Reason = why
	}
	return p
}
