package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

const (
	testDir     = "/node/group-0"
	testSegment = minSegmentBytes
)

// made returns the record that stands at a position in every test: what it
// holds follows from where it stands.
func made(p protocol.Position) record.Record {
	r := record.Record{
		Epoch: p.Epoch, Seq: p.Seq, Commit: p.Seq - 1, Kind: record.Batch,
		RequestID: fmt.Appendf(nil, "r%d", p.Seq%3),
		Payload:   bytes.Repeat([]byte{byte(p.Epoch*31 + 1), byte(p.Seq)}, 5+int(p.Seq*7%40)),
	}
	return r
}

// batchOf encodes records of the given epochs, the first of them at seq.
func batchOf(seq protocol.Seq, epochs ...protocol.Epoch) []byte {
	b := make([]byte, MarkSize)
	for i, e := range epochs {
		r := made(protocol.Position{Epoch: e, Seq: seq + protocol.Seq(i)})
		r.Commit = seq - 1 // what a primary knows: nothing of the batch itself
		b = record.Append(b, &r)
	}
	return b
}

func options(fs disk.FS) Options {
	return Options{FS: fs, Dir: testDir, SegmentBytes: testSegment}
}

// reopen opens a journal that has to be sound, and closes it with the test.
func reopen(t testing.TB, fs disk.FS) (*Journal, Opened) {
	t.Helper()
	j, opened, err := Open(options(fs))
	require.NoError(t, err)
	require.Empty(t, opened.Corrupt)
	t.Cleanup(func() { _ = j.Close() })
	return j, opened
}

// write appends batches of the given sizes in one epoch.
func write(t testing.TB, j *Journal, epoch protocol.Epoch, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		epochs := make([]protocol.Epoch, n)
		for i := range epochs {
			epochs[i] = epoch
		}
		require.NoError(t, j.Write(batchOf(j.Last().Seq+1, epochs...)))
	}
}

// epochs returns the epochs of all records from First on, having checked that
// each is the one that was made.
func epochs(t testing.TB, j *Journal, limit int) []protocol.Epoch {
	t.Helper()
	var list []protocol.Epoch
	var buf []byte
	var want []byte
	next := j.First()
	for next <= j.Last().Seq {
		b, last, err := j.Read(next, buf, limit)
		require.NoError(t, err)
		require.NoError(t, record.Each(b, func(r record.Record, raw []byte) error {
			same := made(r.Position())
			same.Commit = r.Commit
			want = record.Append(want[:0], &same)
			if r.Seq != next || !bytes.Equal(want, raw) {
				return fmt.Errorf("at %d stands %s, and it is not what was written", next, r.Position())
			}
			list = append(list, r.Epoch)
			next++
			return nil
		}))
		require.Equal(t, next-1, last)
		buf = b
	}
	return list
}

// stateAt is what the snapshot at a position holds in every test.
func stateAt(p protocol.Position) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "state %s;", p), 20)
}

func writeState(p protocol.Position) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(stateAt(p))
		return err
	}
}

func meta(p protocol.Position) Meta {
	return Meta{Cluster: "c1", Position: p, GroupTime: 17}
}

// snapshotOf returns the snapshot's position, having checked its state.
func snapshotOf(t testing.TB, j *Journal) protocol.Position {
	t.Helper()
	m, r, err := j.OpenSnapshot()
	if err != nil {
		require.ErrorIs(t, err, ErrNoSnapshot)
		return protocol.Position{}
	}
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, stateAt(m.Position), b)
	require.Equal(t, "c1", m.Cluster)
	require.EqualValues(t, 17, m.GroupTime)
	return m.Position
}

// files returns the contents of the journal's own files, by name.
func files(t testing.TB, fs disk.FS) map[string][]byte {
	t.Helper()
	list, err := fs.ReadDir("test", testDir)
	require.NoError(t, err)
	all := map[string][]byte{}
	for _, e := range list {
		if !e.IsDir() {
			all[e.Name()], err = disk.ReadFile(fs, "test", filepath.Join(testDir, e.Name()))
			require.NoError(t, err)
		}
	}
	return all
}

// holding returns a file system with the given files of a journal.
func holding(t testing.TB, all map[string][]byte) *disk.Mem {
	t.Helper()
	fs := disk.NewMem()
	require.NoError(t, disk.MakeDir(fs, "test", testDir))
	for name, b := range all {
		require.NoError(t, disk.WriteFile(fs, "test", filepath.Join(testDir, name), b))
	}
	return fs
}

// resum writes the checksum of b.
func resum(b, to []byte) { binary.LittleEndian.PutUint32(to, crc32.Checksum(b, castagnoli)) }

func testRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }
