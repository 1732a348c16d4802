package replica

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
)

// stall has an operation of a member's disk wait until it is released, at the
// latest when the test has failed.
func stall(t *testing.T, m *member, op string) (release func()) {
	release = sync.OnceFunc(m.disk.Stall(op))
	t.Cleanup(release)
	return release
}

// holdsOf returns the snapshots for which a member keeps its journal.
func holdsOf(m *member) int {
	m.replica.mu.Lock()
	defer m.replica.mu.Unlock()
	return len(m.replica.holds)
}

// grow writes to a member, without pause for long, as much as it takes to write
// n snapshots and to trim after each. Every write must be answered at once.
func grow(r *rig, m *member, n int) {
	from := m.disk.Calls("journal snapshot")
	for i := range n {
		began := time.Now()
		m.fill(fmt.Sprintf("fill-%d", i%2), 3*testSnapshot)
		require.Less(r.t, time.Since(began), time.Second, "a write has waited")
		time.Sleep(2 * snapshotCheck)
	}
	require.Greater(r.t, m.disk.Calls("journal snapshot"), from)
}

// A standby that takes long to install a snapshot finds that the journal still
// reaches back to it, whatever clients wrote meanwhile: else it would begin anew,
// for ever.
func TestTheJournalIsKeptForWhoInstallsASnapshot(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		release := stall(t, b, "journal install")
		b.start()
		r.eventually("the snapshot is sent", func() bool { return holdsOf(a) == 1 })
		needs := a.journal.Last().Seq + 1 // the snapshot is of all there is
		grow(r, a, 7)
		require.LessOrEqual(t, a.journal.First(), needs, "nothing that it needs is trimmed")
		release()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Equal(t, 1, holdsOf(a), "one snapshot did")
		grow(r, a, 3)
		time.Sleep(holdFor)
		grow(r, a, 3)
		require.Greater(t, a.journal.First(), needs, "it is kept no longer than that")
		require.Zero(t, holdsOf(a))
	})
}

// So it does for one that is connected and far behind.
func TestTheJournalIsKeptForWhoCatchesUp(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		a.fill("fill-0", 3*testSnapshot)
		release := stall(t, b, "journal sync")
		b.start()
		r.eventually("it is connected", func() bool {
			a.replica.mu.Lock()
			defer a.replica.mu.Unlock()
			return len(a.replica.conns) == 1
		})
		grow(r, a, 4)
		require.EqualValues(t, 1, a.journal.First())
		release()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Zero(t, holdsOf(a), "no snapshot was needed")
	})
}

func TestWhatIsKeptForStandbysIsBounded(t *testing.T) {
	inRig(t, []string{"a"}, func(t *testing.T, r *rig) {
		a := r.member("a")
		r.desk.promote("a")
		r.desk.waitInSync("a")
		a.fill("fill-0", 2*testSnapshot)
		last := a.journal.Last().Seq
		sent := a.replica.holdJournal(5)
		require.EqualValues(t, 6, a.replica.keepFrom(last))
		require.EqualValues(t, 3, a.replica.keepFrom(3), "a hold lets nothing go")
		a.replica.full.Store(true)
		require.Equal(t, last, a.replica.keepFrom(last), "a full disk needs the room")
		a.replica.full.Store(false)

		sent()
		require.EqualValues(t, 6, a.replica.keepFrom(last))
		time.Sleep(holdFor)
		require.Equal(t, last, a.replica.keepFrom(last), "nobody has come")

		defer a.replica.holdJournal(5)()
		for i := 0; a.journal.BytesAfter(5) <= holdTimes*a.replica.snapshotEvery(); i++ {
			require.EqualValues(t, 6, a.replica.keepFrom(last))
			require.Less(t, i, 20)
			a.fill("fill-0", 2*testSnapshot)
			time.Sleep(2 * snapshotCheck)
		}
		require.Equal(t, last, a.replica.keepFrom(last), "too much would be kept")
	})
}

