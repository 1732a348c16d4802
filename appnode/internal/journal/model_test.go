package journal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// randomStep chooses something to do that is allowed in state e.
func randomStep(rng *rand.Rand, e expected) step {
	last := protocol.Seq(len(e.epochs))
	epoch := protocol.Epoch(1)
	if last > 0 {
		epoch = e.epochs[last-1] + protocol.Epoch(rng.IntN(5)/4)
	}
	between := func(low, high protocol.Seq) protocol.Seq {
		return low + protocol.Seq(rng.Uint64N(uint64(high-low+1)))
	}
	switch choice := rng.IntN(20); {
	case choice < 3 && last > 0:
		return cuts(between(max(e.snapshot, 0), last))
	case choice < 5 && last > 0:
		return snapshots(between(max(1, e.snapshot), last))
	case choice < 8 && e.snapshot > 0:
		return trims(between(1, last+2))
	case choice < 9 && last > 0:
		return installs(slices.Concat(e.epochs, []protocol.Epoch{epoch, epoch + 1})[:between(1, last+2)]...)
	}
	list := make([]protocol.Epoch, 1+rng.IntN(12))
	for i := range list {
		list[i] = epoch
	}
	return writes(list...)
}

func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(8) {
		rng := testRand(seed)
		fs := disk.NewMem()
		j, _ := reopen(t, fs)
		state := expected{}
		for range 60 {
			s := randomStep(rng, state)
			require.NoError(t, s.do(j, state), s.name)
			state = s.after(state)
			if rng.IntN(8) == 0 {
				_ = j.Close()
				fs = crash(fs, rng)
				j, _ = reopen(t, fs)
			}
			check(t, j, state, state, false)
			require.LessOrEqual(t, j.First(), max(1, state.keep))
			if len(state.epochs) == 0 {
				continue
			}
			p := state.at(1 + protocol.Seq(rng.IntN(len(state.epochs))))
			e, ok := j.EpochAt(p.Seq)
			require.True(t, ok)
			require.Equal(t, p.Epoch, e)
		}
		_ = j.Close()
	}
}

// Readers run beside everything that changes the journal, and never see
// anything but whole records in order.
func TestReadersBesideWrites(t *testing.T) {
	j, _ := reopen(t, disk.NewMem())
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var buf []byte
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := readAll(j, &buf); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	state := expected{}
	rng := testRand(1)
	for range 250 {
		s := randomStep(rng, state)
		require.NoError(t, s.do(j, state), s.name)
		state = s.after(state)
	}
	close(stop)
	readers.Wait()
	check(t, j, state, state, false)
}

func readAll(j *Journal, buf *[]byte) error {
	for next := j.First(); ; {
		b, last, err := j.Read(next, *buf, 500)
		if errors.Is(err, ErrTrimmed) {
			return nil
		}
		if err != nil {
			return err
		}
		_, _, _ = j.Boundaries(), j.Last(), j.Err()
		err = record.Each(b, func(r record.Record, _ []byte) error {
			if r.Seq != next {
				return errors.New("not the record that was asked for")
			}
			next++
			return nil
		})
		if err != nil || last != next-1 {
			return errors.Join(err, errors.New("not what Read said"))
		}
		if len(b) == 0 {
			return nil
		}
		*buf = b
	}
}

func TestARecordThatRotsAfterItWasWrittenIsNotReturned(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 3, 3)
	s := j.current()
	for _, at := range []int64{segmentHeaderSize + 2, segmentHeaderSize + MarkSize + record.HeaderSize + 1, segmentHeaderSize + MarkSize + 6} {
		b := []byte{0}
		_, err := s.file.ReadAt(b, at)
		require.NoError(t, err)
		_, err = s.file.WriteAt([]byte{b[0] ^ 0x10}, at)
		require.NoError(t, err)
		_, _, err = j.Read(1, nil, 1)
		require.ErrorIs(t, err, record.ErrCorrupt)
		_, err = s.file.WriteAt(b, at)
		require.NoError(t, err)
	}
	require.Len(t, epochs(t, j, 1), 6)
}
