package journal

import (
	"bytes"
	"encoding/binary"
	"errors"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/protocol"
)

// history is what a walk over the records has learnt so far.
type history struct {
	group      protocol.GroupID
	last       protocol.Position // zero before the first record that is known of
	boundaries []protocol.Boundary
	commit     protocol.Seq // highest seen
	// known is the position of the snapshot and its boundaries: records up to
	// it have to agree with them.
	known protocol.Position
}

// found is what the walk over one segment's bytes came to.
type found struct {
	batches []batch
	end     int64 // behind the last whole batch
	// tail tells that something other than zeros follows the last whole batch.
	tail bool
	// kept, unless zero, is the part of a torn batch at end that is sound.
	kept mark
	// beyond is the highest commit seq in the records of a torn batch.
	beyond protocol.Seq
	// later tells that a sound mark follows the place where the walk ended. It
	// was written after the sync of all before it, so what is bad there was
	// good once.
	later bool
}

// any tells whether the segment holds a sound mark.
func (f *found) any() bool { return f.first() > 0 || f.later }

// first returns the first seq of the segment's first batch, 0 if it has none.
func (f *found) first() protocol.Seq {
	if len(f.batches) > 0 {
		return f.batches[0].mark.first
	}
	return f.kept.first
}

type batch struct {
	mark mark
	at   int64
}

// walk goes through the batches of a segment for as long as they continue h,
// which it brings up to date.
func walk(b []byte, seed uint32, h *history) found {
	f := found{end: segmentHeaderSize}
	for {
		m, ok := parseMark(b[f.end:], seed, f.end)
		if !ok || !h.expects(m.first) {
			f.tail = !isZero(b[f.end:])
			f.later = hasMark(b, seed, f.end)
			return f
		}
		start := f.end + MarkSize
		stop := min(start+int64(m.length), int64(len(b)))
		kept, whole := h.take(b[start:stop], m)
		if !whole {
			f.tail, f.kept = true, kept
			f.beyond = commitAfter(b[start+int64(kept.length):stop], h)
			f.later = hasMark(b, seed, f.end+1)
			return f
		}
		f.batches = append(f.batches, batch{m, f.end})
		f.end = stop
	}
}

// expects tells whether a batch that begins at seq may come next.
func (h *history) expects(seq protocol.Seq) bool {
	return h.last == protocol.Position{} || seq == h.last.Seq+1
}

// take reads the records of a batch into h. It returns the mark of those that
// are sound, and whether that is all of them.
func (h *history) take(b []byte, m mark) (kept mark, whole bool) {
	if h.last == (protocol.Position{}) {
		h.begin(m.first)
	}
	kept.first = m.first
	for kept.count < m.count {
		r, n, err := record.Parse(b[kept.length:])
		if err != nil || !h.append(&r) {
			return kept, false
		}
		kept.length += uint32(n)
		kept.count++
	}
	return kept, kept.length == m.length
}

// begin puts h before the first record that the journal still holds.
func (h *history) begin(first protocol.Seq) {
	h.last.Seq = first - 1
	h.last.Epoch, _ = epochAt(h.boundaries, first-1)
}

// append takes one record, unless it cannot come next.
func (h *history) append(r *record.Record) bool {
	if follows(r, h.group, h.last) != nil {
		return false
	}
	if r.Seq <= h.known.Seq {
		if e, _ := epochAt(h.boundaries, r.Seq); e != r.Epoch {
			return false
		}
	} else if r.Epoch > h.lastEpoch() {
		h.boundaries = append(h.boundaries, protocol.Boundary{Epoch: r.Epoch, First: r.Seq})
	}
	h.last = r.Position()
	h.commit = max(h.commit, r.Commit)
	return true
}

func (h *history) lastEpoch() protocol.Epoch {
	if len(h.boundaries) == 0 {
		return 0
	}
	return h.boundaries[len(h.boundaries)-1].Epoch
}

// commitAfter returns the highest commit seq in the records that follow a bad
// one, found by the length that the bad one claims. They must carry the seqs
// that would follow, so nothing else can be taken for them.
func commitAfter(b []byte, h *history) protocol.Seq {
	var commit protocol.Seq
	for seq := h.last.Seq + 1; ; seq++ {
		r, n, err := record.Parse(b)
		if errors.Is(err, record.ErrCorrupt) {
			n, err = record.Peek(b)
		} else if err == nil {
			if r.Group != h.group || r.Seq != seq {
				return commit
			}
			commit = max(commit, r.Commit)
		}
		if err != nil || n > len(b) {
			return commit
		}
		b = b[n:]
	}
}

// hasMark tells whether there is a sound mark at or behind byte from.
func hasMark(b []byte, seed uint32, from int64) bool {
	magic := binary.LittleEndian.AppendUint32(nil, markMagic)
	for from < int64(len(b)) {
		i := bytes.Index(b[from:], magic)
		if i < 0 {
			return false
		}
		from += int64(i)
		if _, ok := parseMark(b[from:], seed, from); ok {
			return true
		}
		from++
	}
	return false
}

func isZero(b []byte) bool {
	for len(b) >= len(zeroChunk) {
		if !bytes.Equal(b[:len(zeroChunk)], zeroChunk[:]) {
			return false
		}
		b = b[len(zeroChunk):]
	}
	return bytes.Equal(b, zeroChunk[:len(b)])
}

// zeroChunk is what unwritten parts of a segment are compared with.
var zeroChunk [4096]byte