// Journal that is kept for a standby fills the disk, and nothing that is written
// then ends in another snapshot: it goes all the same, and writes go on.
func TestAFullDiskKeepsNothingForStandbys(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		stall(t, b, "journal install")
		b.start()
		r.eventually("the snapshot is sent", func() bool { return holdsOf(a) == 1 })
		needs := a.journal.Last().Seq + 1
		grow(r, a, 7)
		require.LessOrEqual(t, a.journal.First(), needs)
		fillDisk(r, a)
		time.Sleep(2 * snapshotCheck)
		require.Greater(t, a.journal.First(), needs)
		a.disk.Heal("journal prepare")
		a.replica.CheckRoom()
		a.write("after", "v")
	})
}

// Where nothing is written nothing is trimmed, and yet standbys may come and go.
func TestWhoDoesNotComeIsForgottenWhereNothingIsWritten(t *testing.T) {
	inRig(t, []string{"a"}, func(t *testing.T, r *rig) {
		a := r.member("a")
		for range 5 {
			a.replica.holdJournal(5)()
			time.Sleep(holdFor)
		}
		require.Equal(t, 1, holdsOf(a))
	})
}

// A standby that is frozen in the middle of a snapshot keeps nothing for ever.
func TestASnapshotIsGivenUpWhenNobodyTakesIt(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		for i := range 8 { // more than the connection holds
			a.fill(fmt.Sprintf("more-%d", i), testSnapshot)
		}
		r.net.SetLink(a.name, b.name, memnet.Link{Rate: testSnapshot})
		b.start()
		r.eventually("the snapshot is on its way", func() bool { return holdsOf(a) == 1 })
		r.net.Freeze(b.name)
		time.Sleep(2*snapshotPatience + holdFor)
		require.Empty(t, a.replica.needed(time.Now()))
		r.net.Unfreeze(b.name)
		r.net.HealAll()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
	})
}

// Snapshots and what they make needless are on a disk that stands still for them:
// clients do not notice.
func TestWritersDoNotWaitForSnapshots(t *testing.T) {
	for _, op := range []string{"journal snapshot", "journal snapshot write", "journal trim"} {
		t.Run(op, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				stall(t, a, op)
				for i := range 6 {
					began := time.Now()
					a.fill(fmt.Sprintf("fill-%d", i%2), 3*testSnapshot)
					require.Less(t, time.Since(began), 100*time.Millisecond)
					time.Sleep(2 * snapshotCheck)
				}
				require.Positive(t, a.disk.Calls(op), "it has waited since")
				r.sameState(a, b)
			})
		})
	}
}

// A map that is large is written out as seldom as it is large.
func TestSnapshotsOfALargeMapAreSeldom(t *testing.T) {
	inRig(t, []string{"a"}, func(t *testing.T, r *rig) {
		a := r.member("a")
		r.desk.promote("a")
		r.desk.waitInSync("a")
		for i := range 8 {
			a.fill(fmt.Sprintf("part-%d", i), 2*testSnapshot)
			time.Sleep(2 * snapshotCheck)
		}
		view := a.replica.view.Load()
		require.Greater(t, view.Bytes(), int64(8*testSnapshot))
		time.Sleep(2 * snapshotCheck)
		at, wrote := a.replica.snapshotAt.Load(), int64(0)
		for n := range 3 {
			for began := a.replica.written.Load(); a.replica.snapshotAt.Load() == at; time.Sleep(2 * snapshotCheck) {
				a.fill("part-0", testSnapshot/2)
				wrote = a.replica.written.Load() - began
				require.Less(t, wrote, 4*view.Bytes())
			}
			at = a.replica.snapshotAt.Load()
			if n > 0 {
				require.GreaterOrEqual(t, wrote, view.Bytes()/2)
			}
		}
	})
}

// A process that is ended often writes its snapshots all the same.
func TestWhatWasWrittenBeforeARestartCounts(t *testing.T) {
	inRig(t, []string{"a"}, func(t *testing.T, r *rig) {
		a := r.member("a")
		r.desk.promote("a")
		for i := range 12 {
			r.desk.waitInSync("a")
			a.fill("fill", testSnapshot/3)
			time.Sleep(2 * snapshotCheck)
			a.stop()
			a.start()
			r.desk.promote("a")
			if a.journal.First() > 1 {
				return
			}
			require.Less(t, i, 11, "the journal was never trimmed")
		}
	})
}
