package load

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

func rateOptions(target Target) Options {
	return Options{Targets: []Target{target}, For: 300 * time.Millisecond, WarmUp: 100 * time.Millisecond, Value: 10, Keys: 20}
}

func TestRatesAreKept(t *testing.T) {
	var reads atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := "app1"
		if r.Method == http.MethodGet && reads.Add(1)%2 == 0 {
			name = "app2"
		}
		w.Header().Set(wire.HeaderNode, name)
	})
	flows, err := RunRates(t.Context(), rateOptions(target), []Rate{{Write, 100}, {Read, 400}})
	require.NoError(t, err)
	require.Len(t, flows, 2)
	write, read := flows[0], flows[1]
	require.Equal(t, []any{Write, 30, 0}, []any{write.Op, write.Requests, write.Failed})
	require.Equal(t, map[string]int{"app1": 30}, write.Nodes)
	require.Equal(t, []any{Read, 120, 0}, []any{read.Op, read.Requests, read.Failed})
	require.EqualValues(t, 160, reads.Load(), "with the warm-up")
	require.InDelta(t, 60, read.Nodes["app2"], 10)
	require.LessOrEqual(t, read.P50, read.Max)
}

// A stall is in the times of all that were due meanwhile, although they were sent
// later.
func TestTimeRunsFromWhenARequestIsDue(t *testing.T) {
	began := time.Now()
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && time.Since(began) < 200*time.Millisecond {
			time.Sleep(time.Until(began.Add(200 * time.Millisecond)))
		}
	})
	o := rateOptions(target)
	o.WarmUp = 0
	flows, err := RunRates(t.Context(), o, []Rate{{Read, 1000}})
	require.NoError(t, err)
	require.Equal(t, 300, flows[0].Requests, "none was left out")
	require.Greater(t, flows[0].P50, 10_000.0)
}

func TestEveryFailureOfARateCounts(t *testing.T) {
	var n atomic.Int64
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if i := n.Add(1); i > 20 && i%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	flows, err := RunRates(t.Context(), rateOptions(target), []Rate{{Write, 100}})
	require.NoError(t, err)
	require.Equal(t, 4, flows[0].Failed, "of 40, those of the warm-up too")
	require.Contains(t, flows[0].Example, "503")
}

func TestRatesAreInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	o := rateOptions(serve(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 30 {
			cancel()
		}
	}))
	o.For = time.Hour
	_, err := RunRates(ctx, o, []Rate{{Read, 100}})
	require.ErrorIs(t, err, context.Canceled)

	_, err = RunRates(t.Context(), rateOptions(serve(t, http.NotFound)), []Rate{{Read, 100}})
	require.ErrorContains(t, err, "prepare key 0")
}

func TestUneven(t *testing.T) {
	require.Zero(t, Flow{Requests: 30, Nodes: map[string]int{"a": 10, "b": 10, "c": 10}}.Uneven())
	require.InDelta(t, 0.2, Flow{Requests: 30, Nodes: map[string]int{"a": 11, "b": 11, "c": 8}}.Uneven(), 1e-9)
	require.InDelta(t, 1, Flow{Requests: 10, Nodes: map[string]int{"a": 10, "b": 0}}.Uneven(), 1e-9)
	require.Zero(t, Flow{}.Uneven())
}
