package replica

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

func TestWatchOfWhatIsNotKept(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		old := a.watch(position(1, 1), "fill")
		defer old.Close()
		trimmed(r, a)
		first := a.journal.First()
		require.True(t, old.look(time.Second), "memory reaches further back than the journal: %v", old.err)
		a.stop()
		a.start()
		r.desk.promote("a")
		r.desk.waitInSync("a")
		_, err := a.replica.Watch(t.Context(), position(1, first-2), "")
		require.Equal(t, problem.Compacted, problem.CodeOf(err))
		require.ErrorContains(t, err, fmt.Sprintf("the oldest position to go on from is 1.%d", first-1))
		w := a.watch(position(1, first-1), "")
		w.Close()

		r.net.CutBoth("a", "b")
		b.start() // it needs a snapshot, and has a watcher meanwhile
		w = b.watch(protocol.Position{}, "")
		defer w.Close()
		r.net.HealAll()
		r.desk.waitInSync("a", "b")
		for w.look(time.Second) {
			require.Less(t, w.at.Seq, first)
		}
		require.Equal(t, problem.Compacted, problem.CodeOf(w.err))
		last := b.replica.view.Load().Position()
		w2 := b.watch(last, "")
		defer w2.Close()
		a.write("after", "v")
		w2.reach(last.Seq + 1)
		require.Equal(t, []string{"after=v"}, w2.keys())
	})
}

func TestWatchOfAnotherHistory(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("k", "v")
		r.desk.promote("b")
		r.desk.waitInSync("a", "b") // 2.3 is its epoch-start
		b.write("k", "w")
		for _, p := range []protocol.Position{position(2, 2), position(1, 3), position(2, 0), position(0, 2), position(1, 40), position(7, 4)} {
			began := time.Now()
			_, err := b.replica.Watch(t.Context(), p, "")
			require.Equal(t, problem.HistoryLost, problem.CodeOf(err), p)
			require.ErrorContains(t, err, "position "+p.String()+" is not in the history of b, which is at 2.4")
			require.Zero(t, time.Since(began), "it is clear at once")
		}
	})
}

// A position that this replica has not reached yet is waited for, and not longer
// than the hold.
func TestWatchOfWhatIsStillToCome(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, _ *member) {
		began := time.Now()
		_, err := a.replica.Watch(t.Context(), position(1, 3), "")
		require.Equal(t, problem.Overloaded, problem.CodeOf(err))
		require.Equal(t, time.Duration(protocol.DefaultSettings().Hold), time.Since(began))
		go func() {
			for i := range 3 {
				time.Sleep(time.Second)
				a.write(fmt.Sprint("k", i), "v")
			}
		}()
		w := a.watch(position(1, 3), "")
		defer w.Close()
		w.reach(4)
		require.Equal(t, []string{"1.4 k2=v"}, w.seen)
	})
}

func TestWatchEndsWithTheReplica(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, _ *member) {
		a.fill("k", 8<<10)
		w := a.watch(position(1, 1), "")
		defer w.Close()
		w.reach(a.replica.view.Load().Position().Seq)
		replica := a.replica
		ended := make(chan error)
		go func() {
			for w.look(time.Hour) {
			}
			ended <- w.err
		}()
		synctest.Wait()
		a.stop()
		require.Equal(t, problem.NoPrimary, problem.CodeOf(<-ended))
		_, err := replica.Watch(t.Context(), position(1, 1), "")
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err))
	})
}

func TestWatchersAreBounded(t *testing.T) {
	f := newFeed(protocol.Position{})
	for range maxWatchers {
		require.NoError(t, f.join())
	}
	require.Equal(t, problem.Overloaded, problem.CodeOf(f.join()))
	f.leave()
	require.NoError(t, f.join())
}

// Many watchers, some of them slow, see the same while many write.
func TestManyWatchers(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		var wait sync.WaitGroup
		const watchers, writes = 200, 60
		var watches []*watch
		for i := range watchers {
			m := []*member{a, b}[i%2]
			w := m.watch(position(1, 1), []string{"", "k/1", "none"}[i%3])
			watches = append(watches, w)
			wait.Go(func() {
				defer w.Close()
				for w.at.Seq < 1+2*writes && w.look(10*time.Second) {
					if i%10 == 0 {
						time.Sleep(50 * time.Millisecond)
					}
				}
			})
		}
		for n := range 2 {
			wait.Go(func() {
				for i := range writes {
					_, err := a.replica.Write(context.Background(), r.put(fmt.Sprintf("k/%d/%d", n, i), "v"))
					require.NoError(t, err)
				}
			})
		}
		wait.Wait()
		all := a.history()
		require.Len(t, all, 2*writes)
		for i, w := range watches {
			require.NoError(t, w.err)
			switch i % 3 {
			case 0:
				require.Equal(t, all, w.seen)
			case 1:
				require.Len(t, w.seen, writes)
			case 2:
				require.Empty(t, w.seen)
			}
		}
	})
}
