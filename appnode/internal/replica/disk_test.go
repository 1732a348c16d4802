package replica

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
)

// A failed sync is never acknowledged and never tried again; the node resigns,
// and what is on its disk counts for nothing.
func TestFailedSyncOfAPrimary(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("before", "v")
		a.disk.Fail("journal sync", 1, syscall.EIO)
		calls := a.disk.Calls("journal sync")
		out := <-a.begin(r.put("k", "v"))
		require.Equal(t, problem.OutcomeUnknown, out.code())
		require.ErrorIs(t, <-a.ended, syscall.EIO)
		require.Equal(t, calls+1, a.disk.Calls("journal sync"))
		a.gone()
		require.NotEmpty(t, a.open().Corrupt)
		require.NoError(t, a.dir.Close())
		r.desk.promote("b", "a")
		r.desk.waitInSync("b")
		require.Equal(t, "v", b.has("before"))
	})
}

func TestFailedSyncOfAStandby(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.disk.Fail("journal sync", 1, syscall.EIO)
		out := <-a.begin(r.put("k", "v"))
		require.NoError(t, out.err)
		require.Less(t, out.took, 50*time.Millisecond, "it says so, and is removed at once")
		require.Contains(t, r.desk.reasons(), "its disk has failed")
		require.ErrorIs(t, <-b.ended, syscall.EIO)
		b.gone()
		require.NotEmpty(t, b.open().Corrupt)
		require.NoError(t, b.dir.Close())
	})
}

// fillDisk writes until there is no room.
func fillDisk(r *rig, m *member) {
	m.disk.FailAlways("journal prepare", syscall.ENOSPC)
	for i := range 20 {
		if out := <-m.begin(r.put(string(rune('a'+i)), string(make([]byte, testSegment/2)))); out.err != nil {
			require.Equal(r.t, problem.DiskFull, out.code())
			return
		}
	}
	require.FailNow(r.t, "the disk was never full")
}

func TestFullDiskOfAPrimary(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("before", "v")
		fillDisk(r, a)
		require.True(t, a.replica.Full())
		got, err := a.read(store.Linearizable, "before")
		require.NoError(t, err)
		require.Equal(t, "v", got)
		require.Equal(t, []string{"a", "b"}, r.desk.inSync())

		a.replica.CheckRoom()
		require.True(t, a.replica.Full(), "there is none yet")
		a.disk.Heal("journal prepare")
		time.Sleep(2 * time.Second)
		a.replica.CheckRoom()
		require.False(t, a.replica.Full())
		a.write("after", "v")
		r.sameState(a, b)
	})
}

// A disk that takes long over the room for the next batch keeps nobody waiting beyond
// the hold, nor beyond the end of the reign.
func TestADiskThatMakesNoRoomInTime(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		release := a.disk.Stall("journal prepare")
		var waits <-chan outcome
		for i := 0; waits == nil; i++ {
			require.Less(t, i, 20, "the disk is never asked for room")
			began := a.begin(r.put(string(rune('a'+i)), string(make([]byte, testSegment/2))))
			select {
			case out := <-began:
				require.NoError(t, out.err)
			case <-time.After(time.Second):
				waits = began
			}
		}
		time.Sleep(time.Second)
		later := a.begin(r.put("later", "v"))
		out := <-waits
		require.Equal(t, problem.Overloaded, out.code())
		require.InDelta(t, (10 * time.Second).Seconds(), out.took.Seconds(), 0.2)
		r.desk.promote("b", "a")
		out = <-later
		require.Equal(t, problem.NotPrimary, out.code())
		require.Less(t, out.took, 9*time.Second)
		release()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Empty(t, b.has("later"), "it was never begun")
	})
}

// A standby without room says so, is removed at once, and does not come back
// before it has some.
func TestFullDiskOfAStandby(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.disk.FailAlways("journal prepare", syscall.ENOSPC)
		for i := range 6 {
			out := <-a.begin(r.put(string(rune('a'+i)), string(make([]byte, testSegment/2))))
			require.NoError(t, out.err)
			require.Less(t, out.took, 50*time.Millisecond)
		}
		require.Equal(t, []string{"a"}, r.desk.inSync())
		require.Contains(t, r.desk.reasons(), string(problem.DiskFull))
		time.Sleep(10 * time.Second)
		require.False(t, a.replica.Status().Peers[0].Connected)
		b.disk.Heal("journal prepare")
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// A standby that has no room for a snapshot does not have it sent without end.
func TestNoRoomForASnapshot(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		b.disk.FailAlways("journal install", syscall.ENOSPC)
		b.start()
		time.Sleep(time.Minute)
		require.Positive(t, holdsOf(a))
		require.Less(t, holdsOf(a), 12, "snapshots sent within holdFor")
		b.disk.Heal("journal install")
		time.Sleep(refillPatience)
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// While a disk hangs, everything that needs none of it goes on.
func TestStalledDiskOfAPrimary(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("before", "v")
		release := a.disk.Stall("journal sync")
		stuck := a.begin(r.put("stuck", "v"))
		time.Sleep(3 * time.Second)
		require.Empty(t, stuck)
		require.GreaterOrEqual(t, a.replica.Unsynced(), 3*time.Second)
		require.True(t, a.replica.Status().Serving)
		require.NoError(t, a.replica.Alive())
		got, err := a.read(store.Linearizable, "before")
		require.NoError(t, err)
		require.Equal(t, "v", got)
		require.Empty(t, a.has("stuck"))
		release()
		require.NoError(t, (<-stuck).err)
		require.Zero(t, a.replica.Unsynced())
	})
}

// The reader of a stream is never behind the disk: confirms are answered while a
// standby's disk hangs, and reads go on until it is removed.
func TestStalledDiskOfAStandby(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		a.write("before", "v")
		release := b.disk.Stall("journal sync")
		write := a.begin(r.put("k", "v"))
		began := time.Now()
		got, err := a.read(store.Linearizable, "before")
		require.NoError(t, err)
		require.Equal(t, "v", got)
		require.Zero(t, time.Since(began))
		require.Equal(t, []string{"a", "b"}, r.desk.inSync())
		out := <-write
		require.NoError(t, out.err)
		require.InDelta(t, 0.5, out.took.Seconds(), 0.03)
		require.Contains(t, r.desk.reasons(), "its answer is overdue")
		require.NoError(t, b.replica.Alive())
		release()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}
