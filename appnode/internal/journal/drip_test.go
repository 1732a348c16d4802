package journal

import (
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// slowDisk keeps nothing of a snapshot file but how much of it waited to be
// synced at most. Each sync of one takes a while.
type slowDisk struct {
	disk.FS
	takes  time.Duration
	waits  int
	most   int
	pieces int
}

func (d *slowDisk) OpenFile(op, name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := d.FS.OpenFile(op, name, flag, perm)
	if err != nil || !strings.HasSuffix(name, snapshotName+disk.TempSuffix) {
		return f, err
	}
	return &slowFile{f, d}, nil
}

type slowFile struct {
	disk.File
	d *slowDisk
}

func (f *slowFile) Write(p []byte) (int, error) {
	f.d.waits += len(p)
	f.d.most = max(f.d.most, f.d.waits)
	return len(p), nil
}

func (f *slowFile) Datasync(string) error {
	time.Sleep(f.d.takes)
	f.d.waits = 0
	f.d.pieces++
	return nil
}

// pour writes a state of n bytes without having it in memory.
func pour(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		b := make([]byte, 64<<10)
		for ; n > 0; n -= len(b) {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
}

const someMiB = 24 << 20

// slack is what buffers on the way may hold beyond the bound.
const slack = 256 << 10

func TestLittleOfASnapshotWaitsForTheDiskOrIsInMemory(t *testing.T) {
	d := &slowDisk{FS: disk.NewMem()}
	j, _ := reopen(t, d)
	write(t, j, 1, 5)
	p := j.Last()
	install := func() error {
		in, out := io.Pipe()
		go func() { out.CloseWithError(j.StreamSnapshot(out, meta(p), pour(someMiB))) }()
		_, err := j.InstallSnapshot(in, accept)
		return err
	}
	for name, does := range map[string]func() error{
		"written":   func() error { return j.WriteSnapshot(meta(p), pour(8<<20)) },
		"installed": install,
	} {
		d.waits, d.most, d.pieces = 0, 0, 0
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NoError(t, does(), name)
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, d.most, dripBytes+slack, name)
		require.GreaterOrEqual(t, d.pieces, 7, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "%s: it goes through in pieces", name)
	}
}

func TestASnapshotLeavesTheDiskToOthersHalfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes, pieces = 20 * time.Millisecond, 8
		d := &slowDisk{FS: disk.NewMem(), takes: takes}
		j, _ := reopen(t, d)
		write(t, j, 1, 5)
		p := j.Last()
		began := time.Now()
		require.NoError(t, j.WriteSnapshot(meta(p), pour(pieces<<20)))
		require.GreaterOrEqual(t, time.Since(began), 2*pieces*takes)

		d.takes = 10 * time.Second
		began = time.Now()
		require.NoError(t, j.WriteSnapshot(meta(p), pour(pieces<<20)))
		require.LessOrEqual(t, time.Since(began), pieces*(d.takes+dripRest), "a pause is bounded")
	})
}

func TestASnapshotIsWrittenFastWhileSomebodyWaitsForIt(t *testing.T) {
	for name, waits := range map[string]func(j *Journal) error{
		"closing": (*Journal).Close,
		"installing": func(j *Journal) error {
			if _, err := j.InstallSnapshot(strings.NewReader(""), accept); err == nil {
				return errors.New("nothing was installed")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const pieces = 100
				j, _ := reopen(t, &slowDisk{FS: disk.NewMem()})
				write(t, j, 1, 5)
				p := j.Last()
				written := make(chan error, 1)
				go func() { written <- j.WriteSnapshot(meta(p), pour(pieces<<20)) }()
				time.Sleep(pieces / 4 * dripEvery)
				began := time.Now()
				require.NoError(t, waits(j))
				require.NoError(t, <-written)
				require.LessOrEqual(t, time.Since(began), 2*dripEvery)
			})
		})
	}
}

func TestAPieceOfASnapshotThatCannotBeSynced(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMem())
	j, _ := reopen(t, fs)
	write(t, j, 1, 5)
	p := j.Last()
	oops := errors.New("oops")
	fs.Fail("journal snapshot", 3, oops) // it is opened and written to once, and then synced
	require.ErrorIs(t, j.WriteSnapshot(meta(p), pour(3<<20)), oops)
	require.Equal(t, protocol.Position{}, snapshotOf(t, j))
	require.NoError(t, j.Err(), "the journal goes on")
	write(t, j, 1, 5)
}

// What takes long on the disk is not done in the writer's way.
func TestWritesDoNotWaitForTheRemovalOfSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disk.NewFaulty(disk.NewMem())
		j, _ := reopen(t, fs)
		for range 40 {
			write(t, j, 1, 5)
		}
		p := j.Last()
		require.NoError(t, j.WriteSnapshot(meta(p), writeState(p)))
		release := fs.Stall("journal trim")
		trimmed := make(chan error, 1)
		go func() { trimmed <- j.Trim(p.Seq) }()
		synctest.Wait()
		require.Equal(t, 1, fs.Calls("journal trim"), "it is under way")
		wrote := make(chan error, 1)
		go func() { wrote <- j.Write(batchOf(p.Seq+1, 1)) }()
		synctest.Wait()
		select {
		case err := <-wrote:
			require.NoError(t, err)
		default:
			require.Fail(t, "the write waits")
		}
		require.Greater(t, j.First(), protocol.Seq(1))
		release()
		require.NoError(t, <-trimmed)
		require.Len(t, epochs(t, j, 100), int(j.Last().Seq-j.First())+1)
	})
}
