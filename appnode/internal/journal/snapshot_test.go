package journal

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

func accept(Meta) error { return nil }

// streamed returns a snapshot at 2.7 as it goes over the wire.
func streamed(t testing.TB) []byte {
	t.Helper()
	j, _ := reopen(t, disk.NewMem())
	write(t, j, 1, 5)
	write(t, j, 2, 2)
	var b bytes.Buffer
	require.NoError(t, j.StreamSnapshot(&b, meta(j.Last()), writeState(j.Last())))
	return b.Bytes()
}

func TestASnapshotTakesThePlaceOfTheOneBefore(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 5)
	write(t, j, 2, 5)
	for _, p := range []protocol.Position{{Epoch: 1, Seq: 3}, {Epoch: 1, Seq: 3}, {Epoch: 2, Seq: 10}} {
		require.NoError(t, j.WriteSnapshot(meta(p), writeState(p)))
		require.Equal(t, p, snapshotOf(t, j))
	}
	m, r, err := j.OpenSnapshot()
	require.NoError(t, err)
	require.Equal(t, []protocol.Boundary{{Epoch: 1, First: 1}, {Epoch: 2, First: 6}}, m.Boundaries)
	write(t, j, 2, 1)
	require.NoError(t, j.WriteSnapshot(meta(j.Last()), writeState(j.Last())))
	b, err := io.ReadAll(iotest.OneByteReader(r))
	require.NoError(t, err)
	require.Equal(t, stateAt(m.Position), b, "an open one stays readable")
	require.NoError(t, r.Close())
	j, _ = reopen(t, fs.Kill())
	require.Equal(t, protocol.Position{Epoch: 2, Seq: 11}, snapshotOf(t, j))
	require.Len(t, epochs(t, j, 100), 11)
}

func TestSnapshotsThatDoNotFitTheJournalAreRefused(t *testing.T) {
	j, _ := reopen(t, disk.NewMem())
	write(t, j, 1, 5)
	write(t, j, 2, 5)
	p := protocol.Position{Epoch: 2, Seq: 8}
	require.NoError(t, j.WriteSnapshot(meta(p), writeState(p)))
	for _, bad := range []protocol.Position{{Epoch: 2, Seq: 11}, {Epoch: 1, Seq: 9}, {Epoch: 2, Seq: 7}, {}} {
		require.ErrorContains(t, j.WriteSnapshot(meta(bad), writeState(bad)), "does not fit the journal")
	}
	m := meta(j.Last())
	m.Group = 1
	require.ErrorContains(t, j.WriteSnapshot(m, writeState(p)), "of group 1")
	require.ErrorContains(t, j.StreamSnapshot(io.Discard, m, writeState(p)), "of group 1")
	require.Error(t, j.StreamSnapshot(io.Discard, meta(protocol.Position{}), writeState(p)))
	require.Equal(t, p, snapshotOf(t, j))
}

func TestAFailedSnapshotLeavesTheOldOne(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMem())
	j, _ := reopen(t, fs)
	write(t, j, 1, 5)
	p := j.Last()
	require.NoError(t, j.WriteSnapshot(meta(p), writeState(p)))
	write(t, j, 1, 5)
	<-j.next.done
	oops := errors.New("oops")
	require.ErrorIs(t, j.WriteSnapshot(meta(j.Last()), func(w io.Writer) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, oops)
	}), oops)
	for n := 1; n <= 4; n++ {
		fs.Fail("journal snapshot", n, syscall.EIO)
		err := j.WriteSnapshot(meta(j.Last()), writeState(j.Last()))
		require.ErrorIs(t, err, syscall.EIO, "call %d", n)
		if n < 4 {
			require.NoError(t, j.Err())
			require.Equal(t, p, snapshotOf(t, j))
		}
		require.NotContains(t, slices.Collect(maps.Keys(files(t, fs))), "snapshot.tmp")
	}
	require.ErrorIs(t, j.Err(), syscall.EIO, "whether the new name is durable is not known")
}

func TestACutWaitsForNoSnapshotAndGoesNotBelowIt(t *testing.T) {
	j, _ := reopen(t, disk.NewMem())
	write(t, j, 1, 5)
	p := protocol.Position{Epoch: 1, Seq: 3}
	require.NoError(t, j.WriteSnapshot(meta(p), func(w io.Writer) error {
		_, err := j.Cut(2)
		require.ErrorContains(t, err, "the snapshot holds those up to 3")
		_, err = j.Cut(3)
		require.NoError(t, err)
		write(t, j, 2, 1)
		return writeState(p)(w)
	}))
	require.Equal(t, []protocol.Epoch{1, 1, 1, 2}, epochs(t, j, 100))
}

func TestAnInstalledSnapshotReplacesEverything(t *testing.T) {
	b := streamed(t)
	for _, before := range []int{0, 3, 90} {
		fs := disk.NewMem()
		j, _ := reopen(t, fs)
		if before > 0 {
			write(t, j, 1, before)
		}
		var seen Meta
		r := strings.NewReader(string(b) + "what follows")
		m, err := j.InstallSnapshot(r, func(m Meta) error { seen = m; return nil })
		require.NoError(t, err)
		require.Equal(t, m, seen)
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "what follows", string(rest), "not a byte more is read")
		at := protocol.Position{Epoch: 2, Seq: 7}
		for range 2 {
			require.Equal(t, at, m.Position)
			require.Equal(t, at, j.Last())
			require.EqualValues(t, 8, j.First())
			require.Equal(t, []protocol.Boundary{{Epoch: 1, First: 1}, {Epoch: 2, First: 6}}, j.Boundaries())
			require.Equal(t, at, snapshotOf(t, j))
			_, _, err = j.Read(7, nil, 100)
			require.ErrorIs(t, err, ErrTrimmed)
			j, _ = reopen(t, fs.PowerCut(testRand(1)))
		}
		write(t, j, 2, 1)
		write(t, j, 5, 70)
		require.NoError(t, j.WriteSnapshot(meta(j.Last()), writeState(j.Last())))
		require.Len(t, epochs(t, j, 100), 71)
	}
}

