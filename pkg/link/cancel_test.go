package link

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
)

// waiting is a handler that waits for the end of its context and notes it.
func waiting(ended chan<- error) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- r.Context().Err()
	}
}

func TestCancelEndsTheHandler(t *testing.T) {
	ended := make(chan error, 1)
	play(t, func(w http.ResponseWriter, r *http.Request) { waiting(ended)(w, r) }, func(t *testing.T, s *scene) {
		ended = make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.Do(ctx, &Request{Method: http.MethodGet, Target: "/"})
		require.ErrorIs(t, err, ErrLost)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, context.Canceled, <-ended)
		synctest.Wait()
		require.True(t, s.settled(), "the number is free again")
	})
}

func TestDeadlineIsTheHandlersToo(t *testing.T) {
	var deadline time.Time
	ended := make(chan error, 1)
	play(t, func(w http.ResponseWriter, r *http.Request) {
		deadline, _ = r.Context().Deadline()
		waiting(ended)(w, r)
	}, func(t *testing.T, s *scene) {
		ended = make(chan error, 1)
		start := time.Now()
		// The word of the cancellation is held up.
		time.AfterFunc(500*time.Millisecond, func() { s.net.CutBoth("a", "b") })
		_, err := s.Do(limited(t, time.Second), &Request{Method: http.MethodGet, Target: "/"})
		require.ErrorIs(t, err, ErrLost)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, context.DeadlineExceeded, <-ended)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, start.Add(time.Second), deadline)
		s.net.HealBoth("a", "b")
	})
}

func TestRequestWithoutADeadlineHasNone(t *testing.T) {
	play(t, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Context().Deadline(); ok {
			w.WriteHeader(http.StatusTeapot)
		}
	}, func(t *testing.T, s *scene) {
		res, err := s.get("/")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.Status)
		_, err = s.Do(limited(t, -time.Second), &Request{Method: http.MethodGet, Target: "/"})
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestBreakEndsTheHandler(t *testing.T) {
	ended := make(chan error, 1)
	play(t, func(w http.ResponseWriter, r *http.Request) { waiting(ended)(w, r) }, func(t *testing.T, s *scene) {
		ended = make(chan error, 1)
		time.AfterFunc(time.Second, func() { s.net.Reset("a", "b") })
		_, err := s.get("/")
		require.ErrorIs(t, err, ErrLost)
		require.Equal(t, context.Canceled, <-ended)
	})
}

// A node that does not read is not given what was taken back meanwhile.
func TestWhatIsTakenBackIsNeverCarriedOut(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	play(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.URL.Path)
	}, func(t *testing.T, s *scene) {
		s.only()
		_, err := s.get("/first")
		require.NoError(t, err)
		s.net.Freeze("b")
		large := make(chan error, 1)
		for target, body := range map[string]int{"/large": 2 << 20, "/small": 10, "/medium": 100 << 10} {
			go func() {
				_, err := s.Do(limited(t, 2*time.Second), &Request{Method: http.MethodPut, Target: target, Body: pattern(body)})
				if target == "/large" {
					large <- err
				}
			}()
		}
		time.Sleep(time.Second) // the kernel's buffer is full
		_, err = s.Do(limited(t, time.Second), &Request{Method: http.MethodPut, Target: "/behind", Body: pattern(10)})
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		err = <-large
		require.ErrorIs(t, err, ErrNotSent, "no whole request was sent")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		s.net.Unfreeze("b")
		_, err = s.get("/last")
		require.NoError(t, err)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.NotContains(t, calls, "/large")
		require.NotContains(t, calls, "/behind")
		require.Contains(t, calls, "/last")
		require.True(t, s.settled(), "every number was ended by the node")
	})
}

func TestAnswerThatComesWithTheDeadlineIsNotLost(t *testing.T) {
	play(t, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }, func(t *testing.T, s *scene) {
		for range 20 {
			if res, err := s.Do(limited(t, time.Second), &Request{Method: http.MethodGet, Target: "/"}); err == nil {
				require.Equal(t, http.StatusOK, res.Status)
			} else {
				require.ErrorIs(t, err, ErrLost)
			}
		}
		synctest.Wait()
		require.True(t, s.settled())
	})
}

// A node that answers an abandoned request all the same changes nothing.
func TestLateAnswerIsDropped(t *testing.T) {
	playNode(t, func(conn net.Conn, in *bufio.Reader) {
		_, payload, _ := frame.Read(in, nil)
		_, _, _ = frame.Read(in, nil) // the cancel
		number := numberOf(t, payload)
		_, _ = conn.Write(answerFrame(frameAnswer, number, nil, []byte("too")))
		_, _ = conn.Write(appendPart(nil, frameLast, number, []byte(" late")))
		_, payload, _ = frame.Read(in, nil)
		_, _ = conn.Write(answerFrame(frameWhole, numberOf(t, payload), nil, []byte("in time")))
		_, _, _ = frame.Read(in, nil)
	}, func(t *testing.T, s *scene) {
		s.only()
		_, err := s.Do(limited(t, tick/2), &Request{Method: http.MethodGet, Target: "/"})
		require.ErrorIs(t, err, ErrLost)
		res, err := s.get("/")
		require.NoError(t, err)
		require.Equal(t, "in time", string(res.Body))
	})
}
