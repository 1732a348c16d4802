package link

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const benchTarget = "/v1/kv/user/000001/name"

// trivial answers as a node answers a read of a key.
func trivial(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Etag"] = []string{`"3.1042"`}
	h["Understudy-Position"] = []string{"3.1042"}
	h["Content-Length"] = []string{"32"}
	h["Content-Type"] = []string{"application/octet-stream"}
	h["Cache-Control"] = []string{"no-cache"}
	h["Understudy-Node"] = []string{"app1"}
	_, _ = io.WriteString(w, "a value of thirty-two bytes, yes")
}

// benchServer serves h at Path and, as plain HTTP, everywhere else.
func benchServer(b *testing.B) (address string) {
	links := NewServer(http.HandlerFunc(trivial), ServerOptions{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Path {
			links.ServeHTTP(w, r)
			return
		}
		trivial(w, r)
	}))
	b.Cleanup(func() { links.Close(); srv.Close() })
	return strings.TrimPrefix(srv.URL, "http://")
}

// repeat calls do b.N times from so many callers at once.
func repeat(b *testing.B, callers int, do func() error) {
	b.ReportAllocs()
	require.NoError(b, do())
	b.ResetTimer()
	var wait sync.WaitGroup
	for i := range callers {
		n := (b.N + i) / callers
		wait.Go(func() {
			for range n {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkDo shows a small read over link, beside the same over net/http.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []struct {
		name string
		n    int
	}{{"1", 1}, {"64", 64}} {
		b.Run("link/"+callers.name, func(b *testing.B) {
			c := NewClient(ClientOptions{Dial: new(net.Dialer).DialContext, Address: benchServer(b)})
			defer c.Close()
			r := &Request{Method: http.MethodGet, Target: benchTarget}
			ctx, cancel := context.WithTimeout(b.Context(), 1<<40)
			defer cancel()
			repeat(b, callers.n, func() error { _, err := c.Do(ctx, r); return err })
		})
		b.Run("http/"+callers.name, func(b *testing.B) {
			url := "http://" + benchServer(b) + benchTarget
			tr := &http.Transport{MaxIdleConnsPerHost: 128}
			defer tr.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(b.Context(), 1<<40)
			defer cancel()
			repeat(b, callers.n, func() error { return plainGet(ctx, tr, url) })
		})
	}
}

func plainGet(ctx context.Context, tr *http.Transport, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.ReadAll(res.Body)
	return err
}
