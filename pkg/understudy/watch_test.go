package understudy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// replica is a copy that follows by a watch.
type replica struct {
	mu      sync.Mutex // guards the fields below
	state   map[string]string
	history []string
	resets  int
	err     error
}

// follow applies what a watch yields, until it ends.
func (s *scene) follow(ctx context.Context, r *replica, options ...Option) {
	for e, err := range s.Watch(ctx, "", options...) {
		r.mu.Lock()
		if err != nil {
			r.err = err
			r.mu.Unlock()
			return
		}
		if e.Reset {
			r.state = map[string]string{}
			r.resets++
		}
		for _, c := range e.Changes {
			if c.Deleted {
				delete(r.state, c.Key)
			} else {
				r.state[c.Key] = string(c.Value)
			}
			if !e.Snapshot {
				r.history = append(r.history, c.Key)
			}
		}
		r.mu.Unlock()
	}
}

func (r *replica) look() (state map[string]string, history []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.state), slices.Clone(r.history)
}

// following runs fn while a watch runs.
func (s *scene) following(r *replica, options []Option, fn func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.follow(ctx, r, options...)
	}()
	fn()
	cancel()
	<-done
}

func (s *scene) put(key string) {
	s.t.Helper()
	_, err := s.Put(s.t.Context(), key, []byte(key))
	require.NoError(s.t, err)
}

func TestAWatchGoesOnThroughFailoversAndBreaks(t *testing.T) {
	play(t, []string{"m1", "m2"}, func(t *testing.T, s *scene) {
		s.put("old1")
		s.put("old2")
		r := &replica{}
		s.following(r, nil, func() {
			time.Sleep(time.Second)
			state, history := r.look()
			require.Equal(t, map[string]string{"old1": "old1", "old2": "old2"}, state)
			require.Empty(t, history)
			var want []string
			for i := range 60 {
				key := fmt.Sprintf("k%02d", i)
				want = append(want, key)
				switch i {
				case 10:
					s.crash("a")
					s.failover("b")
				case 20:
					s.net.Reset("client", "b")
				case 30:
					s.net.CutBoth("client", "b")
					s.startNode("a")
					s.failover("a")
				case 40:
					s.net.Freeze("m1")
				}
				s.put(key)
				time.Sleep(10 * time.Millisecond)
			}
			want = append(want, "old1")
			require.NoError(t, s.Delete(t.Context(), "old1"))
			time.Sleep(time.Second)
			state, history = r.look()
			require.Equal(t, want, history, "nothing is missed, and nothing repeated")
			require.Len(t, state, 61)
			require.NotContains(t, state, "old1")
			require.Equal(t, 1, r.resets)
		})
		require.ErrorIs(t, r.err, context.Canceled)
	})
}

func TestASnapshotThatIsCutBeginsAnew(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		for i := range 10 {
			s.put(fmt.Sprint(i))
		}
		var pages atomic.Int32
		s.group.meddles(func(stage, _ string) {
			if stage == "page" {
				if pages.Add(1) == 5 {
					time.Sleep(time.Millisecond) // what was sent has arrived
					s.net.Reset("client", "a")
				}
			}
		})
		r := &replica{}
		s.following(r, nil, func() {
			time.Sleep(time.Second)
			s.put("new")
			time.Sleep(time.Second)
			state, history := r.look()
			require.Len(t, state, 11)
			require.Equal(t, []string{"new"}, history)
			require.Equal(t, 2, r.resets)
		})
	})
}

func TestAWatchFromAPosition(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.put("a")
		at := s.Position()
		s.put("b")
		r := &replica{state: map[string]string{}}
		s.following(r, []Option{Since(at)}, func() {
			time.Sleep(time.Second)
			s.put("c")
			time.Sleep(time.Second)
			_, history := r.look()
			require.Equal(t, []string{"b", "c"}, history)
			require.Zero(t, r.resets)
		})
	})
}

func TestAWatchThatIsRefusedEnds(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		r := &replica{}
		s.follow(t.Context(), r, Since(Position{Epoch: 0, Seq: 7}))
		require.Equal(t, problem.Compacted, problem.CodeOf(r.err))
	})
}

func TestAWatchGoesThroughAMonitor(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.unreachable()
		r := &replica{}
		s.following(r, nil, func() {
			time.Sleep(5 * time.Second)
			s.put("a")
			time.Sleep(time.Second)
			state, _ := r.look()
			require.Equal(t, map[string]string{"a": "a"}, state)
		})
	})
}

func TestALoopMayBeLeft(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		s.put("a")
		for e, err := range s.Watch(t.Context(), "") {
			require.NoError(t, err)
			require.True(t, e.Reset)
			break
		}
	})
}

func TestASlowReaderLosesNothing(t *testing.T) {
	play(t, one(), func(t *testing.T, s *scene) {
		go func() {
			time.Sleep(time.Second)
			s.put("a")
			s.put("b")
		}()
		var got []string
		for e, err := range s.Watch(t.Context(), "") {
			require.NoError(t, err)
			time.Sleep(time.Minute) // longer than a stream may be silent
			for _, c := range e.Changes {
				got = append(got, c.Key)
			}
			if len(got) == 2 {
				break
			}
		}
		require.Equal(t, []string{"a", "b"}, got)
	})
}
