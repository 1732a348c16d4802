package journal

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// small writes a journal of several batches over two segments and returns its
// files, its records' epochs and where in the last segment each record and each
// batch ends.
func small(t *testing.T) (all map[string][]byte, want []protocol.Epoch, ends, batches []int64) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 3, 4, 1)
	write(t, j, 2, 2, 1, 4)
	require.Len(t, j.segments, 2)
	s := j.segments[1]
	<-j.next.done
	require.NoError(t, j.Close())
	all = files(t, fs)
	b := all[segmentName(1, 1)]
	for at := int64(segmentHeaderSize); ; {
		m, ok := parseMark(b[at:], s.seed, at)
		if !ok {
			break
		}
		at += MarkSize
		require.NoError(t, record.Each(b[at:at+int64(m.length)], func(r record.Record, raw []byte) error {
			at += int64(len(raw))
			ends = append(ends, at)
			return nil
		}))
		batches = append(batches, at)
	}
	require.Len(t, ends, int(s.last-s.first+1))
	return all, []protocol.Epoch{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2}, ends, batches
}

func cloneFiles(all map[string][]byte) map[string][]byte {
	c := map[string][]byte{}
	for name, b := range all {
		c[name] = bytes.Clone(b)
	}
	return c
}

func TestCutAtEveryByteOpensAtTheLastWholeRecord(t *testing.T) {
	all, want, ends, batches := small(t)
	last, prepared := segmentName(1, 1), segmentName(1, 2)
	before := len(want) - len(ends)
	for k := range len(all[last]) {
		if isZero(all[last][k:]) && k%32 != 0 {
			continue // there is nothing left to cut
		}
		whole := before
		for _, end := range ends {
			if end <= int64(k) {
				whole++
			}
		}
		zeroed, shorter := cloneFiles(all), cloneFiles(all)
		clear(zeroed[last][k:])
		shorter[last] = shorter[last][:k]
		if k%2 == 0 {
			delete(shorter, prepared)
		}
		for how, damaged := range map[string]map[string][]byte{"zeroed": zeroed, "shorter": shorter} {
			fs := holding(t, damaged)
			j, opened, err := Open(options(fs))
			require.NoError(t, err)
			// A checksum may end in zeros: then there is nothing to be seen of it.
			if header := damaged[last][:min(segmentHeaderSize, len(damaged[last]))]; !bytes.Equal(header, all[last][:segmentHeaderSize]) {
				require.NotEmpty(t, opened.Corrupt, "%s at %d", how, k)
				require.Equal(t, damaged, files(t, fs), "nothing is changed")
				continue
			}
			require.Empty(t, opened.Corrupt, "%s at %d", how, k)
			require.Equal(t, want[:whole], epochs(t, j, 1000), "%s at %d", how, k)
			torn := !isZero(damaged[last][tornStart(batches, k):])
			require.Equal(t, torn, opened.Torn.Bytes > 0 && opened.Torn.File != "", "%s at %d", how, k)
			if k%3 != 0 {
				require.NoError(t, j.Close())
				continue
			}
			write(t, j, 3, 2, 1)
			require.NoError(t, j.Close())
			j, opened = reopen(t, fs)
			require.Zero(t, opened.Torn)
			require.Equal(t, append(want[:whole:whole], 3, 3, 3), epochs(t, j, 1000), "%s at %d", how, k)
			require.NoError(t, j.Close())
		}
	}
}

// tornStart returns where the batch that a cut at k tears begins.
func tornStart(batches []int64, k int) int64 {
	start := int64(segmentHeaderSize)
	for _, end := range batches {
		if end <= int64(k) {
			start = end
		}
	}
	return start
}

// Each flipped bit must leave the same data, or cut the last batch cleanly, or
// be called corruption.
func TestAFlippedBitAnywhereLosesNoSyncedBatchSilently(t *testing.T) {
	all, want, _, _ := small(t)
	synced := len(want) - 4 // the last batch may not have been
	outcomes := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for i := range all[name] {
			if isZero(all[name][i:]) && i%16 != 0 {
				continue // never written to: one byte is as good as its neighbours
			}
			all[name][i] ^= 1 << (i % 8)
			outcomes[openDamaged(t, all, want, synced)]++
			all[name][i] ^= 1 << (i % 8)
		}
	}
	require.Greater(t, outcomes["corrupt"], 500)
	require.Greater(t, outcomes["cut"], 150)
	require.Greater(t, outcomes["same"], 50)
}

func openDamaged(t *testing.T, all map[string][]byte, want []protocol.Epoch, synced int) string {
	fs := holding(t, all)
	j, opened, err := Open(options(fs))
	require.NoError(t, err)
	if opened.Corrupt != "" {
		require.Equal(t, all, files(t, fs), "nothing is changed")
		return "corrupt"
	}
	defer func() { require.NoError(t, j.Close()) }()
	got := epochs(t, j, 1000)
	require.GreaterOrEqual(t, len(got), synced)
	require.Equal(t, want[:len(got)], got)
	if len(got) == len(want) {
		return "same"
	}
	require.NotZero(t, opened.Torn)
	return "cut"
}

