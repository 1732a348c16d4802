package protocol

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

// leaveStory leaves a story that is over to the leader, which tells it.
func (s *situation) leaveStory() {
	if f := s.g.failover; f != nil && f.Epoch > 0 && (s.primaryServes() || s.rec.Epoch > f.Epoch) {
		s.g.failover = nil
	}
}
