package courier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// scene is a courier in front of nodes that a test plays.
type scene struct {
	*Courier
	t *testing.T

	mu      sync.Mutex // guards the fields below
	target  Target
	changed chan struct{}
	nodes   map[string]*fakeNode
	opened  []Reopening
	ended   int // nodes that were left, and of which nothing is left
}

// fakeNode is one node: answer plays it. A nil answer refuses connections.
type fakeNode struct {
	s       *scene
	serving bool
	answer  func(ctx context.Context, r *link.Request) (*link.Response, error)
	asked   []string // ids of writes, else methods, in order
	probes  int
}

var errRefused = fmt.Errorf("connection refused: %w", link.ErrNotSent)

// play runs fn in a bubble with a courier that has found the serving node a.
func play(t *testing.T, fn func(s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, changed: make(chan struct{}), nodes: map[string]*fakeNode{}}
		s.node("a", ok)
		s.node("b", ok)
		s.Courier = New(Options{
			Directory: s, Connect: func(address string) Node {
				return &connection{s: s, node: s.nodes[address], closed: make(chan struct{})}
			},
			Reopened: func(r Reopening) { s.mu.Lock(); s.opened = append(s.opened, r); s.mu.Unlock() },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { require.NoError(t, s.Run(ctx)) })
		fn(s)
		cancel()
		wait.Wait()
	})
}

func (s *scene) node(name string, answer func(context.Context, *link.Request) (*link.Response, error)) *fakeNode {
	n := &fakeNode{s: s, serving: true, answer: answer}
	s.nodes[name] = n
	return n
}

// Primary implements Directory.
func (s *scene) Primary() (Target, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target, s.changed
}

// names makes a node the primary of an epoch, in the directory's view.
func (s *scene) names(name string, epoch protocol.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = Target{Name: name, Address: name, Epoch: epoch}
	close(s.changed)
	s.changed = make(chan struct{})
}

// plays changes what a node does.
func (s *scene) plays(name string, serving bool, answer func(context.Context, *link.Request) (*link.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[name].serving, s.nodes[name].answer = serving, answer
}

func (s *scene) asked(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.nodes[name].asked...)
}

// connection is what the courier has to a node.
type connection struct {
	s      *scene
	node   *fakeNode
	closed chan struct{}
	once   sync.Once
}

// Retire implements Node. There is an answer that nobody reads to its end.
func (c *connection) Retire(ctx context.Context) {
	c.once.Do(func() { close(c.closed) })
	<-ctx.Done()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.ended++
}

// Do implements Node.
func (c *connection) Do(ctx context.Context, r *link.Request) (*link.Response, error) {
	c.s.mu.Lock()
	answer, serving := c.node.answer, c.node.serving
	switch {
	case answer == nil:
		if r.Target == "/primary" {
			c.node.probes++
		}
		c.s.mu.Unlock()
		return nil, errRefused
	case r.Target == "/primary":
		c.node.probes++
		c.s.mu.Unlock()
		if !serving {
			return &link.Response{Status: http.StatusServiceUnavailable}, nil
		}
		return &link.Response{Status: http.StatusOK}, nil
	}
	mark := r.Method
	if id := r.Header.Get(wire.HeaderRequest); id != "" {
		mark = id
	}
	c.node.asked = append(c.node.asked, mark)
	c.s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-c.closed:
			cancel()
		case <-stop:
		}
	}()
	return answer(ctx, r)
}

func ok(context.Context, *link.Request) (*link.Response, error) {
	return &link.Response{Status: http.StatusNoContent, Header: http.Header{wire.HeaderPosition: {"1.7"}}}, nil
}

// hangs never answers.
func hangs(ctx context.Context, _ *link.Request) (*link.Response, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("broken: %w", link.ErrLost)
}

func loses(context.Context, *link.Request) (*link.Response, error) {
	return nil, fmt.Errorf("broken: %w", link.ErrLost)
}

// isNotSent fails before a byte of the request has left.
func isNotSent(context.Context, *link.Request) (*link.Response, error) { return nil, errRefused }

func says(code problem.Code) func(context.Context, *link.Request) (*link.Response, error) {
	return func(context.Context, *link.Request) (*link.Response, error) {
		body, err := json.Marshal(problem.Body{Code: code, Detail: "so it is"})
		return &link.Response{Status: code.Meaning().Status, Header: http.Header{"Content-Type": {problem.ContentType}, wire.HeaderPosition: {"1.9"}}, Body: body}, err
	}
}

func (s *scene) do(method string) (*link.Response, error) {
	return s.Do(s.t.Context(), &link.Request{Method: method, Target: "/v1/kv/a", Header: http.Header{}})
}

func TestARequestGoesToThePrimary(t *testing.T) {
	play(t, func(s *scene) {
		s.names("a", 1)
		res, err := s.do(http.MethodPut)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, res.Status)
		require.Len(t, s.asked("a"), 1)
		require.Empty(t, s.asked("b"))
	})
}

