package daemon

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// serving runs Serve on loopback. stop ends its context and returns its error.
func serving(t *testing.T, opts HTTPOptions) (address string, stop func() error) {
	t.Helper()
	ln, err := TCP().Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, opts) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return ln.Addr().String(), stop
}

func get(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestServeAnswersAndStops(t *testing.T) {
	type key struct{}
	var states atomic.Int32
	address, stop := serving(t, HTTPOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Context().Value(key{}).(string))
		}),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "marked") },
		ConnState:   func(net.Conn, http.ConnState) { states.Add(1) },
		Grace:       time.Second,
	})
	body, err := get("http://" + address)
	require.NoError(t, err)
	require.Equal(t, "marked", body)
	require.Positive(t, states.Load())
	require.NoError(t, stop())
	_, err = get("http://" + address)
	require.Error(t, err, "nobody listens any more")
}

func TestServeLetsRequestsFinish(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	address, stop := serving(t, HTTPOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(started)
			<-release
			_, _ = io.WriteString(w, "finished")
		}),
		Grace: 10 * time.Second,
	})
	answer := make(chan string, 1)
	go func() {
		body, _ := get("http://" + address)
		answer <- body
	}()
	<-started
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("Serve returned while a request was under way: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	require.NoError(t, <-stopped)
	require.Equal(t, "finished", <-answer)
}

func TestServeAbandonsRequestsAfterTheGrace(t *testing.T) {
	started, gone := make(chan struct{}), make(chan struct{})
	address, stop := serving(t, HTTPOptions{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(started)
			<-r.Context().Done()
			close(gone)
		}),
		Grace: 10 * time.Millisecond,
	})
	answer := make(chan error, 1)
	go func() {
		_, err := get("http://" + address)
		answer <- err
	}()
	<-started
	require.NoError(t, stop())
	<-gone
	require.Error(t, <-answer)
}

func TestServeLeavesHijackedConnectionsAlone(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	address, stop := serving(t, HTTPOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				hijacked <- c
			}
		}),
		Grace: 10 * time.Second,
	})
	client, err := TCP().Dial(t.Context(), "tcp", address)
	require.NoError(t, err)
	defer client.Close()
	_, err = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	server := <-hijacked
	defer server.Close()
	require.NoError(t, stop())
	_, err = io.WriteString(server, "still here\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(client).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "still here\n", line)
}

func TestServeReportsABrokenListener(t *testing.T) {
	ln, err := TCP().Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.ErrorContains(t, Serve(t.Context(), ln, HTTPOptions{Handler: http.NotFoundHandler()}), "use of closed")
}

func TestServeLogsThroughZerolog(t *testing.T) {
	var out bytes.Buffer // written by one connection's goroutine, read after Serve has returned
	address, stop := serving(t, HTTPOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			w.WriteHeader(http.StatusNoContent)
		}),
		Log:   zerolog.New(zerolog.SyncWriter(&out)),
		Grace: time.Second,
	})
	_, err := get("http://" + address)
	require.NoError(t, err)
	require.NoError(t, stop())
	require.Contains(t, out.String(), `"message":"http connection failed"`)
	require.Contains(t, out.String(), "superfluous")
}

// A broken invariant in a handler must not be served on: the process ends. This
// test runs itself as that process.
func TestPanicInAHandlerEndsTheProcess(t *testing.T) {
	const child = "UNDERSTUDY_TEST_CRASH"
	if os.Getenv(child) != "" {
		address, _ := serving(t, HTTPOptions{
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("an invariant is broken") }),
		})
		_, _ = get("http://" + address)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPanicInAHandlerEndsTheProcess$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "an invariant is broken")
}
