package understudy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
)

func one() []string { return []string{"m1"} }

func TestTheCallsOfAClient(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		ctx := t.Context()
		_, err := s.Get(ctx, "a/ b")
		require.ErrorIs(t, err, ErrNotFound)
		require.Equal(t, problem.NotFound, problem.CodeOf(err))
		require.EqualError(t, err, `there is no key "a/ b"`)

		etag, err := s.Put(ctx, "a/ b", []byte("1"), IfAbsent())
		require.NoError(t, err)
		e, err := s.Get(ctx, "a/ b")
		require.NoError(t, err)
		require.Equal(t, Entry{Key: "a/ b", Value: []byte("1"), ETag: etag}, e)
		_, err = s.Get(ctx, "a/ b", IfNoneMatch(etag))
		require.ErrorIs(t, err, ErrNotModified)

		_, err = s.Put(ctx, "a/ b", []byte("2"), IfAbsent())
		require.ErrorIs(t, err, ErrPrecondition)
		_, err = s.Put(ctx, "a/ b", []byte("\xff"), IfMatch(etag))
		require.NoError(t, err)
		require.ErrorIs(t, s.Delete(ctx, "a/ b", IfMatch(etag)), ErrPrecondition)

		state, err := s.State(ctx)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a/ b": "\xff"}, state)
		require.NoError(t, s.Delete(ctx, "a/ b"))
		require.ErrorIs(t, s.Delete(ctx, "a/ b"), ErrNotFound)

		value := "<b>"
		state, err = s.Update(ctx, map[string]*string{"x": &value, "y": nil})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"patched": `{"x":"<b>","y":null}` + "\n"}, state)

		entries, next, err := s.List(ctx, "p&", "after", 7, Session(Position{Epoch: 1, Seq: 2}))
		require.NoError(t, err)
		require.Equal(t, "k", next)
		require.Equal(t, []Entry{{Key: "k", Value: []byte("after=after&limit=7&prefix=p%26 session 1.2"), ETag: `"1.1"`}}, entries)
		entries, _, err = s.List(ctx, "", "", 0, Stale())
		require.NoError(t, err)
		require.Equal(t, " stale ", string(entries[0].Value))
		require.Equal(t, Position{Epoch: 1, Seq: 5}, s.Position())
		passed, _ := s.monitors["m1"].counts()
		require.Empty(t, passed, "all of it went directly")
	})
}

func TestWhatCannotBeIsRefusedBeforeItIsSent(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		for _, key := range []string{"", strings.Repeat("x", 1025), "\xff"} {
			_, err := s.Put(t.Context(), key, nil)
			require.Equal(t, problem.BadRequest, problem.CodeOf(err))
		}
		_, err := s.Put(t.Context(), "a", make([]byte, 8<<20+1))
		require.Equal(t, problem.TooLarge, problem.CodeOf(err))
		binary := "\xff"
		_, err = s.Update(t.Context(), map[string]*string{"a": &binary})
		require.Equal(t, problem.BadRequest, problem.CodeOf(err))
		_, _, err = s.List(t.Context(), strings.Repeat("x", 20_000), "", 0)
		require.Equal(t, problem.TooLarge, problem.CodeOf(err))
		applied, _ := s.group.counts()
		require.Zero(t, applied)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{},
		{Monitors: []string{"http://m1:8080"}},
		{Monitors: []string{"m1:8080", ":8080"}},
		{Monitors: []string{"m1:"}},
		{Monitors: []string{"m1:8080"}, Hold: -1},
	} {
		_, err := Open(o)
		require.Error(t, err)
	}
}

func TestAFailoverIsAPauseAndEveryWriteIsAppliedOnce(t *testing.T) {
	play(t, []string{"m1", "m2", "m3"}, func(t *testing.T, s *scene) {
		const writers, writes = 16, 50
		var wait sync.WaitGroup
		for range writers {
			wait.Go(func() {
				for range writes {
					_, err := s.Put(t.Context(), "k", []byte("v"))
					require.NoError(t, err)
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		s.crash("a")
		time.Sleep(200 * time.Millisecond)
		s.failover("b")
		wait.Wait()
		applied, _ := s.group.counts()
		require.Equal(t, writers*writes, applied)
	})
}

func TestAnAnswerThatIsLostIsAskedForAgain(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		var lost atomic.Int32
		s.group.meddles(func(stage, node string) {
			if stage == "after" && lost.Add(1) <= 3 {
				s.net.Reset("client", node)
			}
		})
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		applied, repeats := s.group.counts()
		require.Equal(t, 1, applied)
		require.Equal(t, 3, repeats)
	})
}

// A long answer of which the end is lost is asked for again, and what is asked twice is
// held no longer than what is asked once.
func TestAnAnswerThatIsCutIsAskedForWithinTheHold(t *testing.T) {
	for name, c := range map[string]struct {
		cuts int32
		took time.Duration
	}{
		"once":     {1, 8*time.Second + cutPause},
		"for long": {100, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, one(), func(t *testing.T, s *scene) {
				long := strings.Repeat("v", 2*link.FirstPart)
				s.group.values["k"] = entry{value: long, etag: `"1.1"`}
				_, err := s.State(t.Context())
				require.NoError(t, err)
				var sent atomic.Int32
				s.group.meddles(func(stage, _ string) {
					switch {
					case stage == "read":
						time.Sleep(4 * time.Second)
					case sent.Add(1) <= c.cuts:
						panic(http.ErrAbortHandler)
					}
				})
				began := time.Now()
				got, err := s.Get(t.Context(), "k")
				require.Equal(t, c.took, time.Since(began))
				if c.took < 10*time.Second {
					require.NoError(t, err)
					require.Equal(t, long, string(got.Value))
					return
				}
				require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
			})
		})
	}
}

