package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func testOptions(dir string) Options {
	return Options{Name: "m1", Dir: dir, Settings: protocol.DefaultSettings(), Log: zerolog.Nop()}
}

// openLeading opens a registry, which the caller closes, and waits until it leads.
func openLeading(tb testing.TB, o Options) *Registry {
	tb.Helper()
	leads := make(chan bool, 16)
	told := o.OnLeader
	o.OnLeader = func(l bool) {
		leads <- l
		if told != nil {
			told(l)
		}
	}
	r, err := Open(tb.Context(), o)
	require.NoError(tb, err)
	select {
	case l := <-leads:
		require.True(tb, l)
	case <-time.After(5 * time.Second):
		require.Fail(tb, "the registry did not come to lead")
	}
	return r
}

// note is a command that is always accepted and leaves a trace that can be counted.
func note(n int) protocol.Command {
	return protocol.Command{Note: &protocol.HistoryEvent{Kind: "test", Detail: fmt.Sprint(n)}}
}

func register(name string) protocol.Command {
	return protocol.Command{Register: &protocol.Register{Empty: true, Node: protocol.NodeEntry{
		Name: name, UUID: protocol.UUID("uuid-" + name), Boot: protocol.Boot{Count: 1, Nonce: "aa"}, Address: "127.0.0.1:1",
	}}}
}

// notes returns the details of all test notes in the history.
func notes(s protocol.Registry) (out []string) {
	for _, e := range s.History {
		if e.Kind == "test" {
			out = append(out, e.Detail)
		}
	}
	return out
}

func upTo(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func TestLifeInABubble(t *testing.T) {
	dir := t.TempDir()
	var first protocol.Registry
	synctest.Test(t, func(t *testing.T) {
		r := openLeading(t, testOptions(dir))
		require.True(t, r.Leader())
		require.Equal(t, "m1", r.LeaderName())
		require.Positive(t, r.Term())
		require.Len(t, r.State().Cluster, 32)
		require.Equal(t, protocol.DefaultSettings(), r.State().Settings)

		after, err := r.Apply(t.Context(), register("app1"))
		require.NoError(t, err)
		require.Contains(t, after.Nodes, "app1")
		require.Equal(t, after, r.State())
		require.False(t, after.History[len(after.History)-1].At.IsZero(), "a zero At is filled in")
		first = after
		require.NoError(t, r.Close())
		require.False(t, r.Leader())
		require.NoError(t, r.Close(), "a second Close does nothing")
	})
	synctest.Test(t, func(t *testing.T) {
		r := openLeading(t, testOptions(dir))
		requireSameJSON(t, first, r.State())
		require.NoError(t, r.Close())
	})
}

func TestRefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openLeading(t, testOptions(t.TempDir()))
		defer func() { require.NoError(t, r.Close()) }()
		before := r.State()
		after, err := r.Apply(t.Context(), protocol.Command{Promote: &protocol.Promote{Version: 7}})
		var refusal *protocol.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, protocol.RefuseStaleVersion, refusal.Code)
		require.Equal(t, before, after)

		_, err = r.Apply(t.Context(), protocol.Command{Found: &protocol.Found{Cluster: "other", Settings: protocol.DefaultSettings()}})
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, protocol.RefuseWrongCluster, refusal.Code)
	})
}

func TestApplyThatCannotSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t.TempDir())
		r, err := Open(t.Context(), o)
		require.NoError(t, err)
		_, err = r.Apply(t.Context(), note(0))
		require.ErrorIs(t, err, ErrNotLeader, "before the first election")
		require.Empty(t, r.LeaderName())

		time.Sleep(2 * time.Second) // the bubble's clock: the election is over
		require.True(t, r.Leader())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = r.Apply(ctx, note(0))
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrOutcomeUnknown, "it was never sent")

		require.NoError(t, r.Close())
		_, err = r.Apply(t.Context(), note(0))
		require.ErrorIs(t, err, ErrClosed)
		require.Empty(t, notes(r.State()))
	})
}

func TestApplyIsBoundedWhenTheStateMachineIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := testOptions(t.TempDir())
		o.OnChange = func(s protocol.Registry) {
			if len(notes(s)) == 1 {
				<-release
			}
		}
		r := openLeading(t, o)
		start := time.Now()
		_, err := r.Apply(context.Background(), note(0))
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, ApplyTimeout, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = r.Apply(ctx, note(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 300*time.Millisecond, time.Since(start))

		close(release)
		require.NoError(t, r.Close())
		require.Equal(t, upTo(2), notes(r.State()), "what was under way is finished before the close")
	})
}

func TestChangesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var seen []uint64
		o := testOptions(dir)
		o.OnChange = func(s protocol.Registry) { seen = append(seen, s.NextID) }
		for range 2 { // the second time replayed from the log
			seen = nil
			r := openLeading(t, o)
			for i := range 20 {
				_, err := r.Apply(t.Context(), note(i))
				require.NoError(t, err)
			}
			require.NoError(t, r.Close())
			for i, id := range seen {
				require.Equal(t, uint64(i+1), id)
			}
		}
		require.Len(t, seen, 41)
	})
}

func TestLeadershipIsToldOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		o := testOptions(t.TempDir())
		o.OnLeader = func(l bool) { told = append(told, l) }
		r := openLeading(t, o)
		require.NoError(t, r.Close())
		require.Equal(t, []bool{true, false}, told)
	})
}

func TestManyAppliersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openLeading(t, testOptions(t.TempDir()))
		const each = 25
		errs := make(chan error, 4*each)
		for w := range 4 {
			go func() {
				for i := range each {
					after, err := r.Apply(context.Background(), note(w*each+i))
					if err == nil && len(notes(after)) == 0 {
						err = fmt.Errorf("note %d is not in the state after it", i)
					}
					errs <- err
				}
			}()
		}
		for range 4 * each {
			require.NoError(t, <-errs)
		}
		require.Len(t, notes(r.State()), 4*each)
		require.NoError(t, r.Close())
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a directory in use", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			r := openLeading(t, testOptions(dir))
			defer func() { require.NoError(t, r.Close()) }()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := Open(ctx, testOptions(dir))
			require.ErrorContains(t, err, "another process uses the data directory "+dir)
		})
	})
	t.Run("another monitor's directory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			r := openLeading(t, testOptions(dir))
			require.NoError(t, r.Close())
			o := testOptions(dir)
			o.Name = "m2"
			_, err := Open(t.Context(), o)
			require.ErrorContains(t, err, `belongs to monitor "m1", not to "m2"`)
			r = openLeading(t, testOptions(dir)) // and the failed attempt let go of it
			require.NoError(t, r.Close())
		})
	})
	t.Run("options that make no sense", func(t *testing.T) {
		o := testOptions(t.TempDir())
		o.Name = ""
		_, err := Open(t.Context(), o)
		require.ErrorContains(t, err, "name")
		o = testOptions(t.TempDir())
		o.Settings.Retries = 0
		_, err = Open(t.Context(), o)
		require.ErrorContains(t, err, "retries 0")
	})
	t.Run("a path that is a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		_, err := Open(t.Context(), testOptions(path))
		require.ErrorContains(t, err, "create data directory")
	})
}
