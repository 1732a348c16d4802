package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
)

// A node that loses its power in the middle of a request: nothing on the
// network tells, so the bounds must hold. The bubble proves that all of the
// proxy ends with it.
func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1)
		defer network.Close()
		l, err := network.Host("app1").Listen(t.Context(), "app1:8081")
		require.NoError(t, err)
		arrived, free := make(chan struct{}), make(chan struct{})
		defer close(free)
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { //nolint:gosec // no peer is slow here
			if r.URL.Path == "/v1/kv/slow" {
				close(arrived)
				<-free
			}
		})}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		p := New(Options{
			Directory:  &directory{primary: "app1", serving: true, nodes: map[string]string{"app1": "app1:8081"}},
			Dial:       network.Host("m1").Dial,
			Registerer: prometheus.NewRegistry(),
		})
		defer p.Close()
		put := func(key string) (status int, took time.Duration) {
			began, w := time.Now(), httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "PUT", "/v1/kv/"+key, strings.NewReader("v")))
			return w.Code, time.Since(began)
		}
		status, _ := put("quick")
		require.Equal(t, http.StatusOK, status)

		go func() {
			<-arrived
			network.PowerOff("app1")
		}()
		status, took := put("slow")
		require.Equal(t, http.StatusGatewayTimeout, status)
		require.Equal(t, defaultHold, took.Round(time.Second))

		status, took = put("after")
		require.Equal(t, http.StatusServiceUnavailable, status, "no connection was made")
		require.Equal(t, dialTimeout, took.Round(time.Second))
	})
}
