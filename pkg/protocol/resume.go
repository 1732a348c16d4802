package protocol

import "time"

// takeUpStory goes on with the story of a failover that another monitor decided on:
// that one may die before it is over, and the next leader tells it, from what it saw
// itself.
func (m *Monitor) takeUpStory(g *groupWatch, rec GroupRecord) {
	f := g.failover
	if f == nil || f.Epoch > 0 || rec.Epoch <= m.reg.Groups[rec.Group].Epoch {
		return
	}
	f.Epoch, f.To, f.Cause = rec.Epoch, m.reg.NameOf(rec.Primary.UUID), "primary-down"
}

// commitStory notes that the change that a story is of is committed. What is committed
// may be an earlier decision on the same version, for another replica; an epoch that
// was passed over has no story.
func (g *groupWatch) commitStory(reg Registry, rec GroupRecord, now time.Time) {
	f := g.failover
	switch {
	case f == nil || f.Epoch == 0 || !f.Committed.IsZero() || rec.Epoch < f.Epoch:
	case rec.Epoch > f.Epoch:
		g.failover = nil
	default:
		f.Committed, f.To = now, reg.NameOf(rec.Primary.UUID)
	}
}

// leaveStory leaves a story that is over to the leader, which tells it, and with it
// why nobody is promoted.
func (s *situation) leaveStory() {
	s.g.refusal, s.g.wanting = "", ""
	if f := s.g.failover; f != nil && f.Epoch > 0 && (s.primaryServes() || s.rec.Epoch > f.Epoch) {
		s.g.failover = nil
	}
}
