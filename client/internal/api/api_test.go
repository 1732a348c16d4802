package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const ample = 10 * time.Second

// monitor runs a fake monitor and returns its host:port.
func monitor(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// nobody returns an address on loopback where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func client(t *testing.T, timeout time.Duration, monitors ...string) *Client {
	t.Helper()
	c := New(monitors, timeout, func(string) {})
	t.Cleanup(c.Close)
	return c
}

var (
	aRead  = Request{Method: http.MethodGet, Path: "/v1/state"}
	aWrite = Request{Method: http.MethodPut, Path: "/v1/kv/a", Body: []byte("1")}
)

func TestRetryableRefusalsAreAskedAgain(t *testing.T) {
	for _, code := range []problem.Code{problem.NoPrimary, problem.NotPrimary, problem.Fenced, problem.Overloaded, problem.TooFewCopies} {
		for _, req := range []Request{aRead, aWrite} {
			t.Run(string(code)+" "+req.Method, func(t *testing.T) {
				var asked atomic.Int32
				c := client(t, ample, monitor(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if asked.Add(1) < 3 {
						problem.Write(w, problem.Errorf(code, "not now"))
						return
					}
					_, _ = w.Write(body)
				}))
				answer, err := c.Do(t.Context(), req)
				require.NoError(t, err)
				require.Equal(t, string(req.Body), string(answer.Body))
				require.EqualValues(t, 3, asked.Load())
			})
		}
	}
}

func TestRefusalsForGoodAreNotAskedAgain(t *testing.T) {
	for _, code := range []problem.Code{problem.NotUpdatable, problem.PreconditionFailed, problem.OutcomeUnknown, problem.DiskFull, problem.TooLarge, "made_up"} {
		t.Run(string(code), func(t *testing.T) {
			var asked atomic.Int32
			c := client(t, ample, monitor(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				problem.Write(w, problem.Errorf(code, "the reason"))
			}))
			_, err := c.Do(t.Context(), aWrite)
			require.EqualError(t, err, "the reason")
			require.Equal(t, code, problem.CodeOf(err))
			require.EqualValues(t, 1, asked.Load())
		})
	}
}

func TestARefusalThatStaysIsReportedWithItsCode(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		c := b.client(50*time.Millisecond, b.monitor("m1", func(w http.ResponseWriter, _ *http.Request) {
			problem.Write(w, problem.Errorf(problem.NoPrimary, "group 0 waits for app1"))
		}))
		_, err := c.Do(t.Context(), aWrite)
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
		require.EqualError(t, err, "group 0 waits for app1 (asked for 50ms)")
	})
}

func TestTheNextMonitorIsAsked(t *testing.T) {
	var notices []string
	live := monitor(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	c := New([]string{nobody(t), live}, ample, func(s string) { notices = append(notices, s) })
	defer c.Close()
	for _, req := range []Request{aRead, aWrite} {
		_, err := c.Do(t.Context(), req)
		require.NoError(t, err)
	}
	require.Empty(t, notices, "it was quick")
}

func TestAHangingMonitorLeavesTimeForTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		release := make(chan struct{})
		hangs := b.monitor("m1", func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		live := b.monitor("m2", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
		began := time.Now()
		_, err := b.client(200*time.Millisecond, hangs, live).Do(t.Context(), aRead)
		require.NoError(t, err)
		require.Less(t, time.Since(began), 200*time.Millisecond)
	})
}

// The first of several monitors stands still: the next is asked within a second, and
// a write keeps its key, so that it is applied once should the first go on.
func TestAFrozenMonitorCostsASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		release := make(chan struct{})
		keys := make(chan string, 8)
		hangs := b.monitor("m1", func(_ http.ResponseWriter, r *http.Request) {
			keys <- r.Header.Get(wire.HeaderKey)
			<-release
		})
		defer close(release)
		live := b.monitor("m2", func(w http.ResponseWriter, r *http.Request) {
			keys <- r.Header.Get(wire.HeaderKey)
			_, _ = io.WriteString(w, "{}")
		})
		c := b.client(30*time.Second, hangs, live)
		began := time.Now()
		_, err := c.Put(t.Context(), "k", "v")
		require.NoError(t, err)
		require.Equal(t, firstTry+firstBackoff, time.Since(began))
		first := <-keys
		require.NotEmpty(t, first)
		require.Equal(t, first, <-keys)
		_, err = c.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, 2*(firstTry+firstBackoff), time.Since(began))
	})
}

