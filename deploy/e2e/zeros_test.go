package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/ledger"
	"understudy.example/pkg/problem"
)

// many gives the load sixteen writers, which read as well.
func (s *story) many() {
	s.ledger = ledger.New(ledger.Options{Target: s.Monitor(), Writers: 16, Prefix: "load/", Pause: 10 * time.Millisecond, Padding: 50})
}

// TestNoRequestFails has things happen under load, back and forth. Nobody who asks
// the monitor gets anything but the answer of a primary.
func TestNoRequestFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		happens func(s *story)
	}{
		{"kill", func(s *story) { s.replaced(func(p string) { s.kill(p) }, func(p string) { s.start(p) }) }},
		{"freeze", func(s *story) { s.replaced(s.freeze, s.thaw) }},
		{"freeze by an operator", func(s *story) {
			s.replaced(func(p string) { s.operator("-freeze", p, "-for", "1s") }, func(string) {})
		}},
		{"terminate", func(s *story) { s.replaced(s.terminate, func(p string) { s.start(p) }) }},
		{"switchover", func(s *story) { s.replaced(func(string) { s.operator("-switchover") }, func(string) {}) }},
		{"maintenance", func(s *story) {
			s.replaced(func(p string) { s.operator("-maintenance", p+"=on") }, func(p string) { s.operator("-maintenance", p+"=off") })
		}},
		{"cut between primary and monitor", func(s *story) { s.replaced(s.cutMonitor, s.healMonitor) }},
		{"cut between primary and standby", func(s *story) { s.leftOut(func(string) { s.cutPeers() }, func(string) { s.healPeers() }) }},
		{"cut between standby and monitor", func(s *story) {
			s.cutMonitor(s.standby())
			s.moreAcknowledged(200)
			s.healMonitor(s.standby())
		}},
		{"death of the standby", func(s *story) { s.leftOut(func(n string) { s.kill(n) }, func(n string) { s.start(n) }) }},
		{"stop of the standby", func(s *story) { s.leftOut(s.terminate, func(n string) { s.start(n) }) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := tell(t, links)
			s.many()
			s.write()
			for range 3 {
				test.happens(s)
				s.awaitInSync("app1", "app2")
				s.moreAcknowledged(50)
			}
			s.rest()
			counts := s.ledger.Counts()
			require.Zero(t, counts.Refused, "requests that were told that nothing was applied")
			require.Zero(t, counts.Unknown, "requests that were told nothing")
			s.settled()
			t.Logf("%d writes, the longest time without any %s", counts.Acknowledged, counts.LongestGap)
		})
	}
}

// replaced has the primary be replaced, and undoes what did it.
func (s *story) replaced(do, undo func(primary string)) {
	s.t.Helper()
	before := s.group()
	do(before.Primary)
	s.await("another primary serves", func() bool {
		g := s.group()
		return g.Epoch > before.Epoch && g.Primary != before.Primary && g.Serving
	})
	s.moreAcknowledged(20)
	undo(before.Primary)
}

// leftOut has the standby be left out, and undoes what did it.
func (s *story) leftOut(do, undo func(standby string)) {
	s.t.Helper()
	primary, standby := s.group().Primary, s.standby()
	do(standby)
	s.awaitInSync(primary)
	s.moreAcknowledged(20)
	undo(standby)
}

// standby is the one of two nodes that is not the primary.
func (s *story) standby() string {
	s.t.Helper()
	if s.group().Primary == "app1" {
		return "app2"
	}
	return "app1"
}

func (s *story) terminate(name string) {
	s.t.Helper()
	require.NoError(s.t, s.Terminate(name))
}

// operator has the client carry out an order. On a machine that stands still for a
// moment an order may be refused, which changes nothing: a person repeats it.
func (s *story) operator(args ...string) {
	s.t.Helper()
	o := s.client(args...)
	for i := 0; i < 3 && o.code == problem.ExitRefused; i++ {
		s.awaitQuiet()
		o = s.client(args...)
	}
	require.Zero(s.t, o.code, o.stderr)
}