func TestARequestIsHeldUntilThereIsAPrimary(t *testing.T) {
	play(t, func(s *scene) {
		began := time.Now()
		done := make(chan error)
		go func() {
			_, err := s.do(http.MethodPut)
			done <- err
		}()
		time.Sleep(3 * time.Second)
		require.Equal(t, 1, s.Held())
		s.plays("a", false, ok)
		s.names("a", 1)
		time.Sleep(time.Second)
		require.Equal(t, 1, s.Held(), "it is named, and does not serve")
		s.plays("a", true, ok)
		require.NoError(t, <-done)
		require.Less(t, time.Since(began), 4100*time.Millisecond)
		require.Len(t, s.opened, 1)
		require.Equal(t, 1, s.opened[0].Held)
		require.Zero(t, s.Held())
	})
}

func TestHeldRequestsAreReleasedInOrderAndOnePilotKnocks(t *testing.T) {
	play(t, func(s *scene) {
		s.plays("a", true, nil)
		s.names("a", 1)
		const n = 1000
		var wait sync.WaitGroup
		for range n {
			wait.Go(func() {
				_, err := s.do(http.MethodPut)
				require.NoError(t, err)
			})
			synctest.Wait() // so that the order is certain
		}
		time.Sleep(time.Second)
		s.mu.Lock()
		require.Less(t, s.nodes["a"].probes, 60, "a thousand requests, one pilot")
		s.mu.Unlock()
		s.plays("a", true, ok)
		wait.Wait()
		require.Len(t, s.asked("a"), n)
	})
}

func TestABrokenConnectionIsTriedAgainWithTheSameID(t *testing.T) {
	play(t, func(s *scene) {
		broken := 0
		s.plays("a", true, func(ctx context.Context, r *link.Request) (*link.Response, error) {
			if broken++; broken < 4 {
				return loses(ctx, r)
			}
			return ok(ctx, r)
		})
		s.names("a", 1)
		_, err := s.do(http.MethodPut)
		require.NoError(t, err)
		ids := s.asked("a")
		require.Len(t, ids, 4)
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
	})
}

func TestWhatIsUnderWayToADeposedPrimaryIsSentToTheNext(t *testing.T) {
	play(t, func(s *scene) {
		s.plays("a", true, hangs)
		s.names("a", 1)
		done := make(chan error)
		go func() {
			_, err := s.do(http.MethodPut)
			done <- err
		}()
		time.Sleep(time.Second)
		s.names("b", 2)
		require.NoError(t, <-done)
		require.Equal(t, s.asked("a"), s.asked("b"), "the same id")
	})
}

func TestANodeThatIsNotThePrimaryIsNotTheEnd(t *testing.T) {
	for _, code := range []problem.Code{problem.NotPrimary, problem.Fenced, problem.NoPrimary} {
		t.Run(string(code), func(t *testing.T) {
			play(t, func(s *scene) {
				s.plays("a", true, says(code))
				s.names("a", 1)
				go func() {
					time.Sleep(time.Second)
					s.names("b", 2)
				}()
				_, err := s.do(http.MethodGet)
				require.NoError(t, err)
				require.Less(t, len(s.asked("a")), 40, "it is paced")
			})
		})
	}
}

func TestTheHoldIsHonest(t *testing.T) {
	tests := []struct {
		name   string
		method string
		answer func(context.Context, *link.Request) (*link.Response, error)
		code   problem.Code
	}{
		{"a read without a primary", http.MethodGet, nil, problem.NoPrimary},
		{"a write that was never sent", http.MethodPut, nil, problem.NoPrimary},
		{"a write that was tried and never sent", http.MethodPut, isNotSent, problem.NoPrimary},
		{"a read that is lost", http.MethodGet, loses, problem.NoPrimary},
		{"a write that is lost", http.MethodPut, loses, problem.OutcomeUnknown},
		{"a write that hangs", http.MethodPut, hangs, problem.OutcomeUnknown},
		{"a write of an unknown outcome", http.MethodPut, says(problem.OutcomeUnknown), problem.OutcomeUnknown},
		{"a write that nobody takes", http.MethodPut, says(problem.NotPrimary), problem.NoPrimary},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.plays("a", true, tt.answer)
				s.names("a", 1)
				began := time.Now()
				_, err := s.do(tt.method)
				require.Equal(t, DefaultHold, time.Since(began))
				e, is := errors.AsType[*problem.Error](err)
				require.True(t, is, "%v", err)
				require.Equal(t, tt.code, e.Code, e.Detail)
				if tt.code == problem.OutcomeUnknown {
					require.NotEmpty(t, e.Key)
					require.Contains(t, e.Detail, e.Key)
				} else {
					require.Equal(t, time.Second, e.RetryAfter)
				}
			})
		})
	}
}

