package protocol

import (
	"fmt"
	"time"
)

// sight says whether the candidate could still hear the old primary when this
// monitor could not, as far as it has told; empty: it has not. Nothing is decided by
// it: a primary that one standby hears and no monitor does cannot serve its clients.
func (s *situation) sight() string {
	p, c := s.primary, s.candidate
	if p == nil || c == nil || c == p || p.entry.Boot != s.rec.Primary.Boot || p.heard.IsZero() {
		return ""
	}
	ago, told := c.report.Seen[p.name]
	if !told {
		return ""
	}
	// Heartbeats come in turn: a little later is the same moment.
	margin := 2 * time.Duration(s.m.reg.Settings.HeartbeatInterval)
	if later := c.heard.Add(-ago).Sub(p.heard); later > margin {
		return fmt.Sprintf("%s still heard %s %s after this monitor did", c.name, p.name, later.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s did not hear %s any more either", c.name, p.name)
}
