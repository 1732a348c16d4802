package httpapi

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

// serve runs a real server with the interface's functions.
func serve(t *testing.T, c *coordinator) (address string, closed chan any) {
	t.Helper()
	closed = make(chan any, 8)
	a := New(Options{Coordinator: c, Proxy: named("proxy"), Metrics: named("metrics"), Log: zerolog.Nop(), ConnClosed: func(conn any) { closed <- conn }})
	s := httptest.NewUnstartedServer(a)
	s.Config.ConnContext, s.Config.ConnState = a.ConnContext, a.ConnState
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), closed
}

// oneConn is a client that keeps to one connection.
func oneConn(t *testing.T, address string) (*http.Client, net.Conn) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	transport := &http.Transport{Dial: func(string, string) (net.Conn, error) { return conn, nil }, MaxConnsPerHost: 1} //nolint:staticcheck // no context to pass
	return &http.Client{Transport: transport}, conn
}

func post(t *testing.T, c *http.Client, address, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address+path, strings.NewReader(body))
	require.NoError(t, err)
	a, err := c.Do(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, a.Body) // or the connection is not kept
	require.NoError(t, err)
	require.NoError(t, a.Body.Close())
	require.Equal(t, http.StatusOK, a.StatusCode)
}

func TestClosedHeartbeatConnectionIsTold(t *testing.T) {
	c := new(coordinator)
	address, closed := serve(t, c)
	client, conn := oneConn(t, address)
	other, otherConn := oneConn(t, address)
	for range 3 {
		post(t, client, address, wire.PathHeartbeat, beat)
	}
	post(t, other, address, wire.PathHeartbeat, beat)
	require.NotNil(t, c.conns[0])
	require.Same(t, c.conns[0], c.conns[2], "one connection, one token")
	require.NotSame(t, c.conns[0], c.conns[3])

	began := time.Now()
	require.NoError(t, conn.Close())
	require.Same(t, c.conns[0], <-closed)
	t.Logf("told after %s", time.Since(began))
	require.NoError(t, otherConn.Close())
	require.Same(t, c.conns[3], <-closed)
	require.Empty(t, closed)
}

func TestOtherConnectionsAreNotTold(t *testing.T) {
	c := new(coordinator)
	address, closed := serve(t, c)
	client, conn := oneConn(t, address)
	post(t, client, address, "/v1/kv/k", "")
	require.NoError(t, conn.Close())
	beating, beatingConn := oneConn(t, address)
	post(t, beating, address, wire.PathHeartbeat, beat)
	require.NoError(t, beatingConn.Close())
	require.Same(t, c.conns[0], <-closed)
	require.Empty(t, closed)
}

func TestTokensAreForgotten(t *testing.T) {
	a := newAPI(new(coordinator)) // and nobody wants to be told
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	for _, end := range []http.ConnState{http.StateClosed, http.StateHijacked} {
		ctx := a.ConnContext(t.Context(), near)
		r := httptest.NewRequestWithContext(ctx, "POST", wire.PathHeartbeat, strings.NewReader(beat))
		a.ServeHTTP(httptest.NewRecorder(), r)
		for _, s := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, end, end} {
			a.ConnState(near, s)
		}
		a.tokens.Range(func(any, any) bool {
			require.Fail(t, "a token was kept")
			return false
		})
	}
}