func TestOnlyARememberedAnswerEndsAWriteThatMayHaveBeenApplied(t *testing.T) {
	for _, code := range []problem.Code{problem.Overloaded, problem.TooFewCopies, problem.DiskFull} {
		t.Run(string(code), func(t *testing.T) {
			play(t, func(s *scene) {
				s.plays("a", true, says(code))
				s.names("a", 1)
				res, err := s.do(http.MethodPut)
				require.NoError(t, err)
				require.Equal(t, code.Meaning().Status, res.Status, "nothing was lost: it is the caller's")

				attempt := 0
				s.plays("a", true, func(ctx context.Context, r *link.Request) (*link.Response, error) {
					switch attempt++; attempt {
					case 1:
						return loses(ctx, r)
					case 2, 3:
						return says(code)(ctx, r)
					}
					return ok(ctx, r)
				})
				res, err = s.do(http.MethodPut)
				require.NoError(t, err)
				require.Equal(t, http.StatusNoContent, res.Status)
			})
		})
	}
}

func TestAnExpiredSessionIsRenewedOnlyIfTheOldOneIsGoneForGood(t *testing.T) {
	play(t, func(s *scene) {
		attempt := 0
		s.plays("a", true, func(ctx context.Context, r *link.Request) (*link.Response, error) {
			if attempt++; attempt == 1 {
				return says(problem.SessionExpired)(ctx, r)
			}
			return ok(ctx, r)
		})
		s.names("a", 1)
		_, err := s.do(http.MethodPut)
		require.NoError(t, err)
		ids := s.asked("a")
		require.Len(t, ids, 2)
		require.NotEqual(t, ids[0], ids[1])

		// The first copy may have been carried out: never, for the group has
		// forgotten what was born so early.
		attempt = 0
		s.plays("a", true, func(ctx context.Context, r *link.Request) (*link.Response, error) {
			switch attempt++; attempt {
			case 1:
				return loses(ctx, r)
			case 2:
				return says(problem.SessionExpired)(ctx, r)
			}
			return ok(ctx, r)
		})
		_, err = s.do(http.MethodPut)
		require.NoError(t, err)

		// Its history ends before the session was born: it may yet be taken.
		attempt = 0
		s.plays("a", true, func(ctx context.Context, r *link.Request) (*link.Response, error) {
			if attempt++; attempt == 1 {
				return loses(ctx, r)
			}
			res, err := says(problem.SessionExpired)(ctx, r)
			res.Header.Set(wire.HeaderPosition, "1.1")
			return res, err
		})
		_, err = s.do(http.MethodPut)
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
	})
}

// The group goes on remembering a write whose caller may ask again: no later id
// tells it that the answer is known.
func TestAWriteOfAnUnknownOutcomeIsRemembered(t *testing.T) {
	play(t, func(s *scene) {
		s.plays("a", true, loses)
		s.names("a", 1)
		_, err := s.do(http.MethodPut)
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
		s.plays("a", true, ok)
		_, err = s.do(http.MethodPut)
		require.NoError(t, err)
		ids := s.asked("a")
		lost, _, _ := strings.Cut(ids[0], ".")
		next, _, _ := strings.Cut(ids[len(ids)-1], ".")
		require.NotEqual(t, lost, next, "another session")
	})
}

func TestACallersOwnIDStays(t *testing.T) {
	play(t, func(s *scene) {
		s.names("a", 1)
		r := &link.Request{Method: http.MethodPut, Header: http.Header{wire.HeaderKey: {"mine"}}}
		_, err := s.Do(s.t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, []string{http.MethodPut}, s.asked("a"), "no id of the courier's own")

		s.plays("a", true, loses)
		_, err = s.Do(s.t.Context(), r)
		e, _ := errors.AsType[*problem.Error](err)
		require.Equal(t, "mine", e.Key)
	})
}

func TestACallerThatGoesAwayIsForgotten(t *testing.T) {
	play(t, func(s *scene) {
		ctx, cancel := context.WithCancel(s.t.Context())
		done := make(chan error)
		go func() {
			_, err := s.Do(ctx, &link.Request{Method: http.MethodGet})
			done <- err
		}()
		synctest.Wait()
		require.Equal(t, 1, s.Held())
		cancel()
		require.Error(t, <-done)
		require.Zero(t, s.Held())
	})
}

func TestDrainTellsWhoeverWaits(t *testing.T) {
	play(t, func(s *scene) {
		done := make(chan error)
		go func() {
			_, err := s.do(http.MethodPut)
			done <- err
		}()
		synctest.Wait()
		s.Drain()
		require.Equal(t, problem.NoPrimary, problem.CodeOf(<-done))
		_, err := s.do(http.MethodGet)
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
	})
}

func TestAHangingProbeDoesNotHideTheNextPrimary(t *testing.T) {
	play(t, func(s *scene) {
		s.plays("a", false, ok)
		s.names("a", 1)
		time.Sleep(10 * time.Second) // the pauses are at their longest
		s.names("b", 2)
		began := time.Now()
		_, err := s.do(http.MethodGet)
		require.NoError(t, err)
		require.Less(t, time.Since(began), 5*time.Millisecond)
	})
}
