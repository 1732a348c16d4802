package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const longAnswer = FirstPart + 3*restWindow/2

// stages plays a node whose answers stop at each stage: /long goes on as it is
// read, /begun ends within the first MiB, / has no answer.
func stages(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/long":
		_, _ = w.Write(pattern(longAnswer))
		return
	case "/begun":
		_, _ = w.Write(pattern(3 * maxPart))
	}
	<-r.Context().Done()
}

// retire retires the client meanwhile, until ctx ends; over is closed when it has.
func (s *scene) retire(ctx context.Context) (over chan struct{}) {
	over = make(chan struct{})
	go func() { s.Retire(ctx); close(over) }()
	synctest.Wait()
	return over
}

// under puts a request under way, and returns where its error comes.
func (s *scene) under(target string) chan error {
	err := make(chan error, 1)
	go func() { _, e := s.get(target); err <- e }()
	synctest.Wait()
	return err
}

func requireOver(t *testing.T, s *scene, over chan struct{}) {
	t.Helper()
	synctest.Wait()
	select {
	case <-over:
	default:
		require.Fail(t, "something is left")
	}
	require.Zero(t, s.net.Open())
}

func requireGoesOn(t *testing.T, over chan struct{}) {
	t.Helper()
	select {
	case <-over:
		require.Fail(t, "it is over")
	default:
	}
}

func TestRetireLetsAnAnswerThatHasBegunEnd(t *testing.T) {
	play(t, stages, func(t *testing.T, s *scene) {
		s.only()
		long, err := s.get("/long")
		require.NoError(t, err)
		none, begun := s.under("/"), s.under("/begun")
		start := time.Now()
		over := s.retire(t.Context())
		for _, under := range []chan error{none, begun} {
			err = <-under
			require.ErrorIs(t, err, ErrLost)
			require.ErrorIs(t, err, ErrClosed)
		}
		_, err = s.get("/")
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorIs(t, err, ErrClosed)
		require.Zero(t, time.Since(start), "nobody else waits")
		time.Sleep(readerWait / 2)
		requireGoesOn(t, over)
		require.Equal(t, pattern(longAnswer), whole(t, long))
		requireOver(t, s, over)
	})
}

// The node has said that it stops: the connection is in no slot any more.
func TestRetireOfAConnectionThatTheNodeLeaves(t *testing.T) {
	play(t, stages, func(t *testing.T, s *scene) {
		s.only()
		long, err := s.get("/long")
		require.NoError(t, err)
		none := s.under("/")
		down := make(chan error, 1)
		go func() { down <- s.server.Shutdown(limited(t, time.Hour)) }()
		synctest.Wait()
		over := s.retire(t.Context())
		require.ErrorIs(t, <-none, ErrClosed)
		require.Equal(t, pattern(longAnswer), whole(t, long))
		requireOver(t, s, over)
		require.NoError(t, <-down)
	})
}

// What ends an answer ends the connection with the last of them.
func TestRetireIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(s *scene, long *Response, cancel context.CancelFunc)
		within time.Duration
		err    error
	}{
		"context":   {func(_ *scene, _ *Response, cancel context.CancelFunc) { cancel() }, 0, ErrClosed},
		"close":     {func(s *scene, _ *Response, _ context.CancelFunc) { s.Client.Close() }, 0, ErrClosed},
		"reader":    {func(_ *scene, long *Response, _ context.CancelFunc) { _ = long.Rest.Close() }, 0, errRestClosed},
		"reset":     {func(s *scene, _ *Response, _ context.CancelFunc) { s.net.Reset("a", "b") }, 0, ErrLost},
		"node gone": {func(s *scene, _ *Response, _ context.CancelFunc) { s.net.PowerOff("b") }, silentTicks*tick + tick, errSilent},
		"no reader": {func(*scene, *Response, context.CancelFunc) {}, readerWait, ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, stages, func(t *testing.T, s *scene) {
				s.only()
				long, err := s.get("/long")
				require.NoError(t, err)
				none := s.under("/")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				over := s.retire(ctx)
				require.ErrorIs(t, <-none, ErrClosed)
				requireGoesOn(t, over)
				start := time.Now()
				test.end(s, long, cancel)
				<-over
				require.LessOrEqual(t, time.Since(start), test.within)
				buf := make([]byte, longAnswer)
				for err = nil; err == nil; {
					_, err = long.Rest.Read(buf)
				}
				require.ErrorIs(t, err, test.err)
				if name != "node gone" {
					requireOver(t, s, over)
				}
			})
		})
	}
}

