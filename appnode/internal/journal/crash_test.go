package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// expected is what a journal has to hold.
type expected struct {
	epochs   []protocol.Epoch // of every record since seq 1
	snapshot protocol.Seq
	// keep is the lowest seq that must be readable.
	keep protocol.Seq
}

func (e expected) at(seq protocol.Seq) protocol.Position {
	if seq == 0 {
		return protocol.Position{}
	}
	return protocol.Position{Epoch: e.epochs[seq-1], Seq: seq}
}

func (e expected) boundaries() (list []protocol.Boundary) {
	for i, epoch := range e.epochs {
		if i == 0 || e.epochs[i-1] != epoch {
			list = append(list, protocol.Boundary{Epoch: epoch, First: protocol.Seq(i + 1)})
		}
	}
	return list
}

// step is one call on a journal, and what it makes of the state before.
type step struct {
	name  string
	do    func(j *Journal, before expected) error
	after func(before expected) expected
	// partly tells that a crash may leave any number of its records.
	partly bool
}

func writes(epochs ...protocol.Epoch) step {
	return step{
		fmt.Sprint("write ", epochs),
		func(j *Journal, e expected) error {
			return j.Write(batchOf(protocol.Seq(len(e.epochs)+1), epochs...))
		},
		func(e expected) expected {
			e.epochs = append(slices.Clip(e.epochs), epochs...)
			return e
		},
		true,
	}
}

func cuts(after protocol.Seq) step {
	return step{
		fmt.Sprint("cut after ", after),
		func(j *Journal, _ expected) error { _, err := j.Cut(after); return err },
		func(e expected) expected {
			e.epochs = slices.Clip(e.epochs[:after])
			return e
		},
		false,
	}
}

func snapshots(seq protocol.Seq) step {
	return step{
		fmt.Sprint("snapshot at ", seq),
		func(j *Journal, e expected) error {
			return j.WriteSnapshot(meta(e.at(seq)), writeState(e.at(seq)))
		},
		func(e expected) expected {
			e.snapshot = seq
			return e
		},
		false,
	}
}

func trims(keep protocol.Seq) step {
	return step{
		fmt.Sprint("trim below ", keep),
		func(j *Journal, _ expected) error { return j.Trim(keep) },
		func(e expected) expected {
			e.keep = max(e.keep, min(keep, e.snapshot+1))
			return e
		},
		false,
	}
}

func installs(epochs ...protocol.Epoch) step {
	to := expected{epochs: epochs, snapshot: protocol.Seq(len(epochs)), keep: protocol.Seq(len(epochs) + 1)}
	return step{
		fmt.Sprint("install at ", len(epochs)),
		func(j *Journal, _ expected) error {
			var b bytes.Buffer
			m := meta(to.at(to.snapshot))
			m.Boundaries = to.boundaries()
			if err := encodeSnapshot(&b, 0, m, writeState(m.Position)); err != nil {
				return err
			}
			_, err := j.InstallSnapshot(&b, accept)
			return err
		},
		func(expected) expected { return to },
		false,
	}
}

// scenario goes through everything that changes a journal, several times over
// segments and generations.
func scenario() []step {
	return []step{
		writes(1), writes(1, 1, 1), writes(1, 1, 1, 1, 1, 1), writes(1, 1), snapshots(5), trims(6),
		writes(2, 2, 2, 2, 2, 2, 2), cuts(16), writes(3), cuts(13), writes(4, 4, 4, 4, 4), snapshots(14), trims(100),
		installs(1, 1, 2, 2, 5, 5, 5, 5, 5), writes(5, 6, 6), snapshots(11), writes(7, 7, 7, 7, 7, 7), cuts(11),
		installs(1, 1, 1, 8), writes(8, 8), cuts(4), writes(9),
	}
}

// check compares a journal with what it may hold: before, after, or, where the
// step may have been done partly, something between. It returns which.
func check(t *testing.T, j *Journal, before, after expected, partly bool) expected {
	t.Helper()
	is := before
	snapshot := snapshotOf(t, j).Seq
	switch last := j.Last().Seq; {
	case partly:
		require.GreaterOrEqual(t, last, protocol.Seq(len(before.epochs)), "what was acknowledged is lost")
		require.LessOrEqual(t, last, protocol.Seq(len(after.epochs)))
		is = after
		is.epochs = after.epochs[:last]
	case snapshot == after.snapshot && last == protocol.Seq(len(after.epochs)):
		is = after
	}
	require.Equal(t, is.snapshot, snapshot)
	require.Len(t, is.epochs, int(j.Last().Seq))
	require.Equal(t, is.at(j.Last().Seq), j.Last())
	first := j.First()
	require.LessOrEqual(t, first, max(1, is.keep, before.keep))
	require.LessOrEqual(t, first, is.snapshot+1)
	require.Equal(t, is.epochs[first-1:], append([]protocol.Epoch{}, epochs(t, j, 300)...))
	require.Equal(t, append([]protocol.Boundary{}, is.boundaries()...), append([]protocol.Boundary{}, j.Boundaries()...))
	return is
}

