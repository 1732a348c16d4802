package e2e

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/wire"
)

// spreading has three nodes, whose reads through the monitor go to all.
func spreading(_ *story, o *cluster.Options) {
	o.Nodes = 3
	o.MonitorFlags = append(o.MonitorFlags, "-reads", "spread")
}

// TestSpreadReads has things happen to a standby and to the primary of three while
// reads go to all of them: writes and reads through the monitor are answered, no
// read is stale, and each node answers its share once all is well.
func TestSpreadReads(t *testing.T) {
	for _, test := range []struct {
		name    string
		happens func(s *story, primary, standby string)
	}{
		{"kill of a standby", func(s *story, _, standby string) {
			s.without(standby, func() { s.kill(standby) }, func() { s.start(standby) })
		}},
		{"freeze of a standby", func(s *story, _, standby string) {
			s.without(standby, func() { s.freeze(standby) }, func() { s.thaw(standby) })
		}},
		{"stop of a standby", func(s *story, _, standby string) {
			s.without(standby, func() { s.terminate(standby) }, func() { s.start(standby) })
		}},
		{"kill of the primary", func(s *story, _, _ string) { s.replaced(func(p string) { s.kill(p) }, func(p string) { s.start(p) }) }},
		{"switchover", func(s *story, _, _ string) { s.replaced(func(string) { s.operator("-switchover") }, func(string) {}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := tell(t, spreading)
			s.many()
			s.write()
			readers := s.readAlways(4)
			for range 2 {
				g := s.group()
				standby := slices.DeleteFunc(s.Nodes(), func(n string) bool { return n == g.Primary })[0]
				test.happens(s, g.Primary, standby)
				s.awaitInSync(s.Nodes()...)
				s.moreAcknowledged(50)
			}
			require.Empty(t, readers(), "reads that were not answered")
			s.rest()
			counts := s.ledger.Counts()
			require.Zero(t, counts.Refused, "requests that were told that nothing was applied")
			require.Zero(t, counts.Unknown, "requests that were told nothing")
			s.settled()
			s.answeredByAll()
		})
	}
}

// without has the others go on without a standby, and undoes what they did without
// it for.
func (s *story) without(standby string, do, undo func()) {
	s.t.Helper()
	do()
	s.awaitInSync(slices.DeleteFunc(s.Nodes(), func(n string) bool { return n == standby })...)
	s.moreAcknowledged(20)
	undo()
}

// readAlways reads a key through the monitor, again and again. Its end returns what
// was no answer.
func (s *story) readAlways(readers int) (end func() []string) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var reading sync.WaitGroup
	var mu sync.Mutex // guards failures
	var failures []string
	s.put(soon, s.Monitor(), "read", "v")
	for range readers {
		reading.Go(func() {
			for ctx.Err() == nil {
				if status, text := s.call(soon, http.MethodGet, s.Monitor()+"/v1/kv/read", ""); status != http.StatusOK || text != "v" {
					mu.Lock()
					failures = append(failures, text)
					mu.Unlock()
				}
			}
		})
	}
	end = func() []string {
		cancel()
		reading.Wait()
		return failures
	}
	s.t.Cleanup(func() { end() })
	return end
}

// answeredByAll waits until each of the nodes answers every third read.
func (s *story) answeredByAll() {
	s.t.Helper()
	s.await("each answers its share", func() bool {
		counts := map[string]int{}
		for range 30 {
			counts[s.answerer()]++
		}
		return counts["app1"] == 10 && counts["app2"] == 10 && counts["app3"] == 10
	})
}

// answerer returns the name of the node that answers a read.
func (s *story) answerer() string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.Monitor()+"/v1/kv/read", nil)
	require.NoError(s.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	require.Equal(s.t, http.StatusOK, res.StatusCode)
	return res.Header.Get(wire.HeaderNode)
}
