package protocol

import (
	"cmp"
	"slices"
	"strings"
)

// heardNodes returns the registered nodes that have been heard and are there to stay,
// by name.
func (s *situation) heardNodes() []*watch {
	var out []*watch
	for _, name := range sortedKeys(s.m.nodes) {
		if w := s.m.nodes[name]; w.entry.Name != "" && !w.heard.IsZero() && !w.down && !w.entry.Maintenance && !w.entry.Removed && !w.report.Stopping {
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

func (s *situation) memberWanted() bool {
	return len(s.rec.Members) < s.m.reg.Settings.WantCopies && len(s.spares()) > 0
}

func (s *situation) takeIn() {
	w := s.spares()[0]
	members := append(slices.Clone(s.rec.Members), w.entry.UUID)
	s.propose(Command{SetMembers: &SetMembers{Group: s.id, Version: s.rec.Version, Members: members, Reason: w.name + " becomes a member"}})
}
