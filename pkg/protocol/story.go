package protocol

import (
	"fmt"
	"time"
)

// The kinds of a change of the primary.
const (
	KindFailover   = "failover"   // without the old primary's help
	KindSwitchover = "switchover" // with it
	KindOverride   = "override"   // to a replica that is not in sync
)

// Failover is the measured story of one change of the primary. Times are the
// deciding monitor's.
type Failover struct {
	Group      GroupID
	Kind       string
	Epoch      Epoch // the new one
	From, To   string
	Cause      string    // the rule, or operator
	Reason, By string    // of a planned one
	Sight      string    // of a failover: whether the next primary still heard the old one
	LastHeard  time.Time // last sign of life of the old primary
	Suspected  time.Time
	Declared   time.Time
	Asked      time.Time // a planned one was asked for
	Sealed     time.Time // the next primary held everything, and the old one had stopped
	Committed  time.Time
	Accepted   time.Time // the candidate was heard in the new epoch
	Serving    time.Time
	// FirstAnswer is when a monitor's proxy had the first answer of the new
	// primary, and Held how many requests waited there for it.
	FirstAnswer time.Time
	Held        int
}

// answerWait is how long the story of a change waits for the first answer. Where
// nobody asks, there is none.
const answerWait = time.Second

// Answered tells that the primary of an epoch has answered its first request, and
// how many had waited for it.
func (m *Monitor) Answered(id GroupID, epoch Epoch, first time.Time, held int, now time.Time) {
	g := m.group(id)
	for _, f := range []*Failover{g.failover, g.untold} {
		if f != nil && f.Epoch == epoch && f.FirstAnswer.IsZero() && !f.Committed.IsZero() {
			f.FirstAnswer, f.Held = first, held
		}
	}
	m.tell(g, now)
	m.stirred = true
}

// tell puts the story of a complete change into the history, once all is known.
func (m *Monitor) tell(g *groupWatch, now time.Time) {
	f := g.untold
	if f == nil || f.FirstAnswer.IsZero() && now.Sub(f.Serving) < answerWait {
		return
	}
	g.untold = nil
	if !f.FirstAnswer.IsZero() {
		m.emit(MonitorEffect{Kind: MonitorAnswered, Group: f.Group, Node: f.To, Report: *f})
	}
	m.emit(MonitorEffect{Kind: MonitorPropose, Group: f.Group, Command: Command{Note: &HistoryEvent{
		Kind: f.Kind, Group: f.Group, Epoch: f.Epoch, Version: g.untoldOn, Node: f.To, Held: f.Held,
		Detail: fmt.Sprintf("%s from %s to %s complete (%s)", f.Kind, f.From, f.To, f.why()), TimelineMS: f.Timeline(),
	}}})
}

// Timeline returns the milliseconds to each step that was seen: from the last sign
// of life of the old primary, or, for a switchover, from the asking.
func (f Failover) Timeline() map[string]float64 {
	type step struct {
		name string
		at   time.Time
	}
	from, steps := f.LastHeard, []step{{"suspected", f.Suspected}, {"declared", f.Declared}, {"asked", f.Asked}}
	if f.Kind == KindSwitchover {
		from, steps = f.Asked, []step{{"asked", f.Asked}, {"sealed", f.Sealed}}
	}
	out := map[string]float64{}
	for _, s := range append(steps, step{"committed", f.Committed}, step{"accepted", f.Accepted}, step{"serving", f.Serving}, step{"first_answer", f.FirstAnswer}) {
		if !s.at.IsZero() {
			out[s.name] = float64(s.at.Sub(from).Microseconds()) / 1000
		}
	}
	return out
}

// why tells what a change was for, and who asked.
func (f Failover) why() string {
	text := f.Cause
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	if f.By != "" {
		text += ", by " + f.By
	}
	if f.Sight != "" {
		text += "; " + f.Sight
	}
	return text
}