// An answer that comes slowly, but comes, is not cut short because others could be asked.
func TestASlowAnswerIsReadToItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		var asked atomic.Int32
		slow := b.monitor("m1", func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			for range 10 {
				_, _ = io.WriteString(w, "piece")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		})
		answer, err := b.client(time.Second, slow, slow, slow).Do(t.Context(), aRead)
		require.NoError(t, err)
		require.Len(t, answer.Body, 50)
		require.EqualValues(t, 1, asked.Load())
	})
}

// One that stops in the middle is asked of the next.
func TestAnAnswerThatStopsIsAskedOfTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		release := make(chan struct{})
		stops := b.monitor("m1", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "piece")
			_ = http.NewResponseController(w).Flush()
			<-release
		})
		defer close(release)
		live := b.monitor("m2", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
		answer, err := b.client(300*time.Millisecond, stops, live).Do(t.Context(), aRead)
		require.NoError(t, err)
		require.Equal(t, "{}", string(answer.Body))
	})
}

// A monitor that has just started refuses orders for a moment: they are given again.
func TestAnOrderWaitsForALeader(t *testing.T) {
	asked := 0
	c := client(t, ample, monitor(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			problem.Write(w, problem.Errorf(problem.NoLeader, "this monitor has just started"))
			return
		}
		_, _ = io.WriteString(w, `{"kind":"switchover","to":"app2"}`)
	}))
	changed, err := c.Switchover(t.Context(), wire.ChangeOrder{})
	require.NoError(t, err)
	require.Equal(t, "app2", changed.To)
	require.Equal(t, 3, asked)
}

func TestNobodyAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		var notices []string
		c := b.client(noticeAfter+100*time.Millisecond, "m1:8080")
		c.notice = func(s string) { notices = append(notices, s) }
		_, err := c.Do(t.Context(), aWrite)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.ErrorContains(t, err, "no monitor answered at m1:8080: ")
		require.ErrorContains(t, err, "is one running? start one with go run ./deploy/local, or name another with -monitor")
		require.Len(t, notices, 1)
		require.Contains(t, notices[0], "connection refused; trying again until 600ms are over")
	})
}

// A monitor holds requests while there is no primary, for longer than the client waits:
// it is not told that no monitor answers, and not at the very end that it is tried again.
func TestARequestThatIsHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		var notices []string
		c := b.client(ample, b.monitor("m1", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		c.notice = func(s string) { notices = append(notices, s) }
		_, err := c.Get(t.Context(), "k")
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
		require.ErrorContains(t, err, "a monitor took the request and did not answer within 10s, as it does while there is no primary")
		_, err = c.Put(t.Context(), "k", "v")
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
		require.ErrorContains(t, err, "(no answer came in time)")
		_, err = c.Cluster(t.Context())
		require.ErrorContains(t, err, "no monitor answered at m1:8080: ")
		require.Empty(t, notices)
	})
}

// One that was cut off or taken out knows an old cluster.
func TestTheClusterIsReadFromAMonitorThatHasALeader(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		says := func(name, body string) string {
			return b.monitor(name, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		}
		old, led := says("m1", `{"cluster":"c","term":2}`), says("m3", `{"cluster":"c","leader":"m3","term":3}`)
		view, err := b.client(ample, old, "m2:8080", led).Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, "m3", view.Leader)
		view, err = b.client(ample, old, "m2:8080").Cluster(t.Context())
		require.NoError(t, err, "where none has, what is known is better than nothing")
		require.EqualValues(t, 2, view.Term)
	})
}

func TestABrokenWriteIsNeverSentAgain(t *testing.T) {
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			var asked atomic.Int32
			address := monitor(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					return
				}
				asked.Add(1)
				panic(http.ErrAbortHandler) // the connection breaks without an answer
			})
			c := client(t, ample, address)
			_, err := c.Do(t.Context(), aRead) // so that the write goes over a used connection
			require.NoError(t, err)
			_, err = c.Do(t.Context(), Request{Method: method, Path: "/"})
			require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
			require.ErrorContains(t, err, "it may or may not have been carried out")
			require.EqualValues(t, 1, asked.Load())
		})
	}
}

