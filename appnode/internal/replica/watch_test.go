package replica

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

func TestWatchShowsEveryChangeOnce(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("x/1", "a")
		var watches []*watch
		for _, m := range []*member{a, b} {
			watches = append(watches, m.watch(position(1, 2), ""), m.watch(protocol.Position{}, ""), m.watch(position(1, 2), "x/"))
		}
		a.write("y", "b")
		require.NoError(t, (<-a.begin(deletion(r, "x/1"))).err)
		require.NoError(t, (<-a.begin(deletion(r, "x/1"))).err) // changes nothing
		changes := map[string]*string{"x/2": new("c"), "z": nil, "x/1": new("d"), "y": nil}
		patch, err := store.Merge(changes)
		require.NoError(t, err)
		require.NoError(t, (<-a.begin(patch)).err)
		for i, w := range watches {
			w.reach(5)
			require.Equal(t, position(1, 5), w.at)
			later := []string{"1.3 y=b", "1.4 -x/1", "1.5 x/1=d", "1.5 x/2=c", "1.5 -y"}
			switch i % 3 {
			case 0:
				require.ElementsMatch(t, later, w.seen)
			case 1:
				require.ElementsMatch(t, append([]string{"1.2 x/1=a"}, later...), w.seen)
			case 2:
				require.ElementsMatch(t, []string{"1.4 -x/1", "1.5 x/1=d", "1.5 x/2=c"}, w.seen)
			}
			require.True(t, w.look(time.Second))
			require.Equal(t, position(1, 5), w.at, "nothing more came")
			w.Close()
		}
	})
}

// A quiet watch returns after the quiet time, and at once when its caller goes.
func TestWatchWaits(t *testing.T) {
	inPair(t, func(t *testing.T, _ *rig, a, _ *member) {
		w := a.watch(position(1, 1), "")
		defer w.Close()
		require.True(t, w.look(time.Second))
		began := time.Now()
		require.True(t, w.look(3*time.Second))
		require.Equal(t, 3*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, _, err := w.Next(ctx, time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, w.seen)

		go func() {
			time.Sleep(time.Second)
			a.write("k", "v")
		}()
		began = time.Now()
		require.True(t, w.look(time.Minute))
		require.Equal(t, []string{"1.2 k=v"}, w.seen)
		require.Less(t, time.Since(began), 1100*time.Millisecond)
		require.Equal(t, position(1, 2), w.Newest())
	})
}

// What is durable here and not committed is nobody's to see: a next primary may
// not have it.
func TestWatchShowsOnlyWhatIsCommitted(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("k", "1")
		w := a.watch(position(1, 2), "")
		defer w.Close()
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		lost := a.begin(r.put("lost", "v"))
		for range 3 {
			require.True(t, w.look(100*time.Millisecond))
		}
		fresh := a.watch(position(1, 1), "")
		fresh.reach(2)
		fresh.Close()
		require.Equal(t, []string{"1.2 k=1"}, fresh.seen)
		require.Empty(t, w.seen)
		r.desk.promote("b", "a")
		r.eventually("b serves", func() bool { return b.replica.Status().Serving })
		b.write("k", "2")
		r.net.HealAll()
		r.desk.mute("a", false)
		require.Equal(t, problem.OutcomeUnknown, (<-lost).code())
		w.reach(4)
		require.Equal(t, []string{"2.4 k=2"}, w.seen, "it goes on through the change of role")
	})
}

// So it is with what comes from the journal.
func TestWatchReadsNoFurtherThanTheCommit(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.fill("k", 40<<10)
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		_ = a.begin(r.put("uncommitted", "v"))
		a.crash()
		a.start()
		last, committed := a.journal.Last().Seq, a.replica.view.Load().Position()
		require.Less(t, committed.Seq, last)
		w := a.watch(protocol.Position{}, "")
		defer w.Close()
		w.reach(committed.Seq)
		require.True(t, w.look(time.Second))
		require.Equal(t, committed, w.at)
		require.NotContains(t, w.keys(), "uncommitted=v")
		require.NotEmpty(t, w.seen)
	})
}

// A watch may begin between two writes that were synced together.
func TestWatchBeginsInsideABatch(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		release := a.disk.Stall("journal sync")
		var writes []<-chan outcome
		for i := range 5 { // the first alone, the others together
			writes = append(writes, a.begin(r.put(fmt.Sprint("k", i), "v")))
		}
		release()
		for _, w := range writes {
			require.NoError(t, (<-w).err)
		}
		r.sameState(a, b)
		for _, m := range []*member{a, b} {
			w := m.watch(position(1, 4), "")
			w.reach(6)
			w.Close()
			require.Equal(t, []string{"1.5 k3=v", "1.6 k4=v"}, w.seen)
		}
	})
}

