package replica

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// apart calls the shell on a goroutine of its own, as the shell itself does: there a
// broken invariant ends the process at once, and does not wait at the end of the test
// for locks that it holds itself.
func apart[T any](call func() T) T {
	done := make(chan T, 1)
	go func() { done <- call() }()
	return <-done
}

// What was judged in a reign that ended before it was appended leaves no trace.
func TestNothingIsAppendedAfterTheReign(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		over := a.replica.lead
		w := &write{req: r.put("late", "v"), at: time.Now(), done: make(chan result, 1)}
		batch, err := a.replica.judge(over, []*write{w}, make([]byte, journal.MarkSize))
		require.NoError(t, err)
		r.desk.promote("b")
		r.desk.waitInSync("a", "b")
		last := a.replica.Status().Position
		require.False(t, apart(func() bool { return a.replica.append(over, batch) }))
		require.Len(t, w.done, 1)
		require.Equal(t, problem.NotPrimary, problem.CodeOf((<-w.done).err))
		require.Equal(t, last, a.replica.Status().Position)
		require.Equal(t, last, a.journal.Last())
	})
}

// Records that were received in one epoch and waited into the next are dropped.
func TestRecordsThatWaitedIntoTheNextEpoch(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("k", "v")
		stream := b.replica.asking.stream
		r.desk.promote("a")
		r.desk.waitInSync("a", "b")
		last := b.journal.Last()
		late := record.Append(make([]byte, journal.MarkSize), &record.Record{Epoch: 1, Seq: last.Seq + 1, Kind: record.EpochStart})
		require.Error(t, apart(func() error { return b.replica.syncBatch(stream, late) }))
		at := protocol.Position{Epoch: last.Epoch, Seq: last.Seq + 1}
		late = record.Append(make([]byte, journal.MarkSize), &record.Record{Epoch: at.Epoch, Seq: at.Seq, Kind: record.EpochStart})
		stream.epoch = at.Epoch // as if it had been told of it, on the old connection
		require.Error(t, apart(func() error { return b.replica.syncBatch(stream, late) }))
		require.Equal(t, last, b.journal.Last())
		require.Equal(t, last, b.replica.Status().Position)
	})
}

// An epoch counts only once it is on the disk, and then for ever.
func TestAnEpochIsDurableBeforeItIsUsed(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		release := b.disk.Stall("datadir")
		r.desk.promote("b", "a")
		time.Sleep(time.Second)
		require.False(t, b.replica.Status().Serving)
		require.EqualValues(t, 1, b.dir.AcceptedEpoch(0))
		release()
		r.eventually("it serves", func() bool { return b.replica.Status().Serving })
		require.EqualValues(t, 2, b.dir.AcceptedEpoch(0))
		b.crash()
		b.open()
		require.EqualValues(t, 2, b.dir.AcceptedEpoch(0), "it is kept")
		require.NoError(t, b.journal.Close())
		require.NoError(t, b.dir.Close())
	})
}

// An epoch that cannot be made durable is not used at all.
func TestAnEpochThatCannotBeKept(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.disk.FailAlways("datadir", syscall.EIO)
		r.desk.promote("b", "a")
		require.ErrorContains(t, <-b.ended, "persist epoch 2")
		b.gone()
	})
}

// outOfSync takes b out of the in-sync set. Its stream goes on, and a writes
// without it.
func outOfSync(r *rig, b *member) {
	r.desk.apply(protocol.Command{SetMaintained: &protocol.SetMaintenance{Node: b.name, On: true}})
	r.desk.waitInSync("a")
}

type answered struct {
	value string
	err   error
}

// reads begins a linearizable read and does not wait for it.
func (m *member) reads(key string) <-chan answered {
	done := make(chan answered, 1)
	go func() {
		value, err := m.read(store.Linearizable, key)
		done <- answered{value, err}
	}()
	return done
}

// A standby that is behind answers a read when it has caught up.
func TestAStandbyReadsWhatItHasApplied(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("k", "old")
		outOfSync(r, b)
		release := b.disk.Stall("journal sync")
		a.write("k", "new")
		read := b.reads("k")
		time.Sleep(time.Second)
		require.Empty(t, read, "what it has is old")
		release()
		require.Equal(t, answered{value: "new"}, <-read)
	})
}

// A read does not share a question that was under way when it arrived.
func TestAStandbysReadAsksForItself(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("k", "old")
		outOfSync(r, b)
		r.net.SetLink("a", "b", memnet.Link{Delay: 100 * time.Millisecond})
		first := b.reads("k")
		time.Sleep(20 * time.Millisecond)
		a.write("k", "new")
		require.Equal(t, answered{value: "new"}, <-b.reads("k"))
		require.NoError(t, (<-first).err)
	})
}

// A question that comes before the new primary serves is answered as soon as it
// does.
func TestAQuestionAtAPrimaryThatDoesNotServeYet(t *testing.T) {
	inTrio(t, func(t *testing.T, r *rig, a, b, c *member) {
		a.write("k", "v")
		a.crash()
		release := stall(t, b, "journal sync")
		r.desk.promote("b", "a")
		r.eventually("c follows b", func() bool { return c.replica.Status().Upstream == b.dir.UUID() })
		read := c.reads("k")
		time.Sleep(50 * time.Millisecond)
		require.False(t, b.replica.Status().Serving)
		require.Empty(t, read)
		release()
		r.desk.waitInSync("b", "c")
		began := time.Now()
		require.Equal(t, answered{value: "v"}, <-read)
		require.Less(t, time.Since(began), 50*time.Millisecond)
	})
}

// An answer that comes after its question was given up is not taken for that of
// the next.
func TestALateAnswerToAStandby(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("k", "old")
		outOfSync(r, b)
		r.desk.settings.Hold = protocol.Duration(500 * time.Millisecond)
		r.desk.tellAll()
		r.net.SetLink("a", "b", memnet.Link{Delay: 800 * time.Millisecond})
		require.Error(t, (<-b.reads("k")).err)
		a.write("k", "new")
		got := <-b.reads("k")
		require.Error(t, got.err, got.value)
	})
}

// A primary that has been deposed answers no standby's question, though that
// standby has not heard of it either.
func TestAQuestionAtADeposedPrimary(t *testing.T) {
	inTrio(t, func(t *testing.T, r *rig, a, b, c *member) {
		a.write("k", "old")
		r.desk.settings.Hold = protocol.Duration(300 * time.Millisecond)
		r.desk.tellAll()
		for _, name := range []string{"a", "b"} {
			r.desk.mute(name, true)
			r.net.CutBoth(name, "c")
		}
		r.desk.promote("c", "a", "b")
		r.desk.waitInSync("c")
		c.write("k", "new")
		got := <-b.reads("k")
		require.Error(t, got.err, got.value)
		r.net.HealAll()
	})
}

// A snapshot takes the place of what is here only if it is this group's, and not
// older than what is known to be committed.
func TestSnapshotsThatAreNotInstalled(t *testing.T) {
	for name, change := range map[string]func(m *journal.Meta){
		"is of cluster other": func(m *journal.Meta) { m.Cluster = "other" },
		"below the committed": func(*journal.Meta) {},
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				a.write("k", "old")
				view := a.replica.view.Load()
				a.write("k", "new")
				r.sameState(a, b)
				if name != "below the committed" {
					view = a.replica.view.Load()
				}
				meta := a.replica.meta(view)
				change(&meta)
				var snapshot bytes.Buffer
				require.NoError(t, a.journal.StreamSnapshot(&snapshot, meta, view.EncodeTo))
				require.ErrorContains(t, apart(func() error { return b.replica.install(&snapshot) }), name)
				r.sameState(a, b)
				require.Equal(t, "new", b.has("k"))
				require.Equal(t, a.journal.Last(), b.journal.Last())
			})
		})
	}
}