// The changes of an update may have been made although the map that came of them is
// not had.
func TestAnUpdateWhoseMapIsLost(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.group.meddles(func(stage, _ string) {
			switch stage {
			case "read":
				time.Sleep(4 * time.Second)
			case "after", "sent":
				panic(http.ErrAbortHandler)
			}
		})
		_, err := s.Update(t.Context(), map[string]*string{"k": new(strings.Repeat("v", 2*link.FirstPart))})
		require.ErrorContains(t, err, "the changes were made")
		applied, _ := s.group.counts()
		require.Equal(t, 1, applied)
	})
}

func TestALinkThatIsCutWithoutAWord(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.NoError(t, err)
		s.net.CutBoth("client", "a")
		began := time.Now()
		go func() {
			time.Sleep(2 * time.Second)
			s.failover("b")
		}()
		_, err = s.Put(t.Context(), "k", []byte("w"))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 2100*time.Millisecond)
	})
}

func TestErrorsTellTheTruth(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.crash("a")
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
		require.ErrorContains(t, err, "nothing was applied: waited for 10s")
		require.Empty(t, RetryKey(err))

		s.crash("m1")
		time.Sleep(time.Second)
		_, err = s.Get(t.Context(), "k")
		require.ErrorContains(t, err, "and no monitor can be asked: m1:8080: ")
		require.ErrorContains(t, err, "connection refused")
	})
}

func TestAWriteOfUnknownOutcomeCanBeAskedForAgain(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.group.meddles(func(stage, node string) {
			if stage == "after" {
				s.net.CutBoth("client", node)
				s.net.CutBoth("m1", node)
			}
		})
		_, err := s.Put(t.Context(), "k", []byte("v"))
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
		key := RetryKey(err)
		require.Contains(t, err.Error(), key)
		s.group.meddles(nil)
		s.net.HealAll()
		_, err = s.Put(t.Context(), "k", []byte("v"), IdempotencyKey(key))
		require.NoError(t, err)
		applied, repeats := s.group.counts()
		require.Equal(t, 1, applied)
		require.NotZero(t, repeats)
	})
}

func TestTheContextEndsARequest(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		release := make(chan struct{})
		s.group.meddles(func(string, string) { <-release })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Get(ctx, "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
		require.ErrorContains(t, err, "waited for 1s")

		ctx, cancel = context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		_, err = s.Put(ctx, "k", nil)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		require.NotEmpty(t, RetryKey(err))
		require.True(t, s.courier.Open(), "it says nothing of the way")
		close(release)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		_, err = s.Put(ctx, "k", nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		release := make(chan struct{})
		s.group.meddles(func(string, string) { <-release })
		errs := make(chan error, 3)
		go func() {
			_, err := s.Put(t.Context(), "k", nil)
			errs <- err
		}()
		go func() {
			_, err := s.Get(t.Context(), "k")
			errs <- err
		}()
		go func() {
			for _, err := range s.Watch(t.Context(), "") {
				if err != nil {
					errs <- err
				}
			}
		}()
		time.Sleep(time.Second)
		began := time.Now()
		s.Close()
		unknown := 0
		for range 3 {
			err := <-errs
			require.ErrorIs(t, err, ErrClosed)
			if errors.Is(err, ErrOutcomeUnknown) {
				unknown++
			}
		}
		require.Equal(t, 1, unknown, "of the write nobody knows")
		require.Zero(t, time.Since(began))
		close(release)
		synctest.Wait()

		_, err := s.Get(t.Context(), "k")
		require.ErrorIs(t, err, ErrClosed)
		s.Close() // once more does no harm
	})
}

func TestAClientThatFindsNobodyClosesAtOnce(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.net.PowerOff("m1")
		s.stop["m1"]()
		time.Sleep(time.Minute)
		began := time.Now()
		s.Close()
		require.Zero(t, time.Since(began))
	})
}
