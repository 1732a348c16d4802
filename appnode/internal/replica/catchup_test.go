package replica

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

func TestStandbyFollows(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		out := a.write("k", "v")
		require.Equal(t, 2, out.Copies)
		require.Equal(t, protocol.Epoch(1), out.Position.Epoch)
		r.sameState(a, b)
		require.Equal(t, "v", b.has("k"))
		require.Equal(t, protocol.StateStandby, b.replica.Status().State)
		require.Equal(t, protocol.StatePrimary, a.replica.Status().State)
	})
}

func TestStandbyCatchesUpFromMemory(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		a.fill("meanwhile", 40<<10)
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// A primary that has just taken over holds nothing in memory: all that its
// standby lacks comes from the journal.
func TestStandbyCatchesUpFromTheJournal(t *testing.T) {
	inRig(t, []string{"a", "b"}, func(t *testing.T, r *rig) {
		a, b := r.member("a"), r.member("b")
		b.stop()
		r.desk.promote("a")
		r.desk.waitInSync("a")
		a.fill("before", 60<<10)
		a.crash()
		a.start()
		r.desk.promote("a")
		r.desk.waitInSync("a")
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.EqualValues(t, 1, b.journal.First(), "it has the whole history")
	})
}

// What the primary's disk cannot read any more is no way to a second copy: a snapshot
// is.
func TestStandbyIsFilledWhereTheJournalCannotBeRead(t *testing.T) {
	inRig(t, []string{"a", "b"}, func(t *testing.T, r *rig) {
		a, b := r.member("a"), r.member("b")
		b.stop()
		r.desk.promote("a")
		r.desk.waitInSync("a")
		a.fill("before", 60<<10)
		a.crash()
		a.start()
		r.desk.promote("a")
		r.desk.waitInSync("a")
		a.disk.FailAlways("journal segment read", syscall.EIO)
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Greater(t, b.journal.First(), protocol.Seq(1), "it begins with a snapshot")
	})
}

// More than the window that memory holds was written while the standby was away.
func TestStandbyCatchesUpBeyondMemory(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		value := fmt.Sprintf("%0*d", 900<<10, 0)
		for i := range 12 {
			a.write(fmt.Sprintf("big-%d", i%3), value)
		}
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// trimmed writes until the primary's journal no longer reaches back.
func trimmed(r *rig, m *member) {
	for i := 0; m.journal.First() == 1; i++ {
		m.fill(fmt.Sprintf("fill-%d", i%2), testSnapshot)
		time.Sleep(2 * snapshotCheck)
		require.Less(r.t, i, 10)
	}
}

func TestStandbyFetchesASnapshot(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Greater(t, b.journal.First(), protocol.Seq(1), "it begins with the snapshot")
		a.write("after", "v")
		b.crash()
		b.start()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// The target dies in the middle of a snapshot: it opens again with what it had,
// and fetches anew.
func TestTargetOfASnapshotDies(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("old", "v")
		a.write("newer", "v") // its header says that the one before is committed
		r.sameState(a, b)
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		r.net.SetLink("a", "b", memnet.Link{Rate: 20 << 10})
		b.start()
		time.Sleep(2 * time.Second)
		require.Equal(t, "v", b.has("old"))
		require.Less(t, b.replica.Status().Position.Seq, a.replica.Status().Position.Seq, "it is in the middle of it")
		require.Empty(t, b.has("fill-0-0"), "nothing of a snapshot counts before it is whole")
		b.crash()
		r.net.HealAll()
		b.start()
		require.Equal(t, "v", b.has("old"), "the old copy stays until the new one is verified")
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// The source dies in the middle of a snapshot, and goes on in another epoch.
func TestSourceOfASnapshotDies(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("old", "v")
		a.write("newer", "v") // its header says that the one before is committed
		r.sameState(a, b)
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		r.net.SetLink("a", "b", memnet.Link{Rate: 20 << 10})
		b.start()
		time.Sleep(2 * time.Second)
		a.crash()
		time.Sleep(time.Second)
		require.Equal(t, "v", b.has("old"))
		r.net.HealAll()
		a.start()
		r.desk.promote("a")
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// A transfer that stalls on a connection that is open and dead is given up.
func TestSnapshotOnADeadConnection(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		r.net.SetLink("a", "b", memnet.Link{Rate: 20 << 10})
		b.start()
		time.Sleep(time.Second)
		r.net.CutBoth("a", "b") // no end of the connection, and no answer
		dialled := b.dialled.Load()
		time.Sleep(silence - 100*time.Millisecond)
		require.Equal(t, dialled, b.dialled.Load())
		time.Sleep(200 * time.Millisecond)
		require.Greater(t, b.dialled.Load(), dialled)
		r.net.HealAll()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// A tail that only the old primary has is set aside when it comes back, whether
// its process lived on or not.
func TestTailIsSetAside(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %v", restarted), func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				a.write("both", "v")
				r.desk.mute("a", true)
				r.net.CutBoth("a", "b")
				lost := a.begin(r.put("tail", "v"))
				time.Sleep(100 * time.Millisecond)
				if restarted {
					a.crash()
				}
				r.desk.promote("b", "a")
				r.desk.waitInSync("b")
				b.write("new", "v")
				r.net.HealAll()
				if restarted {
					a.start()
				}
				r.desk.mute("a", false)
				out := <-lost
				require.Error(t, out.err)
				r.desk.waitInSync("a", "b")
				r.sameState(a, b)
				require.Empty(t, a.has("tail"))
				files, err := a.disk.ReadDir("test", a.dir.GroupDir(0)+"/aside")
				require.NoError(t, err)
				require.Len(t, files, 1, "the tail is kept for people")
			})
		})
	}
}

// A disk without room to set the tail aside says that it is full, is tried once a second,
// and does not have the primary dialled without end.
func TestNoRoomForTheTail(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("both", "v")
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		lost := a.begin(r.put("tail", "v"))
		r.desk.promote("b", "a")
		r.desk.waitInSync("b")
		a.disk.FailAlways("journal aside", syscall.ENOSPC)
		r.net.HealAll()
		r.desk.mute("a", false)
		require.Error(t, (<-lost).err)
		time.Sleep(2 * time.Second)
		for range 10 {
			dialled := a.dialled.Load()
			time.Sleep(roomCheck + 100*time.Millisecond)
			require.LessOrEqual(t, a.dialled.Load()-dialled, int64(2))
			a.replica.CheckRoom()
			require.True(t, a.replica.Full(), "there is room for records only")
		}
		a.disk.Heal("journal aside")
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		a.replica.CheckRoom()
		require.False(t, a.replica.Full())
	})
}

// What a new primary holds beyond the commit seq that it knows is committed
// with its reign, and not seen before.
func TestUncommittedTailIsPromoted(t *testing.T) {
	inTrio(t, func(t *testing.T, r *rig, a, b, c *member) {
		r.net.CutBoth("a", "c")
		tail := a.begin(r.put("tail", "v")) // on a and b, and not acknowledged by c
		require.Equal(t, a.replica.Status().Position.Seq, b.replica.Status().Durable)
		require.Empty(t, b.has("tail"), "what is not committed is not shown")
		r.desk.mute("a", true)
		a.crash()
		require.Equal(t, "outcome_unknown", string((<-tail).code()))
		r.desk.promote("b", "a")
		r.desk.waitInSync("b", "c")
		require.Equal(t, "v", b.has("tail"))
		r.sameState(b, c)
	})
}
