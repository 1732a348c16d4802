package proxy

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

const longState = 5 << 19 // bytes: 2.5 MiB

// An answer that has begun comes to its end, whatever the node that gives it has
// become meanwhile.
func TestAnAnswerThatHasBegunIsNotCut(t *testing.T) {
	for name, test := range map[string]struct {
		reads string
		nodes []string // that give a long answer
		news  func(d *directory)
		taken func(s *setup) bool // the news were
	}{
		"a new primary": {protocol.ReadsPrimary, []string{"app1"}, func(d *directory) {
			d.primary = "app2"
			d.epoch++
		}, func(s *setup) bool { return s.do(t, "PUT", "/v1/kv/k", nil).header.Get(wire.HeaderNode) == "app2" }},
		"no primary": {protocol.ReadsPrimary, []string{"app1"}, func(d *directory) {
			d.primary = ""
		}, func(s *setup) bool { return !s.proxy.courier.Open() }},
		"a standby leaves the set": {protocol.ReadsSpread, []string{"app1", "app2"}, func(d *directory) {
			d.inSync = nil
		}, func(s *setup) bool { return s.places() == 1 }},
		"a new epoch": {protocol.ReadsSpread, []string{"app1", "app2"}, func(d *directory) {
			d.primary, d.inSync = "app2", []string{"app1"}
			d.epoch++
		}, func(s *setup) bool { return s.standbyIs("app1") }},
	} {
		t.Run(name, func(t *testing.T) {
			var cut atomic.Bool
			goOn := make(chan struct{})
			end := sync.OnceFunc(func() { close(goOn) })
			defer end() // also where the test fails: the nodes wait for it
			serve := func(name string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set(wire.HeaderNode, name)
					if r.Method != http.MethodGet {
						return
					}
					_, _ = w.Write(make([]byte, longState/2))
					select {
					case <-goOn:
						_, _ = w.Write(make([]byte, longState/2))
					case <-r.Context().Done():
						cut.Store(true)
					}
				}
			}
			s := newSetup(t, 0, node(t, serve("app1")), node(t, serve("app2")))
			s.change(func(d *directory) { d.inSync = []string{"app2"} })
			s.proxy.SetReads(test.reads)
			require.Eventually(t, func() bool { return s.places() == 2 && s.proxy.courier.Open() }, 5*time.Second, time.Millisecond)
			s.waitLong()
			var under []*http.Response
			var from []string
			for range test.nodes {
				r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+statePath, nil)
				require.NoError(t, err)
				res, err := s.client.Do(r)
				require.NoError(t, err)
				defer res.Body.Close()
				under, from = append(under, res), append(from, res.Header.Get(wire.HeaderNode))
			}
			require.ElementsMatch(t, test.nodes, from)
			s.change(test.news)
			require.Eventually(t, func() bool { return test.taken(s) }, 5*time.Second, time.Millisecond)
			require.Never(t, cut.Load, 50*time.Millisecond, 10*time.Millisecond, "the node was told that nobody reads it")
			end()
			for _, res := range under {
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Len(t, body, longState)
			}
		})
	}
}

// waitLong has reads wait for a standby for as long as they ever do: on a machine
// that is busy its answer may be late, and then the primary is asked as well.
func (s *setup) waitLong() {
	s.proxy.spread.mu.Lock()
	defer s.proxy.spread.mu.Unlock()
	for i := range s.proxy.spread.turns {
		t := &s.proxy.spread.turns[i]
		for range 4 * t.Places() {
			k, _ := t.Next(time.Now())
			t.Answered(k, time.Second)
		}
	}
}

// places returns among how many replicas reads are spread.
func (s *setup) places() int {
	s.proxy.spread.mu.Lock()
	defer s.proxy.spread.mu.Unlock()
	return 1 + len(s.proxy.spread.standbys)
}

func (s *setup) standbyIs(name string) bool {
	s.proxy.spread.mu.Lock()
	defer s.proxy.spread.mu.Unlock()
	return len(s.proxy.spread.standbys) == 1 && s.proxy.spread.standbys[0].Name == name
}
