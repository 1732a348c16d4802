package memnet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// serve runs an HTTP server at b:80 until stop is called.
func serve(t *testing.T, n *Net, h http.Handler) (stop func()) {
	t.Helper()
	ln, err := n.Host("b").Listen(t.Context(), "b:80")
	require.NoError(t, err)
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	return func() {
		require.NoError(t, s.Shutdown(t.Context()))
		wg.Wait()
	}
}

func client(n *Net) (*http.Client, func()) {
	tr := &http.Transport{DialContext: n.Host("a").Dial}
	return &http.Client{Transport: tr}, tr.CloseIdleConnections
}

func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestHTTP(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		stop := serve(t, n, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %d", r.URL.Path, len(b))
		}))
		defer stop()
		c, idle := client(n)
		defer idle()
		for range 3 {
			got, err := get(t.Context(), c, "http://b:80/x")
			require.NoError(t, err)
			require.Equal(t, "/x 0", got)
		}
		require.Equal(t, 1, n.Open(), "connections are kept alive")

		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://b:80/big", strings.NewReader(strings.Repeat("x", 2<<20)))
		require.NoError(t, err)
		res, err := c.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "/big 2097152", string(b))
	})
}

func TestHTTPTimeoutCutsRequestShort(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		stop := serve(t, n, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "answer")
		}))
		defer stop()
		c, idle := client(n)
		defer idle()
		n.Freeze("b")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := get(ctx, c, "http://b:80/")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		n.Unfreeze("b")
		got, err := get(t.Context(), c, "http://b:80/")
		require.NoError(t, err)
		require.Equal(t, "answer", got)
	})
}

func TestHTTPCrashIsSeenByTheClient(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		arrived, leave := make(chan struct{}), make(chan struct{})
		stop := serve(t, n, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(arrived)
			<-leave
		}))
		defer stop()
		defer close(leave)
		c, idle := client(n)
		defer idle()
		failed := make(chan error, 1)
		go func() { _, err := get(t.Context(), c, "http://b:80/"); failed <- err }()
		<-arrived
		n.Crash("b")
		require.Error(t, <-failed)
		synctest.Wait() // the server has given up its listener, and will not close it again
		_, err := get(t.Context(), c, "http://b:80/")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestHTTPUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		stop := serve(t, n, http.HandlerFunc(echoUpgraded))
		defer stop()
		c, err := n.Host("a").Dial(t.Context(), "tcp", "b:80")
		require.NoError(t, err)
		defer c.Close()
		mustWrite(t, c, "GET /stream HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly")
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		mustWrite(t, c, " late")
		require.NoError(t, c.(*conn).CloseWrite())
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "early late", string(got))
	})
}

// echoUpgraded takes the connection over and sends back what comes.
func echoUpgraded(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(struct{ net.Conn }{c}, rw.Reader)
}
