package server

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// freshAnswer is the age up to which a monitor that answered a heartbeat counts as
// one that will answer a proposal.
const freshAnswer = 300 * time.Millisecond

// monitors remembers how the monitors answered, so that a wish goes first to the
// one that decides, and last to one that is silent.
type monitors struct {
	mu    sync.Mutex // guards the fields below
	heard map[string]heardMonitor
}

type heardMonitor struct {
	at    time.Time
	leads bool
}

// answered notes that a monitor answered a heartbeat, and whether it decides.
func (m *monitors) answered(name string, leads bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard == nil {
		m.heard = map[string]heardMonitor{}
	}
	m.heard[name] = heardMonitor{time.Now(), leads}
}

// inOrder returns the monitors, the one to ask first at the front.
func (m *monitors) inOrder(all []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	rank := func(name string) int {
		switch h := m.heard[name]; {
		case time.Since(h.at) > freshAnswer:
			return 2
		case h.leads:
			return 0
		}
		return 1
	}
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}