func TestRetireWithoutAnAnswerIsClose(t *testing.T) {
	play(t, stages, func(t *testing.T, s *scene) {
		s.only()
		none := s.under("/")
		over := s.retire(t.Context())
		err := <-none
		require.ErrorIs(t, err, ErrLost)
		require.ErrorIs(t, err, ErrClosed)
		requireOver(t, s, over)
		s.Retire(t.Context()) // once more is nothing more
	})
}

func TestRetireEndsADial(t *testing.T) {
	play(t, stages, func(t *testing.T, s *scene) {
		s.net.Cut("a", "b")
		none := s.under("/")
		start := time.Now()
		s.Retire(t.Context())
		require.ErrorIs(t, <-none, ErrClosed)
		require.Zero(t, time.Since(start))
		s.net.Heal("a", "b")
	})
}

func TestRetireEndsTheWaitForRoom(t *testing.T) {
	play(t, stages, func(t *testing.T, s *scene) {
		s.only()
		long, err := s.get("/long")
		require.NoError(t, err)
		all := make(chan error, MaxInFlight)
		for range MaxInFlight { // one of them more than there is room for
			go func() { _, err := s.get("/"); all <- err }()
		}
		synctest.Wait()
		over := s.retire(t.Context())
		refused := 0
		for range MaxInFlight {
			err := <-all
			require.ErrorIs(t, err, ErrClosed)
			if errors.Is(err, ErrNotSent) {
				refused++
			}
		}
		require.Equal(t, 1, refused)
		require.Equal(t, pattern(longAnswer), whole(t, long))
		requireOver(t, s, over)
	})
}

// However the retirement meets the requests: who is told that a request was not
// sent has nothing carried out, and an answer that was begun is whole.
func TestRetireAmidRequests(t *testing.T) {
	var calls sync.Map
	links := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Store(r.URL.Path, true)
		if r.Method == http.MethodGet {
			_, _ = w.Write(pattern(longAnswer))
		}
	}), ServerOptions{})
	srv := httptest.NewServer(links)
	defer srv.Close()
	defer links.Close()
	type outcome struct {
		target string
		err    error
	}
	var outcomes []outcome
	for round := range 20 {
		c := NewClient(ClientOptions{Dial: new(net.Dialer).DialContext, Address: srv.Listener.Addr().String()})
		var mu sync.Mutex
		var wait sync.WaitGroup
		for who := range 8 {
			wait.Go(func() {
				for i, ended := 0, false; !ended; i++ {
					o := outcome{target: fmt.Sprintf("/%d/%d/%d", round, who, i)}
					o.err = ask(c, who == 0, o.target)
					ended = errors.Is(o.err, ErrClosed)
					mu.Lock()
					outcomes = append(outcomes, o)
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(round) * time.Millisecond / 2)
		c.Retire(t.Context())
		wait.Wait()
	}
	links.Close() // no handler is left
	for _, o := range outcomes {
		_, called := calls.Load(o.target)
		switch {
		case o.err == nil:
			require.True(t, called)
		case errors.Is(o.err, ErrNotSent):
			require.False(t, called, o.target)
		default:
			require.ErrorIs(t, o.err, ErrLost)
		}
	}
}

// ask asks for a long answer, or sends a request whose body goes in parts.
func ask(c *Client, long bool, target string) error {
	r := &Request{Method: http.MethodPut, Target: target, Body: make([]byte, 2*maxInline)}
	if long {
		r = &Request{Method: http.MethodGet, Target: target}
	}
	res, err := c.Do(context.Background(), r)
	if err != nil || !long {
		return err
	}
	defer res.Rest.Close()
	rest, err := io.ReadAll(res.Rest)
	if err != nil {
		return errors.New("an answer that had begun was cut: " + err.Error()) // nothing excuses it
	}
	if n := len(res.Body) + len(rest); n != longAnswer {
		return fmt.Errorf("%d bytes of %d", n, longAnswer)
	}
	return nil
}
