package herd

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/pulse"
	"understudy.example/pkg/wire"
)

// monitor registers whoever it hears.
type monitor struct {
	mu    sync.Mutex // guards the fields below
	word  *wire.Assignment
	heard map[string]int
	fails bool
}

func (m *monitor) take(message []byte) (*wire.Assignment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var hb wire.Heartbeat
	if err := json.Unmarshal(message, &hb); err != nil {
		return nil, err
	}
	if m.fails {
		return nil, problem.Errorf(problem.Overloaded, "not now")
	}
	if m.heard[hb.Name]++; m.heard[hb.Name] == 1 {
		next := *m.word
		next.Nodes = append(slices.Clip(next.Nodes), wire.NodeInfo{Name: hb.Name, UUID: hb.UUID})
		m.word = &next
	}
	return m.word, nil
}

func (m *monitor) fail() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = true
}

func (m *monitor) times(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[name]
}

func TestEveryNodeBeatsAndIsMeasured(t *testing.T) {
	m := &monitor{word: &wire.Assignment{V: wire.Format}, heard: map[string]int{}}
	taker := new(pulse.Taker)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { taker.Serve(w, r, m.take) }))
	defer server.Close()
	h := New(Options{Nodes: 5, Monitor: strings.TrimPrefix(server.URL, "http://"), Every: 5 * time.Millisecond, Dial: new(net.Dialer).DialContext})
	ctx, stop := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { h.Run(ctx) })
	defer run.Wait()
	defer stop()
	all := func(n int) func() bool {
		return func() bool {
			for _, name := range []string{"sim1", "sim2", "sim3", "sim4", "sim5"} {
				if m.times(name) < n {
					return false
				}
			}
			return true
		}
	}
	require.Eventually(t, all(2), 5*time.Second, time.Millisecond)
	h.Begin()
	require.Eventually(t, all(8), 5*time.Second, time.Millisecond)
	r := h.End()
	require.Positive(t, r.Rate)
	require.Positive(t, r.P50)
	require.LessOrEqual(t, r.P50, r.P99)
	require.LessOrEqual(t, r.P99, r.Max)
	require.Zero(t, r.Failed)

	m.fail()
	h.Begin()
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.failed > 3
	}, 5*time.Second, time.Millisecond)
	require.Positive(t, h.End().Failed)
}
