package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// alone is a proxy of a cluster without a primary.
func alone(t *testing.T) *Proxy {
	p := New(Options{
		Directory: &directory{nodes: map[string]string{}, changed: make(chan struct{})},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, net.ErrClosed
		},
		Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return p
}

// Ten thousand requests of a MiB, from a hundred addresses, with no primary:
// each gets 503 and when to come again, and what waits takes 64 MiB at most.
func TestWhatIsHeldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := alone(t)
		const requests = 10_000
		body := strings.Repeat("x", 1<<20)
		var wait sync.WaitGroup
		var mu sync.Mutex // guards the counts
		atOnce, held := 0, 0
		began := time.Now()
		for i := range requests {
			wait.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("/v1/kv/%d", i), strings.NewReader(body))
				r.RemoteAddr = fmt.Sprintf("10.0.0.%d:999", i%100)
				w := httptest.NewRecorder()
				p.ServeHTTP(w, r)
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, http.StatusServiceUnavailable, w.Code)
				require.Equal(t, "1", w.Header().Get("Retry-After"))
				if time.Since(began) == 0 {
					atOnce++
				} else {
					require.Equal(t, p.courier.Hold(), time.Since(began))
					held++
				}
			})
		}
		synctest.Wait()
		require.Equal(t, maxBodies>>20, p.courier.Held())
		require.LessOrEqual(t, p.admission.bytes.Load(), int64(maxBodies))
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		require.Less(t, m.HeapAlloc, uint64(2*maxBodies))
		wait.Wait()
		require.Equal(t, maxBodies>>20, held)
		require.Equal(t, requests-held, atOnce)
		require.Zero(t, p.admission.bytes.Load())
		require.Zero(t, p.admission.requests.Load())
		require.Empty(t, p.admission.held)
	})
}

// One client must not take all the room from the others.
func TestOneClientHoldsAQuarterAtMost(t *testing.T) {
	for _, target := range []string{"/v1/kv/k", "/v1/state?from=primary"} {
		t.Run(target, func(t *testing.T) { holdsAQuarterAtMost(t, target) })
	}
}

func holdsAQuarterAtMost(t *testing.T, target string) {
	synctest.Test(t, func(t *testing.T) {
		p := alone(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		ask := func(client string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
			r.RemoteAddr = client
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			return w
		}
		for range maxRequests / clientShare {
			wait.Go(func() { ask("10.0.0.1:1") })
		}
		synctest.Wait()
		w := ask("10.0.0.1:2")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Body.String(), string(problem.Overloaded))
		wait.Go(func() { ask("10.0.0.2:1") })
		synctest.Wait()
		require.Equal(t, maxRequests/clientShare+1, p.courier.Held())
		cancel()
		wait.Wait()
		require.Zero(t, p.admission.requests.Load())
	})
}