func TestASnapshotThatIsNotWholeChangesNothing(t *testing.T) {
	good := streamed(t)
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 3)
	<-j.next.done
	unchanged := func() {
		require.NoError(t, j.Err())
		require.Equal(t, []protocol.Epoch{1, 1, 1}, epochs(t, j, 1000))
		_, _, err := j.OpenSnapshot()
		require.ErrorIs(t, err, ErrNoSnapshot)
		require.NotContains(t, slices.Collect(maps.Keys(files(t, fs))), "snapshot.tmp")
	}
	for n := range good {
		_, err := j.InstallSnapshot(bytes.NewReader(good[:n]), accept)
		require.ErrorContains(t, err, "cut short", "%d bytes", n)
		bad := bytes.Clone(good)
		bad[n] ^= 1 << (n % 8)
		_, err = j.InstallSnapshot(bytes.NewReader(bad), accept)
		require.Error(t, err, "byte %d", n)
	}
	unchanged()
	oops := errors.New("oops")
	_, err := j.InstallSnapshot(bytes.NewReader(good), func(Meta) error { return oops })
	require.ErrorIs(t, err, oops)
	_, err = j.InstallSnapshot(io.MultiReader(bytes.NewReader(good[:300]), iotest.ErrReader(oops)), accept)
	require.ErrorIs(t, err, oops)
	fs.SetRoom(fs.Used() + 500)
	_, err = j.InstallSnapshot(bytes.NewReader(good), accept)
	require.True(t, disk.IsFull(err), "%v", err)
	fs.SetRoom(0)
	unchanged()
	write(t, j, 1, 1)
	_, err = j.InstallSnapshot(bytes.NewReader(good), accept)
	require.NoError(t, err)
}

func TestADamagedSnapshotFileIsCorruption(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 5)
	require.NoError(t, j.WriteSnapshot(meta(j.Last()), writeState(j.Last())))
	<-j.next.done
	require.NoError(t, j.Close())
	all := files(t, fs)
	b := all["snapshot"]
	for n := range b {
		b[n] ^= 1 << (n % 8)
		_, opened, err := Open(options(holding(t, all)))
		require.NoError(t, err)
		require.NotEmpty(t, opened.Corrupt, "byte %d", n)
		b[n] ^= 1 << (n % 8)
	}
	b[8] = 9
	resum(b[:20], b[20:])
	_, _, err := Open(options(holding(t, all)))
	require.ErrorContains(t, err, "the snapshot is of format 9")
	b[8] = 1
	resum(b[:20], b[20:])

	delete(all, segmentName(1, 0))
	_, opened, err := Open(options(holding(t, all)))
	require.NoError(t, err)
	require.Empty(t, opened.Corrupt, "the prepared segment is there: the snapshot holds all that can be known of")
	delete(all, segmentName(1, 1))
	_, opened, err = Open(options(holding(t, all)))
	require.NoError(t, err)
	require.Contains(t, opened.Corrupt, "no segment of generation 1")
}

func TestMetaOfNoPossibleSnapshotIsRefused(t *testing.T) {
	at := protocol.Position{Epoch: 2, Seq: 7}
	for _, b := range [][]protocol.Boundary{
		nil,
		{{Epoch: 1, First: 2}, {Epoch: 2, First: 6}},
		{{Epoch: 1, First: 1}, {Epoch: 2, First: 8}},
		{{Epoch: 1, First: 1}, {Epoch: 3, First: 6}},
		{{Epoch: 2, First: 1}, {Epoch: 2, First: 6}},
		{{Epoch: 1, First: 1}, {Epoch: 2, First: 1}},
	} {
		m := meta(at)
		m.Boundaries = b
		require.Error(t, encodeSnapshot(io.Discard, 0, m, writeState(at)), "%v", b)
	}
}

func TestALargeStateGoesThrough(t *testing.T) {
	state := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	at := protocol.Position{Epoch: 2, Seq: 7}
	m := meta(at)
	m.Boundaries = []protocol.Boundary{{Epoch: 2, First: 1}}
	var b bytes.Buffer
	require.NoError(t, encodeSnapshot(&b, 3, m, func(w io.Writer) error {
		for part := range slices.Chunk(state, 1000) {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	}))
	d := &decoder{r: iotest.HalfReader(&b)}
	require.NoError(t, d.begin())
	require.EqualValues(t, 3, d.generation)
	got, err := io.ReadAll(d)
	require.NoError(t, err)
	require.True(t, bytes.Equal(state, got))
}

func FuzzDecoder(f *testing.F) {
	good := streamed(f)
	f.Add(good)
	f.Add(good[:100])
	f.Add(encodeHead(0))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &decoder{r: bytes.NewReader(b)}
		if err := d.begin(); err != nil {
			return
		}
		if n, err := io.Copy(io.Discard, d); err == nil {
			require.EqualValues(t, d.total, n)
			require.NoError(t, d.meta.check())
		}
	})
}