func TestALostMiddleOrBeginningIsCorruption(t *testing.T) {
	all, _, _, _ := small(t)
	first, last := segmentName(1, 0), segmentName(1, 1)
	for name, damage := range map[string]func(c map[string][]byte){
		"no first segment":    func(c map[string][]byte) { delete(c, first) },
		"first records gone":  func(c map[string][]byte) { clear(c[first][segmentHeaderSize:]) },
		"first header gone":   func(c map[string][]byte) { clear(c[first][:segmentHeaderSize]) },
		"segments exchanged":  func(c map[string][]byte) { c[first], c[last] = c[last], c[first] },
		"other generation":    func(c map[string][]byte) { c[segmentName(2, 0)] = c[first]; delete(c, first); delete(c, last) },
		"damaged note of cut": func(c map[string][]byte) { c["cut"] = make([]byte, intentSize) },
		"no snapshot's end":   func(c map[string][]byte) { c["snapshot"] = encodeHead(1) },
	} {
		if name == "other generation" {
			all = cloneFiles(all)
			delete(all, segmentName(1, 2))
		}
		c := cloneFiles(all)
		damage(c)
		_, opened, err := Open(options(holding(t, c)))
		require.NoError(t, err, name)
		require.NotEmpty(t, opened.Corrupt, name)
	}
}

func TestUserDataCannotPassForAMark(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 1)
	s := j.current()
	// Marks for the next seqs, right but for the salt, which nobody sees, or
	// right for another place of the segment.
	var payload []byte
	for seq := protocol.Seq(2); seq < 10; seq++ {
		b := make([]byte, MarkSize)
		for _, seed := range []uint32{0, segmentHeader{}.seed(), s.seed + 1} {
			here := s.end + MarkSize + record.HeaderSize + int64(len(payload))
			mark{first: seq, length: 50, count: 1}.put(b, seed, here)
			payload = append(payload, b...)
		}
		mark{first: seq, length: 50, count: 1}.put(b, s.seed, 7)
		payload = append(payload, b...)
	}
	at := s.end
	require.NoError(t, j.Write(record.Append(make([]byte, MarkSize), &record.Record{Epoch: 1, Seq: 2, Kind: record.Batch, Payload: payload})))
	require.NoError(t, j.Close())
	all := files(t, fs)
	all[segmentName(1, 0)][at+MarkSize+4]++ // the record is torn, its payload is not
	j, opened := reopen(t, holding(t, all))
	require.NotZero(t, opened.Torn)
	require.EqualValues(t, 1, j.Last().Seq)
}

func TestATornBatchThatHadBeenCommittedIsCorruption(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 1)
	at := j.current().end + MarkSize
	// A standby that catches up gets records that know of their own batch.
	b := make([]byte, MarkSize)
	for seq := protocol.Seq(2); seq <= 5; seq++ {
		r := made(protocol.Position{Epoch: 1, Seq: seq})
		b = record.Append(b, &r)
	}
	require.NoError(t, j.Write(b))
	require.NoError(t, j.Close())
	all := files(t, fs)
	all[segmentName(1, 0)][at+record.HeaderSize] ^= 1
	_, opened, err := Open(options(holding(t, all)))
	require.NoError(t, err)
	require.Contains(t, opened.Corrupt, "shows that 4 was committed")
}

// What a snapshot holds was committed: a journal that ends before it has lost some
// of that, though what is left of it looks like a torn tail.
func TestAJournalThatEndsBeforeItsSnapshotIsCorruption(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 5)
	end := j.current().end
	write(t, j, 1, 5)
	require.NoError(t, j.WriteSnapshot(meta(j.Last()), writeState(j.Last())))
	<-j.next.done
	require.NoError(t, j.Close())
	all := files(t, fs)
	clear(all[segmentName(1, 0)][end:])
	_, opened, err := Open(options(holding(t, all)))
	require.NoError(t, err)
	require.Contains(t, opened.Corrupt, "ends at record 5, and the snapshot shows that 10 was committed")
}

func TestATornBatchKeepsItsWholeRecords(t *testing.T) {
	fs := disk.NewMem()
	j, _ := reopen(t, fs)
	write(t, j, 1, 1, 5)
	end := j.current().end
	require.NoError(t, j.Close())
	all := files(t, fs)
	all[segmentName(1, 0)][end-1] ^= 1
	fs = holding(t, all)
	j, opened := reopen(t, fs)
	require.Len(t, epochs(t, j, 1000), 5)
	b, err := disk.ReadFile(fs, "test", opened.Torn.File)
	require.NoError(t, err)
	require.Equal(t, all[segmentName(1, 0)][end-int64(len(b)):end], b, "all of the batch is kept for people")
	require.EqualValues(t, len(b), opened.Torn.Bytes)
}

func FuzzWalk(f *testing.F) {
	fs := disk.NewMem()
	j, _, err := Open(options(fs))
	if err != nil {
		f.Fatal(err)
	}
	write(f, j, 1, 2, 1)
	write(f, j, 2, 1)
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	b := files(f, fs)[segmentName(1, 0)]
	f.Add(b, uint16(0), byte(0))
	f.Add(b, uint16(100), byte(1))
	f.Add(b[:200], uint16(70), byte(0x80))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip byte) {
		b = bytes.Clone(b)
		if int(at) < len(b) {
			b[at] ^= flip
		}
		h, err := parseSegmentHeader("fuzzed", b)
		if err != nil {
			return
		}
		hist := history{}
		found := walk(b, h.seed(), &hist)
		require.LessOrEqual(t, found.end, int64(len(b)))
		var count protocol.Seq
		for _, f := range found.batches {
			count += protocol.Seq(f.mark.count)
		}
		count += protocol.Seq(found.kept.count)
		if first := found.first(); first > 0 {
			require.Equal(t, first+count-1, hist.last.Seq)
		}
	})
}

func FuzzCutIntent(f *testing.F) {
	f.Add(cutIntent{generation: 1, index: 2, offset: 300, markAt: 64}.encode())
	f.Add(cutIntent{}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCutIntent("fuzzed", b); err == nil {
			again, err := parseCutIntent("fuzzed", c.encode())
			require.NoError(t, err)
			require.Equal(t, c, again)
		}
	})
}
