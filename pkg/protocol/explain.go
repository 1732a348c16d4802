package protocol

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ProbeDeadline is how long the answer to a probe may take.
const ProbeDeadline = 100 * time.Millisecond

// Explanation says, for one group at one moment, who could take over, and what
// would happen if the primary died now.
type Explanation struct {
	// Rule is the row of the table that applies, When and Do its sentences.
	Rule, When, Do string
	Primary        string // empty: there is none
	Candidate      string // who would take over; empty: nobody could
	Reason         string // why nobody could, and what would end that
	Loss           string // what would be lost
	// Crashed and Silent are how long it would take until a candidate is
	// promoted: after a crash, whose connections close at once, and after a
	// silence (power, cable, freeze). Both are judged by the settings alone.
	Crashed, Silent time.Duration
	Nodes           []NodeProspect
}

// NodeProspect says whether a node could be promoted now.
type NodeProspect struct {
	Name   string
	Can    bool
	Why    string // why not, and what would end that
	InSync bool
}

// Explain explains a group.
func (m *Monitor) Explain(id GroupID, now time.Time) Explanation {
	s := m.situation(id, now)
	x := Explanation{Rule: s.g.rule}
	if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == s.g.rule }); i >= 0 {
		x.When, x.Do = rules[i].When, rules[i].Do
	}
	if s.rec.Epoch > 0 {
		x.Primary = m.reg.NameOf(s.rec.Primary.UUID)
	}
	p := m.Prospect(id, now)
	x.Candidate, x.Reason = p.Candidate, p.Reason
	x.Loss = s.loss(x)
	x.Crashed, x.Silent = m.patience()
	for _, n := range m.Nodes() {
		x.Nodes = append(x.Nodes, s.nodeProspect(n.Entry))
	}
	return x
}

// patience returns how long a primary may be gone before it is declared down,
// after a crash and after a silence: the longest that the settings allow.
func (m *Monitor) patience() (crashed, silent time.Duration) {
	s := m.reg.Settings
	crashed = time.Duration(s.Retries) * m.cfg.FastInterval
	silent = time.Duration(s.HeartbeatExpiry) + time.Duration(s.Retries)*time.Duration(s.RetryInterval) + ProbeDeadline
	return crashed, silent
}

func (s *situation) nodeProspect(n NodeEntry) NodeProspect {
	w := s.m.byUUID(n.UUID)
	p := NodeProspect{Name: n.Name, InSync: s.rec.IsInSync(n.UUID)}
	switch {
	case n.UUID == s.rec.Primary.UUID && s.cause() == "":
		p.Why = "it is the primary"
	case n.Maintenance && !p.InSync:
		p.Why = n.Name + " is in maintenance: end that with client -maintenance " + n.Name + "=off"
	case !p.InSync && !s.rec.IsMember(n.UUID):
		p.Why = n.Name + " is a spare: it holds no copy"
	case !p.InSync:
		p.Why = n.Name + " is not in the in-sync set: acknowledged writes may be missing from it until it has caught up"
		if w == nil {
			break
		}
		if ailment := s.ailment(w); ailment != "" {
			p.Why += "; " + ailment
		}
	default:
		p.Why = s.why(n.UUID, w)
		p.Can = p.Why == ""
	}
	return p
}

// loss says what a death of the primary would cost.
func (s *situation) loss(x Explanation) string {
	var others []string
	for _, u := range s.rec.InSync {
		if u != s.rec.Primary.UUID {
			others = append(others, s.m.reg.NameOf(u))
		}
	}
	slices.Sort(others)
	switch {
	case x.Primary == "":
		return "nothing: there is no primary"
	case x.Candidate != "":
		return "nothing: " + x.Candidate + " holds every acknowledged write"
	case len(others) > 0:
		return fmt.Sprintf("nothing as long as %s or %s returns with its disk: reads and writes wait for it", x.Primary, strings.Join(others, " or "))
	}
	return fmt.Sprintf("nothing as long as %s returns with its disk: reads and writes wait for it. If its disk is lost, so is every write since it was alone", x.Primary)
}
