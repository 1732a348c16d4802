package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/pkg/requestid"
)

func serve(t *testing.T, h http.HandlerFunc) Target {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	address := strings.TrimPrefix(srv.URL, "http://")
	return Target{Through: "direct", Open: func() call.Caller { return call.NewHTTP(call.At(address), 10*time.Second) }}
}

// cellTime is long enough for a request to be answered, on a busy machine too.
const cellTime = 500 * time.Millisecond

func options(target Target) Options {
	return Options{Targets: []Target{target}, Ops: []string{Write, Read}, Clients: []int{1, 4}, For: cellTime, WarmUp: 10 * time.Millisecond, Value: 10, Keys: 20}
}

func TestEveryCellIsMeasured(t *testing.T) {
	var values sync.Map
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			b, _ := io.ReadAll(r.Body)
			values.Store(r.URL.Path, b)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		v, ok := values.Load(r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(v.([]byte))
	})
	var cells []Cell
	require.NoError(t, Run(t.Context(), options(target), func(c Cell) { cells = append(cells, c) }))
	require.Len(t, cells, 4)
	for _, c := range cells {
		require.Equal(t, "direct", c.Through)
		require.Zero(t, c.Errors, "all keys were there")
		require.Positive(t, c.PerSec)
		require.LessOrEqual(t, c.P50, c.P99)
		require.LessOrEqual(t, c.P99, c.P999)
		require.LessOrEqual(t, c.P999, c.Max)
	}
	require.Equal(t, "write", cells[0].Op)
	require.Equal(t, 4, cells[1].Clients)
}

func TestErrorsAreCountedAndConnectionsMadeAnew(t *testing.T) {
	var n atomic.Int64
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch i := n.Add(1); {
		case i <= 20: // the preparation
		case i%10 == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case i%10 == 3:
			panic(http.ErrAbortHandler)
		case i%10 == 5:
			w.Header().Set("Connection", "close")
		}
	})
	var cells []Cell
	opts := options(target)
	opts.For = 2 * cellTime // long enough for every tenth request, on a busy machine too
	require.NoError(t, Run(t.Context(), opts, func(c Cell) { cells = append(cells, c) }))
	for _, c := range cells {
		require.Positive(t, c.Errors)
		require.Positive(t, c.PerSec)
	}
}

func TestNothingSucceeds(t *testing.T) {
	var n atomic.Int64
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) > 20 {
			http.Error(w, "no primary", http.StatusServiceUnavailable)
		}
	})
	err := Run(t.Context(), options(target), func(Cell) {})
	require.ErrorContains(t, err, "write direct with 1 clients: no request succeeded: the server answered 503: no primary")
}

func TestThePreparationFails(t *testing.T) {
	err := Run(t.Context(), options(serve(t, http.NotFound)), func(Cell) {})
	require.ErrorContains(t, err, "prepare key 0: the server answered 404")
}

func TestAnInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	opts := options(serve(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 30 {
			cancel()
		}
	}))
	opts.For = time.Hour
	require.ErrorIs(t, Run(ctx, opts, func(Cell) {}), context.Canceled)
}

func TestWritesCarryTheirIDs(t *testing.T) {
	var plain, hop, keyed atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, err := requestid.Of(r.Header)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
			return
		case id.IsZero():
			plain.Add(1)
		case id.OfSession():
			hop.Add(1)
		default:
			keyed.Add(1)
		}
		w.Header().Set("ETag", `"1.7"`)
		w.WriteHeader(http.StatusNoContent)
	})
	o := options(target)
	o.Ops, o.Clients, o.For = []string{HopWrite, KeyWrite}, []int{4}, 2*cellTime
	require.NoError(t, Run(t.Context(), o, func(c Cell) { require.Zero(t, c.Errors) }))
	require.EqualValues(t, o.Keys+1, plain.Load(), "the preparation")
	require.Positive(t, hop.Load())
	require.Positive(t, keyed.Load())
}
