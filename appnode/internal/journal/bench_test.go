package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

func benchBatch(buf []byte, first protocol.Seq, n int, payload []byte) []byte {
	buf = buf[:MarkSize]
	for i := range n {
		seq := first + protocol.Seq(i)
		buf = record.Append(buf, &record.Record{Epoch: 1, Seq: seq, Commit: first - 1, Kind: record.Batch, Payload: payload})
	}
	return buf
}

// BenchmarkWrite tells something only where TMPDIR is on a disk.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			j, _, err := Open(Options{FS: disk.OS(), Dir: b.TempDir()})
			require.NoError(b, err)
			defer func() { require.NoError(b, j.Close()) }()
			payload, buf := make([]byte, 100-record.HeaderSize), make([]byte, MarkSize)
			seq := protocol.Seq(1)
			b.ReportAllocs()
			for b.Loop() {
				buf = benchBatch(buf, seq, n, payload)
				if err := j.Write(buf); err != nil {
					b.Fatal(err)
				}
				seq += protocol.Seq(n)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkRaw is what the disk does with the same bytes and nothing around.
func BenchmarkRaw(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			f, err := disk.OS().OpenFile("raw", filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_RDWR, 0o600)
			require.NoError(b, err)
			defer func() { require.NoError(b, f.Close()) }()
			require.NoError(b, writeZeros(f, DefaultSegmentBytes, nil))
			require.NoError(b, f.Sync("raw"))
			buf := make([]byte, MarkSize+100*n)
			buf[0] = 1
			at := int64(0)
			for b.Loop() {
				if at+int64(len(buf)) > DefaultSegmentBytes {
					at = 0
				}
				if _, err := f.WriteAt(buf, at); err != nil {
					b.Fatal(err)
				}
				if err := f.Datasync("raw"); err != nil {
					b.Fatal(err)
				}
				at += int64(len(buf))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
		})
	}
}

func BenchmarkWriteWithoutSync(b *testing.B) {
	j, _, err := Open(Options{FS: disk.OS(), Dir: b.TempDir(), NoSync: true})
	require.NoError(b, err)
	defer func() { require.NoError(b, j.Close()) }()
	payload, buf := make([]byte, 100-record.HeaderSize), make([]byte, MarkSize)
	seq := protocol.Seq(1)
	b.ReportAllocs()
	for b.Loop() {
		buf = benchBatch(buf, seq, 16, payload)
		if err := j.Write(buf); err != nil {
			b.Fatal(err)
		}
		seq += 16
	}
}

func BenchmarkReadOne(b *testing.B) {
	j, _, err := Open(Options{FS: disk.OS(), Dir: b.TempDir(), NoSync: true})
	require.NoError(b, err)
	defer func() { require.NoError(b, j.Close()) }()
	payload, buf := make([]byte, 100-record.HeaderSize), make([]byte, MarkSize)
	for seq := protocol.Seq(1); seq < 50_000; seq += 16 {
		buf = benchBatch(buf, seq, 16, payload)
		require.NoError(b, j.Write(buf))
	}
	out := make([]byte, 0, 64<<10)
	seq := protocol.Seq(1)
	b.ReportAllocs()
	for b.Loop() {
		if out, _, err = j.Read(seq, out, 1); err != nil {
			b.Fatal(err)
		}
		seq = seq%49_000 + 7
	}
}
