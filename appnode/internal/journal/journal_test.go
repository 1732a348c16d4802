package journal

import (
	"math"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

func TestAnEmptyJournal(t *testing.T) {
	j, opened := reopen(t, disk.NewMem())
	require.Equal(t, Opened{}, opened)
	require.Zero(t, j.Last())
	require.EqualValues(t, 1, j.First())
	require.Empty(t, j.Boundaries())
	b, last, err := j.Read(1, nil, 100)
	require.NoError(t, err)
	require.Empty(t, b)
	require.Zero(t, last)
	_, _, err = j.OpenSnapshot()
	require.ErrorIs(t, err, ErrNoSnapshot)
	_, ok := j.EpochAt(1)
	require.False(t, ok)
	aside, err := j.Cut(0)
	require.NoError(t, err)
	require.Zero(t, aside)
	require.NoError(t, j.Trim(9))
}

func TestWhatWasWrittenIsReadAfterReopening(t *testing.T) {
	for name, fs := range map[string]disk.FS{"mem": disk.NewMem(), "os": disk.OS()} {
		t.Run(name, func(t *testing.T) {
			o := options(fs)
			o.Dir = filepath.Join(t.TempDir(), "j")
			var want []protocol.Epoch
			for epoch := protocol.Epoch(1); epoch < 5; epoch++ {
				j, opened, err := Open(o)
				require.NoError(t, err)
				require.Empty(t, opened.Corrupt)
				require.Zero(t, opened.Torn)
				require.Len(t, want, int(j.Last().Seq))
				for _, n := range []int{1, 3, 1, 7} {
					write(t, j, epoch, n)
					for range n {
						want = append(want, epoch)
					}
				}
				for _, limit := range []int{-1, 0, 1, 200, math.MaxInt} {
					require.Equal(t, want, epochs(t, j, limit))
				}
				require.NoError(t, j.Close())
				require.NoError(t, j.Close(), "once more")
				require.ErrorIs(t, j.Write(batchOf(j.Last().Seq+1, epoch)), ErrClosed)
				require.ErrorIs(t, j.Reserve(1), ErrClosed)
			}
			j, opened, err := Open(o)
			require.NoError(t, err)
			require.Equal(t, []protocol.Boundary{{Epoch: 1, First: 1}, {Epoch: 2, First: 13}, {Epoch: 3, First: 25}, {Epoch: 4, First: 37}}, j.Boundaries())
			require.EqualValues(t, 41, opened.Commit, "the last batch of seven was written knowing that")
			for seq := protocol.Seq(1); seq <= 48; seq++ {
				e, ok := j.EpochAt(seq)
				require.True(t, ok)
				require.Equal(t, want[seq-1], e)
			}
			require.NoError(t, j.Close())
		})
	}
}

func TestBatchesThatDoNotContinueTheJournalAreRefusedAndChangeNothing(t *testing.T) {
	j, _ := reopen(t, disk.NewMem())
	write(t, j, 3, 2)
	foreign := record.Append(make([]byte, MarkSize), &record.Record{Group: 1, Epoch: 3, Seq: 3, Kind: record.Batch})
	damaged := batchOf(3, 3)
	damaged[len(damaged)-1] ^= 1
	for says, b := range map[string][]byte{
		"cannot follow 3.2": batchOf(4, 3),
		"record 3.2 cannot": batchOf(2, 3),
		"record 2.3 cannot": batchOf(3, 2),
		"3.4":               batchOf(3, 4, 3),
		"of group 1":        foreign,
		"damaged":           damaged,
		"cut short":         batchOf(3, 3)[:MarkSize+10],
		"holds no record":   make([]byte, MarkSize),
	} {
		require.ErrorContains(t, j.Write(b), says)
	}
	require.NoError(t, j.Err())
	require.Equal(t, protocol.Position{Epoch: 3, Seq: 2}, j.Last())
	write(t, j, 3, 1)
	require.Len(t, epochs(t, j, 1), 3)
}

func TestAFailedWriteOrSyncEndsTheJournalForGood(t *testing.T) {
	for _, op := range []string{"journal sync", "journal segment write"} {
		t.Run(op, func(t *testing.T) {
			fs := disk.NewFaulty(disk.NewMem())
			j, _ := reopen(t, fs)
			write(t, j, 1, 1)
			fs.Fail(op, 1, syscall.EIO)
			require.ErrorIs(t, j.Write(batchOf(2, 1)), syscall.EIO)
			syncs := fs.Calls("journal sync")
			for range 3 {
				require.ErrorIs(t, j.Write(batchOf(2, 1)), syscall.EIO)
			}
			_, err := j.Cut(0)
			require.ErrorIs(t, err, syscall.EIO)
			require.ErrorIs(t, j.Reserve(1), syscall.EIO)
			require.ErrorIs(t, j.Trim(1), syscall.EIO)
			require.ErrorIs(t, j.Err(), syscall.EIO)
			require.ErrorIs(t, j.WriteSnapshot(meta(j.Last()), writeState(j.Last())), syscall.EIO)
			_, err = j.InstallSnapshot(nil, nil)
			require.ErrorIs(t, err, syscall.EIO)
			require.Equal(t, syncs, fs.Calls("journal sync"), "a failed sync is never repeated")
			require.Len(t, epochs(t, j, 1000), 1, "reads go on, and show only what is durable")
		})
	}
}

func TestAMarkedFailureIsCorruptionAndTouchesNothing(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 1)
	require.NoError(t, j.Close())
	before := files(t, fs)
	o := options(fs)
	o.Failed = "a sync failed"
	j, opened, err := Open(o)
	require.NoError(t, err)
	require.Nil(t, j)
	require.Equal(t, Opened{Corrupt: "a sync failed"}, opened)
	require.Equal(t, before, files(t, fs))
}

func TestAFullDiskRefusesWritesUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disk.NewMem()
		fs.SetRoom(2*testSegment + 100)
		j, _, err := Open(options(fs))
		require.NoError(t, err)
		defer func() { require.NoError(t, j.Close()) }()
		n := protocol.Seq(0)
		for ; err == nil; n++ {
			batch := batchOf(n+1, 1)
			if err = j.Reserve(len(batch) - MarkSize); err == nil {
				require.NoError(t, j.Write(batch), "what was reserved can be written")
			}
		}
		n--
		require.Greater(t, n, protocol.Seq(10))
		require.True(t, disk.IsFull(err), "%v", err)
		require.True(t, disk.IsFull(j.Write(batchOf(n+1, 1))))
		require.NoError(t, j.Err(), "a full disk is no failure")
		require.Len(t, epochs(t, j, 1000), int(n))

		fs.SetRoom(0)
		require.True(t, disk.IsFull(j.Reserve(900)), "the disk is not tried again at once")
		time.Sleep(fullPause)
		require.NoError(t, j.Reserve(900))
		write(t, j, 1, 1, 1, 20)
		require.Len(t, epochs(t, j, 1000), int(n)+22)
	})
}

func TestAnErrorWhilePreparingASegmentEndsTheJournal(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMem())
	fs.FailAlways("journal prepare", syscall.EIO)
	j, _ := reopen(t, fs)
	var err error
	for n := protocol.Seq(1); err == nil; n++ {
		require.Less(t, n, protocol.Seq(100))
		err = j.Write(batchOf(n, 1))
	}
	require.ErrorIs(t, err, syscall.EIO)
	fs.Heal("journal prepare")
	require.ErrorIs(t, j.Reserve(1), syscall.EIO)
}

func TestABatchLargerThanASegmentGetsOneOfItsOwn(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 1, 50, 1, 60, 2)
	require.NoError(t, j.Reserve(5*testSegment))
	j, _ = reopen(t, fs.Kill())
	require.Len(t, epochs(t, j, 100), 114)
}

func TestSyncsAreTimedAndStallsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disk.NewFaulty(disk.NewMem())
		o := options(fs)
		var took []time.Duration
		o.OnSync = func(d time.Duration) { took = append(took, d) }
		j, _, err := Open(o)
		require.NoError(t, err)
		require.Zero(t, j.Unsynced(time.Now()))
		release := fs.Stall("journal sync")
		go func() {
			if err := j.Write(batchOf(1, 1)); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(3 * time.Second)
		require.Equal(t, 3*time.Second, j.Unsynced(time.Now()))
		require.Zero(t, j.Last(), "nothing counts before it is durable")
		release()
		synctest.Wait()
		require.Zero(t, j.Unsynced(time.Now()))
		require.Equal(t, []time.Duration{3 * time.Second}, took)
		require.EqualValues(t, 1, j.Last().Seq)
		require.NoError(t, j.Close())
	})
}

func TestWithoutSyncNothingIsSynced(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMem())
	o := options(fs)
	o.NoSync = true
	j, _, err := Open(o)
	require.NoError(t, err)
	write(t, j, 1, 1, 2)
	require.Zero(t, fs.Calls("journal sync"))
	require.NoError(t, j.Close())
}

func TestTrimKeepsWhatTheSnapshotDoesNotHold(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 10, 10)
	write(t, j, 2, 10, 10, 10)
	require.NoError(t, j.Trim(40))
	require.EqualValues(t, 1, j.First(), "there is no snapshot yet")
	p := protocol.Position{Epoch: 2, Seq: 31}
	require.NoError(t, j.WriteSnapshot(meta(p), writeState(p)))
	require.NoError(t, j.Trim(12))
	require.Greater(t, j.First(), protocol.Seq(1))
	require.LessOrEqual(t, j.First(), protocol.Seq(12))
	require.NoError(t, j.Trim(1000))
	first := j.First()
	require.Greater(t, first, protocol.Seq(12))
	require.LessOrEqual(t, first, protocol.Seq(32))
	_, _, err := j.Read(first-1, nil, 100)
	require.ErrorIs(t, err, ErrTrimmed)
	_, err = j.Cut(30)
	require.ErrorContains(t, err, "the snapshot holds those up to 31")
	_, err = j.Cut(31)
	require.NoError(t, err)

	j, opened := reopen(t, fs.Kill())
	require.Equal(t, first, j.First())
	require.Equal(t, p, j.Last())
	require.EqualValues(t, 31, opened.Commit)
	require.Equal(t, []protocol.Boundary{{Epoch: 1, First: 1}, {Epoch: 2, First: 21}}, j.Boundaries())
	e, ok := j.EpochAt(5)
	require.True(t, ok)
	require.EqualValues(t, 1, e)
}

func TestCutSetsTheTailAside(t *testing.T) {
	for after := range protocol.Seq(30) {
		fs := disk.NewMem()
		j, _ := reopen(t, fs)
		write(t, j, 1, 4, 6, 1)
		write(t, j, 2, 1, 9, 9)
		all := epochs(t, j, 1000)
		aside, err := j.Cut(after)
		require.NoError(t, err)
		require.Equal(t, 30-int(after), aside.Records)
		b, err := disk.ReadFile(fs, "test", aside.File)
		require.NoError(t, err)
		require.Len(t, b, int(aside.Bytes))
		next := after + 1
		require.NoError(t, record.Each(b, func(r record.Record, _ []byte) error {
			require.Equal(t, protocol.Position{Epoch: all[next-1], Seq: next}, r.Position())
			next++
			return nil
		}))
		require.EqualValues(t, 31, next)
		require.Equal(t, all[:after:after], append([]protocol.Epoch{}, epochs(t, j, 1000)...))

		write(t, j, 3, 2, 7)
		want := append(all[:after:after], 3, 3, 3, 3, 3, 3, 3, 3, 3)
		require.Equal(t, want, epochs(t, j, 1000))
		again, err := j.Cut(after)
		require.NoError(t, err)
		require.NotEqual(t, aside.File, again.File, "nothing that was set aside is replaced")
		write(t, j, 3, 9)
		boundaries := j.Boundaries()
		j, _ = reopen(t, fs.Kill())
		require.Equal(t, want, epochs(t, j, 1000))
		require.Equal(t, boundaries, j.Boundaries())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{Dir: "/x"},
		{FS: disk.NewMem()},
		{FS: disk.NewMem(), Dir: "/x", SegmentBytes: 1},
		{FS: disk.NewMem(), Dir: "/x", SegmentBytes: 1 << 40},
	} {
		_, _, err := Open(o)
		require.Error(t, err)
	}
}

