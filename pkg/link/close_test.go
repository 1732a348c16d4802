package link

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

func TestShutdownLetsRequestsEnd(t *testing.T) {
	play(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		if r.Context().Err() == nil {
			_, _ = w.Write(pattern(FirstPart + maxPart))
		}
	}, func(t *testing.T, s *scene) {
		type outcome struct {
			res *Response
			err error
		}
		under := make(chan outcome, 1)
		go func() { res, err := s.get("/"); under <- outcome{res, err} }()
		time.Sleep(500 * time.Millisecond)
		down := make(chan error, 1)
		go func() { down <- s.server.Shutdown(limited(t, 5*time.Second)) }()
		synctest.Wait()
		_, err := s.get("/")
		require.ErrorIs(t, err, ErrNotSent)
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
		got := <-under
		require.NoError(t, got.err)
		require.Len(t, whole(t, got.res), FirstPart+maxPart)
		require.NoError(t, <-down)
		require.NoError(t, s.server.Shutdown(t.Context()), "once more is nothing more")
	})
}

// A request that crosses the word that the node stops is refused, not lost.
func TestRequestThatCrossesTheShutdownIsRefused(t *testing.T) {
	calls := 0
	play(t, func(http.ResponseWriter, *http.Request) { calls++ }, func(t *testing.T, s *scene) {
		s.only()
		_, err := s.get("/")
		require.NoError(t, err)
		s.net.Cut("b", "a")
		down := make(chan error, 1)
		go func() { down <- s.server.Shutdown(limited(t, 5*time.Second)) }()
		synctest.Wait()
		time.AfterFunc(time.Second, func() { s.net.Heal("b", "a") })
		_, err = s.get("/")
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorContains(t, err, "this node is stopping")
		require.NoError(t, <-down)
		require.Equal(t, 1, calls)
	})
}

func TestShutdownEndsWhatTakesTooLong(t *testing.T) {
	ended := make(chan error, 1)
	play(t, func(w http.ResponseWriter, r *http.Request) { waiting(ended)(w, r) }, func(t *testing.T, s *scene) {
		ended = make(chan error, 1)
		under := make(chan error, 1)
		go func() { _, err := s.get("/"); under <- err }()
		synctest.Wait()
		start := time.Now()
		require.ErrorIs(t, s.server.Shutdown(limited(t, time.Second)), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, context.Canceled, <-ended)
		require.ErrorIs(t, <-under, ErrLost)
	})
}

// A first hop that is gone does not use up the time that the others are given.
func TestShutdownDoesNotWaitForTheDead(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		_, err := s.get("/")
		require.NoError(t, err)
		s.net.PowerOff("a")
		start := time.Now()
		require.NoError(t, s.server.Shutdown(limited(t, time.Minute)))
		within(t, silentTicks, start)
	})
}

func TestCloseOfTheClientEndsEverything(t *testing.T) {
	play(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write(make([]byte, 8<<20))
			return
		}
		<-r.Context().Done()
	}, func(t *testing.T, s *scene) {
		s.only()
		long, err := s.get("/long")
		require.NoError(t, err)
		under := make(chan error, 1)
		go func() { _, err := s.get("/"); under <- err }()
		synctest.Wait()
		s.Client.Close()
		err = <-under
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, err, ErrLost)
		buf := make([]byte, 2*restWindow)
		for err = nil; err == nil; {
			_, err = long.Rest.Read(buf)
		}
		require.ErrorIs(t, err, ErrClosed)
		require.NoError(t, long.Rest.Close())
		_, err = s.get("/")
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, err, ErrNotSent)
		synctest.Wait()
		require.Zero(t, s.net.Open())
	})
}

func TestCloseOfTheClientEndsADial(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		s.net.Cut("a", "b")
		under := make(chan error, 1)
		go func() { _, err := s.get("/"); under <- err }()
		synctest.Wait()
		start := time.Now()
		s.Client.Close()
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, <-under, ErrClosed)
		s.net.Heal("a", "b")
	})
}

// Whoever serves the node's port may end without a word to the links.
func TestEndOfThePortsServerEndsTheConnections(t *testing.T) {
	links := NewServer(http.HandlerFunc(echo), ServerOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewUnstartedServer(links)
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Start()
	defer srv.Close()
	c := NewClient(ClientOptions{Dial: new(net.Dialer).DialContext, Address: srv.Listener.Addr().String()})
	defer c.Close()
	_, err := c.Do(t.Context(), &Request{Method: http.MethodGet, Target: "/"})
	require.NoError(t, err)
	cancel()
	require.NoError(t, links.Shutdown(limited(t, 5*time.Second)))
}

// A broken invariant in a handler must not be served on: the process ends. This
// test runs itself as that process.
func TestPanicInAHandlerEndsTheProcess(t *testing.T) {
	const child = "UNDERSTUDY_TEST_CRASH"
	if os.Getenv(child) != "" {
		links := NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("an invariant is broken")) }), ServerOptions{})
		srv := httptest.NewServer(links)
		c := NewClient(ClientOptions{Dial: new(net.Dialer).DialContext, Address: strings.TrimPrefix(srv.URL, "http://")})
		_, _ = c.Do(t.Context(), &Request{Method: http.MethodGet, Target: "/"})
		return
	}
	cmd := exec.CommandContext(limited(t, 30*time.Second), os.Args[0], "-test.run=^TestPanicInAHandlerEndsTheProcess$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "an invariant is broken")
}
