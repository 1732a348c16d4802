package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/protocol"
)

func sample() *record.Record {
	return &record.Record{
		Group: 3, Epoch: 7, Seq: 1042, Commit: 1040, Kind: record.Batch,
		RequestID: []byte("session-9/17"), Payload: []byte("surname=Lovelace"),
	}
}

func TestParseReturnsWhatAppendWrote(t *testing.T) {
	for name, r := range map[string]*record.Record{
		"batch":       sample(),
		"epoch-start": {Epoch: 1, Seq: 1, Kind: record.EpochStart, RequestID: []byte{}, Payload: []byte{}},
		"profile":     {Epoch: 2, Seq: 9, Kind: record.Profile, RequestID: []byte{}, Payload: []byte("{}")},
		"largest": {
			Group: 1<<32 - 1, Epoch: 1<<64 - 1, Seq: 1<<64 - 1, Commit: 1<<64 - 2, Kind: record.Batch,
			RequestID: bytes.Repeat([]byte{1}, record.MaxRequestID), Payload: make([]byte, record.MaxPayload),
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := record.Append([]byte("before"), r)
			require.True(t, bytes.HasPrefix(b, []byte("before")))
			b = b[len("before"):]
			require.Len(t, b, record.Size(r))
			got, n, err := record.Parse(append(b, "after"...))
			require.NoError(t, err)
			require.Equal(t, len(b), n)
			require.Equal(t, *r, got)
			size, err := record.Peek(b)
			require.NoError(t, err)
			require.Equal(t, n, size)
		})
	}
}

func TestEveryShorterPrefixIsShort(t *testing.T) {
	b := record.Append(nil, sample())
	for n := range b {
		_, _, err := record.Parse(b[:n])
		require.ErrorIs(t, err, record.ErrShort, "%d bytes", n)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	b := record.Append(nil, sample())
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		_, _, err := record.Parse(b)
		require.Error(t, err, "bit %d", i)
		b[i/8] ^= 1 << (i % 8)
	}
}

// forge encodes a sound record, changes it and makes the checksum right again.
func forge(change func(b []byte)) []byte {
	b := record.Append(nil, sample())
	change(b)
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestParseRefusesWhatNoPrimaryWrites(t *testing.T) {
	for says, b := range map[string][]byte{
		"format 2":         forge(func(b []byte) { b[8] = 2 }),
		"kind 0":           forge(func(b []byte) { b[9] = 0 }),
		"kind 4":           forge(func(b []byte) { b[9] = 4 }),
		"format 1":         forge(func(b []byte) { b[11] = 1 }),
		"begin at 1":       forge(func(b []byte) { binary.LittleEndian.PutUint64(b[16:], 0) }),
		"must be below":    forge(func(b []byte) { binary.LittleEndian.PutUint64(b[32:], 1042) }),
		"payload of 9437":  forge(func(b []byte) { binary.LittleEndian.PutUint32(b[4:], record.MaxPayload+1) }),
		"request id of 12": forge(func(b []byte) { b[10] = record.MaxRequestID + 1 }),
	} {
		_, _, err := record.Parse(b)
		require.ErrorIs(t, err, record.ErrCorrupt, says)
		require.ErrorContains(t, err, says)
	}
}

func TestAppendPanicsRatherThanWriteWhatCannotBeRead(t *testing.T) {
	for _, change := range []func(*record.Record){
		func(r *record.Record) { r.Kind = 0 },
		func(r *record.Record) { r.Epoch = 0 },
		func(r *record.Record) { r.Seq = 0 },
		func(r *record.Record) { r.Commit = r.Seq },
		func(r *record.Record) { r.Payload = make([]byte, record.MaxPayload+1) },
		func(r *record.Record) { r.RequestID = make([]byte, record.MaxRequestID+1) },
	} {
		r := sample()
		change(r)
		require.Panics(t, func() { record.Append(nil, r) })
	}
}

func TestEachVisitsRecordsInOrderAndStops(t *testing.T) {
	var b []byte
	for seq := protocol.Seq(1); seq <= 5; seq++ {
		b = record.Append(b, &record.Record{Epoch: 1, Seq: seq, Kind: record.Batch, Payload: make([]byte, seq)})
	}
	var seqs []protocol.Seq
	var raw []byte
	require.NoError(t, record.Each(b, func(r record.Record, bytes []byte) error {
		seqs = append(seqs, r.Seq)
		raw = append(raw, bytes...)
		return nil
	}))
	require.Equal(t, []protocol.Seq{1, 2, 3, 4, 5}, seqs)
	require.Equal(t, b, raw)

	enough := errors.New("enough")
	require.ErrorIs(t, record.Each(b, func(record.Record, []byte) error { return enough }), enough)

	calls := 0
	count := func(record.Record, []byte) error { calls++; return nil }
	require.ErrorIs(t, record.Each(b[:len(b)-1], count), record.ErrShort)
	require.Equal(t, 4, calls)
	b[len(b)-1] ^= 1
	require.ErrorIs(t, record.Each(b, count), record.ErrCorrupt)
}

func TestKindsHaveNames(t *testing.T) {
	require.Equal(t, "epoch-start profile batch kind(9)", strings.Join([]string{
		record.EpochStart.String(), record.Profile.String(), record.Batch.String(), record.Kind(9).String(),
	}, " "))
}

func TestAppendIntoRoomAllocatesNothing(t *testing.T) {
	r, dst := sample(), make([]byte, 0, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = record.Append(dst[:0], r) }))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, err := record.Parse(dst); err != nil {
			t.Fatal(err)
		}
	}))
}

func FuzzParse(f *testing.F) {
	f.Add(record.Append(nil, sample()))
	f.Add(record.Append(record.Append(nil, sample()), sample()))
	f.Add([]byte{})
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 64)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	f.Add(noise)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := record.Parse(b)
		if err != nil {
			require.True(t, errors.Is(err, record.ErrShort) || errors.Is(err, record.ErrCorrupt), "%v", err)
			return
		}
		require.Equal(t, b[:n], record.Append(nil, &r), "what was parsed encodes to the same bytes")
	})
}

func BenchmarkAppend(b *testing.B) {
	r, dst := sample(), make([]byte, 0, 4096)
	r.Payload = make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		dst = record.Append(dst[:0], r)
	}
}

func BenchmarkParse(b *testing.B) {
	r := sample()
	r.Payload = make([]byte, 100)
	raw := record.Append(nil, r)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := record.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