func TestTheJournalOfAnotherGroupOrFormatIsNotCorruptButRefused(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 1)
	require.NoError(t, j.Close())
	o := options(fs)
	o.Group = 4
	_, _, err := Open(o)
	require.ErrorContains(t, err, "belongs to group 0, not to group 4")

	all := files(t, fs)
	h := all[segmentName(1, 0)]
	h[8] = 9
	resum(h[:60], h[60:])
	_, _, err = Open(options(holding(t, all)))
	require.ErrorContains(t, err, "is of format 9, and this program reads format 1")
}

func TestOpenReportsWhatItCannotRead(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMem())
	j, _ := reopen(t, fs)
	write(t, j, 1, 1)
	require.NoError(t, j.Close())
	for _, op := range []string{"journal open", "journal open read", "journal segment"} {
		fs.FailAlways(op, syscall.EACCES)
		_, opened, err := Open(options(fs))
		require.ErrorIs(t, err, syscall.EACCES, op)
		require.Empty(t, opened.Corrupt)
		fs.Heal(op)
	}
}

// Without room for what is set aside, or for the note, nothing is cut and nothing is
// left behind, neither now nor by a process that comes after; with room it is.
func TestAFullDiskCutsNothing(t *testing.T) {
	full := func(t *testing.T, fs *disk.Mem, faulty disk.FS, crash bool, refill func()) {
		j, _ := reopen(t, faulty)
		write(t, j, 1, 4, 6, 1)
		write(t, j, 2, 1, 9, 9)
		all, boundaries := epochs(t, j, 1000), j.Boundaries()
		refill()
		_, err := j.Cut(7)
		require.True(t, disk.IsFull(err), "%v", err)
		require.NoError(t, j.Err())
		require.Equal(t, all, epochs(t, j, 1000))
		require.Equal(t, boundaries, j.Boundaries())
		if left, err := fs.ReadDir("test", filepath.Join(testDir, asideDir)); err == nil {
			require.Empty(t, left)
		}
		fs.SetRoom(0)
		if crash {
			j, _ = reopen(t, fs.Kill())
			require.Equal(t, all, epochs(t, j, 1000))
			return
		}
		aside, err := j.Cut(7)
		require.NoError(t, err)
		require.Equal(t, 23, aside.Records)
		time.Sleep(fullPause)
		write(t, j, 3, 2)
		require.Len(t, epochs(t, j, 1000), 9)
		j, _ = reopen(t, fs.Kill())
		require.Len(t, epochs(t, j, 1000), 9)
	}
	for _, crash := range []bool{false, true} {
		for nth := 1; nth <= 4; nth++ {
			synctest.Test(t, func(t *testing.T) {
				fs := disk.NewMem()
				faulty := disk.NewFaulty(fs)
				full(t, fs, faulty, crash, func() { faulty.Fail("journal cut", nth, syscall.ENOSPC) })
			})
		}
		for _, room := range []int64{0, 100, 500} {
			synctest.Test(t, func(t *testing.T) {
				fs := disk.NewMem()
				full(t, fs, fs, crash, func() {
					synctest.Wait() // the next segment is prepared
					fs.SetRoom(fs.Used() + room)
				})
			})
		}
	}
}