// restart opens a journal after a crash, with a chance of crashing again and
// again while it is being repaired.
func restart(t *testing.T, fs *disk.Mem, rng *rand.Rand) (*Journal, *disk.Mem) {
	t.Helper()
	for range 2 {
		fs.StopAfter(1 + rng.IntN(30))
		j, opened, err := Open(options(fs))
		if err == nil {
			require.Empty(t, opened.Corrupt)
			_ = j.Close()
		}
		fs = crash(fs, rng)
	}
	j, _ := reopen(t, fs)
	return j, fs
}

// crash ends a process, or cuts its power.
func crash(fs *disk.Mem, rng *rand.Rand) *disk.Mem {
	if rng.IntN(3) == 0 {
		return fs.Kill()
	}
	return fs.PowerCut(rng)
}

// A power cut or a crash between any two file operations, and further ones
// during the repair, leave every step done or not done, and nothing that was
// acknowledged is lost then or later.
func TestCrashAtEveryFileOperation(t *testing.T) {
	steps := scenario()
	for n := 1; ; n++ {
		fs := disk.NewMem()
		j, _ := reopen(t, fs)
		fs.StopAfter(n)
		state, failed := expected{}, -1
		for i, s := range steps {
			if err := s.do(j, state); err != nil {
				require.True(t, fs.Off(), "%s: %v", s.name, err)
				failed = i
				break
			}
			state = s.after(state)
		}
		_ = j.Close()
		if failed < 0 {
			require.Greater(t, n, 200)
			return
		}
		for seed := range uint64(2) {
			rng := testRand(seed<<32 | uint64(n))
			afterCrash(t, steps, failed, state, fs.PowerCut(rng), rng, fmt.Sprintf("%s, operation %d, seed %d", steps[failed].name, n, seed))
		}
	}
}

func afterCrash(t *testing.T, steps []step, failed int, state expected, fs *disk.Mem, rng *rand.Rand, what string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(what)
		}
	}()
	s := steps[failed]
	j, fs := restart(t, fs, rng)
	is := check(t, j, state, s.after(state), s.partly)
	// Life goes on, and no ghost of what was under way comes back.
	last := protocol.Epoch(1)
	if n := len(is.epochs); n > 0 {
		last = is.epochs[n-1]
	}
	for range 3 {
		more := writes(last+1, last+1)
		require.NoError(t, more.do(j, is))
		is = more.after(is)
	}
	_ = j.Close()
	j, _ = restart(t, crash(fs, rng), rng)
	check(t, j, is, is, false)
	_ = j.Close()
}

// A snapshot whose name was only in the cache counts once it has been opened.
func TestTheNameOfASnapshotThatWasFoundIsDurable(t *testing.T) {
	found := 0
	for n := 1; n < 20; n++ {
		fs := disk.NewMem()
		j, _ := reopen(t, fs)
		write(t, j, 1, 5)
		<-j.next.done
		fs.StopAfter(n)
		_ = j.WriteSnapshot(meta(j.Last()), writeState(j.Last()))
		fs = fs.Kill()
		j, _ = reopen(t, fs)
		snapshot := j.snapshot
		if snapshot.Seq > 0 {
			found++
		}
		for seed := range uint64(4) {
			j, _ = reopen(t, fs.PowerCut(testRand(seed)))
			require.Equal(t, snapshot, j.snapshot, "operation %d", n)
		}
	}
	require.Positive(t, found)
}

// What Open found was perhaps only in the cache of a process that died. From
// then on it counts, so a power cut right after must not take it away.
func TestWhatWasFoundAtOpeningIsDurable(t *testing.T) {
	steps := scenario()
	for n := 1; ; n++ {
		fs := disk.NewMem()
		j, _ := reopen(t, fs)
		fs.StopAfter(n)
		state := expected{}
		done := true
		for _, s := range steps {
			if done = s.do(j, state) == nil; !done {
				break
			}
			state = s.after(state)
		}
		_ = j.Close()
		if done {
			return
		}
		fs = fs.Kill()
		j, _ = reopen(t, fs)
		found, first, snapshot := epochs(t, j, 1000), j.First(), j.snapshot
		<-j.next.done
		for seed := range uint64(3) {
			j, _ = reopen(t, fs.PowerCut(testRand(seed)))
			require.Equal(t, first, j.First(), "operation %d", n)
			require.Equal(t, found, epochs(t, j, 1000), "operation %d", n)
			require.Equal(t, snapshot, j.snapshot, "operation %d", n)
			require.NoError(t, j.Close())
		}
	}
}