// The heart of it: whoever has seen a prefix of the history at one primary goes
// on from there at the next, and misses nothing and sees nothing twice.
func TestWatchGoesOnAtTheNextPrimary(t *testing.T) {
	inTrio(t, func(t *testing.T, r *rig, a, b, c *member) {
		var mu sync.Mutex
		primary := a
		target := func() *member {
			mu.Lock()
			defer mu.Unlock()
			return primary
		}
		stay := c.watch(position(1, 1), "") // a standby that stays
		defer stay.Close()
		next := b.watch(position(1, 1), "") // one that is promoted
		defer next.Close()
		stops := []func() map[string]protocol.Position{r.writing("p", target), r.writing("q", target), r.writing("p", target)}

		w := a.watch(position(1, 1), "p/")
		for range 50 {
			require.True(t, w.look(time.Second))
		}
		seen, at := w.seen, w.at
		w.Close()
		require.NotEmpty(t, seen)
		time.Sleep(7 * time.Millisecond) // a goes on without a reader
		a.crash()
		r.desk.promote("b", "a")
		mu.Lock()
		primary = b
		mu.Unlock()
		r.desk.waitInSync("b", "c")
		w = b.watch(at, "p/")
		defer w.Close()
		time.Sleep(200 * time.Millisecond)
		acked := map[string]protocol.Position{}
		for _, stop := range stops {
			for k, p := range stop() {
				acked[fmt.Sprintf("%s %s=v", p, k)] = p
			}
		}
		last := b.replica.view.Load().Position().Seq
		for _, x := range []*watch{w, next, stay} {
			x.reach(last)
		}
		seen = append(seen, w.seen...)
		all := b.history()
		require.Equal(t, all, next.seen)
		require.Equal(t, all, stay.seen)
		var under []string
		for _, s := range all {
			delete(acked, s)
			if strings.Contains(s, " p/") {
				under = append(under, s)
			}
		}
		require.Equal(t, under, seen)
		require.Empty(t, acked, "acknowledged, and no event")
	})
}

// A primary that hands over goes on showing, now as a standby.
func TestWatchGoesOnWhereThePrimaryBecomesAStandby(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		at := a
		stop := r.writing("k", func() *member { return at })
		w := a.watch(position(1, 1), "")
		defer w.Close()
		for range 20 {
			require.True(t, w.look(time.Second))
		}
		stop()
		r.desk.promote("b")
		r.desk.waitInSync("a", "b")
		at = b
		b.write("later", "v")
		r.desk.promote("a")
		r.desk.waitInSync("a", "b")
		a.write("last", "v")
		w.reach(a.replica.view.Load().Position().Seq)
		require.Equal(t, a.history(), w.seen)
		require.Equal(t, []string{"later=v", "last=v"}, w.keys()[len(w.seen)-2:])
	})
}

// A replica that has just started holds nothing in memory: what it shows comes
// from the journal, and only as far as it is known to be committed.
func TestWatchReadsTheJournal(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.fill("k", 400<<10)
		all := a.history()
		r.sameState(a, b)
		b.crash()
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.False(t, b.replica.feed.reaches(0))
		require.Equal(t, all, b.history())
		w := b.watch(position(1, 20), "k-50")
		defer w.Close()
		a.write("k-50", "again")
		w.reach(a.replica.view.Load().Position().Seq)
		require.Len(t, w.seen, 2)
		require.Equal(t, "k-50=again", w.keys()[1])
	})
}

func TestWatchBeginsWithTheProfile(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.profile = []byte(`{"initial":{"name":"x","gender":"y"},"read_only":["gender"]}`)
		r.addMember("a")
		r.addMember("b")
		r.desk.promote("a")
		r.desk.waitInSync("a", "b")
		a, b := r.member("a"), r.member("b")
		a.write("name", "z")
		r.sameState(a, b)
		want := []string{"1.2 gender=y", "1.2 name=x", "1.3 name=z"}
		require.Equal(t, want, a.history())
		require.Equal(t, want, b.history())
		require.True(t, a.replica.isBirth(1))
		require.False(t, a.replica.isBirth(3), "a later profile brings no initial map")
	})
}
