package proxy

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// The proxy beside the one of the standard library, 64 callers at once.
func BenchmarkProxy(b *testing.B) {
	app := node(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Understudy-Position", "1.2")
		_, _ = io.WriteString(w, "done")
	})
	own := New(Options{
		Directory:  &directory{primary: "app1", serving: true, nodes: map[string]string{"app1": app}},
		Dial:       new(net.Dialer).DialContext,
		Registerer: prometheus.NewRegistry(),
	})
	defer own.Close()
	transport := newTransport(new(net.Dialer).DialContext)
	defer transport.CloseIdleConnections()
	library := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: app}) },
	}
	b.Run("own", func(b *testing.B) { benchmark(b, own) })
	b.Run("library", func(b *testing.B) { benchmark(b, library) })
}

func benchmark(b *testing.B, h http.Handler) {
	front := httptest.NewServer(h)
	defer front.Close()
	client := &http.Client{Transport: newTransport(new(net.Dialer).DialContext)}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	b.SetParallelism(max(1, 64/2)) // of two processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), "PUT", front.URL+"/v1/kv/k", strings.NewReader("value"))
			require.NoError(b, err)
			a, err := client.Do(r)
			require.NoError(b, err)
			_, _ = io.Copy(io.Discard, a.Body)
			require.NoError(b, a.Body.Close())
		}
	})
}