func TestABrokenWriteWithAKeyIsSentAgain(t *testing.T) {
	var keys []string
	c := client(t, ample, monitor(t, func(w http.ResponseWriter, r *http.Request) {
		if keys = append(keys, r.Header.Get(wire.HeaderKey)); len(keys) < 3 {
			panic(http.ErrAbortHandler)
		}
	}))
	_, err := c.Put(t.Context(), "k", "v")
	require.NoError(t, err)
	require.Len(t, keys, 3)
	require.Equal(t, []string{keys[0], keys[0], keys[0]}, keys)
	_, err = c.Delete(t.Context(), "k")
	require.NoError(t, err)
	require.NotEqual(t, keys[0], keys[3], "another write has another key")
}

func TestAWriteWithAKeyTellsIfItMayHaveBeenApplied(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		c := b.client(200*time.Millisecond, b.monitor("m1", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		_, err := c.Put(t.Context(), "k", "v")
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
		failed, _ := errors.AsType[*problem.Error](err)
		require.NotEmpty(t, failed.Key)
		require.ErrorContains(t, err, "its Idempotency-Key was "+failed.Key)

		_, err = b.client(200*time.Millisecond, "m2:8080").Put(t.Context(), "k", "v")
		require.ErrorContains(t, err, "no monitor answered", "nothing was sent, and it is said so")
	})
}

// What a node says of its disk now is no word on the attempt before.
func TestARefusalDoesNotHideThatAWriteMayHaveBeenApplied(t *testing.T) {
	for code, told := range map[problem.Code]problem.Code{
		problem.DiskFull:           problem.OutcomeUnknown,
		problem.NoPrimary:          problem.OutcomeUnknown,
		"made_up":                  problem.OutcomeUnknown,
		problem.OutOfMemory:        problem.OutOfMemory, // which the group remembers
		problem.PreconditionFailed: problem.PreconditionFailed,
	} {
		inBubble(t, func(t *testing.T, b *bubble) {
			var asked atomic.Int32
			c := b.client(200*time.Millisecond, b.monitor("m1", func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == 1 {
					panic(http.ErrAbortHandler)
				}
				problem.Write(w, problem.Errorf(code, "not now"))
			}))
			_, err := c.Put(t.Context(), "k", "v")
			require.Equal(t, told, problem.CodeOf(err), code)
			require.ErrorContains(t, err, "not now")
			require.Equal(t, told == code, asked.Load() == 2, "it is asked again only where that may help")
		})
	}
}

func TestABrokenReadIsSentAgain(t *testing.T) {
	var asked atomic.Int32
	c := client(t, ample, monitor(t, func(http.ResponseWriter, *http.Request) {
		switch asked.Add(1) {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			return
		}
	}))
	_, err := c.Do(t.Context(), aRead)
	require.NoError(t, err)
	require.EqualValues(t, 2, asked.Load())
}

func TestATransientGatewayErrorIsAskedAgainForReadsAlone(t *testing.T) {
	var asked atomic.Int32
	c := client(t, ample, monitor(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	_, err := c.Do(t.Context(), aRead)
	require.NoError(t, err)
	asked.Store(0)
	_, err = c.Do(t.Context(), aWrite)
	require.ErrorContains(t, err, "the server answered 502")
}

func TestAWriteThatHangsIsOfUnknownOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		release := make(chan struct{})
		address := b.monitor("m1", func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		_, err := b.client(50*time.Millisecond, address).Do(t.Context(), aWrite)
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
	})
}

func TestInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client(t, ample, nobody(t)).Do(ctx, aRead)
	require.EqualError(t, err, "interrupted: context canceled")
}

func TestKeysAreEscapedOnce(t *testing.T) {
	var got string
	c := client(t, ample, monitor(t, func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	for key, want := range map[string]string{
		"a/b":      "/v1/kv/a%2Fb",
		"..":       "/v1/kv/..",
		"50% off?": "/v1/kv/50%25%20off%3F",
		"имя":      "/v1/kv/%D0%B8%D0%BC%D1%8F",
		"%2F":      "/v1/kv/%252F",
	} {
		_, err := c.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestAnAnswerThatIsNotJSON(t *testing.T) {
	c := client(t, ample, monitor(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	_, err := c.Cluster(t.Context())
	require.ErrorContains(t, err, "is this a monitor of the same release?")
}

func TestAnUpdateOverTheLimitIsNotSent(t *testing.T) {
	c := client(t, ample, monitor(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }))
	_, err := c.Update(t.Context(), map[string]string{"k": strings.Repeat("v", 100)}, 50)
	require.Equal(t, problem.TooLarge, problem.CodeOf(err))
}
