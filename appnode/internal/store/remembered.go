package store

// Remembered tells how many sessions of first hops and how many keys of callers
// the state remembers answers for. [MaxSessions] and [MaxKeys] are the most.
func (s *state) Remembered() (sessions, keys int) {
	return s.ids.sessionCount(), s.ids.keys.len()
}
