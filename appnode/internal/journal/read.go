package journal

import (
	"errors"
	"fmt"
	"slices"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/protocol"
)

// Read returns whole records from seq from on, back to back as they were
// written, and the seq of the last of them: at most limit bytes, but at least
// one record. It uses the room of buf if that is enough. From behind the end it
// returns nothing and from-1; from before First it returns ErrTrimmed. It
// returns durable records only, may run beside every other call, and may stop
// short of limit where a segment ends.
func (j *Journal) Read(from protocol.Seq, buf []byte, limit int) ([]byte, protocol.Seq, error) {
	for {
		v, err := j.look(from)
		if err != nil {
			return nil, 0, err
		}
		if v.segment == nil {
			return buf[:0], from - 1, nil
		}
		out, last, err := v.read(from, buf, limit)
		if j.changedSince(v) {
			// Records have left the journal meanwhile, perhaps these.
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read record %d: %w", from, err)
		}
		return out, last, nil
	}
}

// view is the part of a segment in which to look for a record.
type view struct {
	segment *segment
	at, end int64
	shape   uint64
}

func (j *Journal) look(from protocol.Seq) (view, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if from < j.first() {
		return view{}, ErrTrimmed
	}
	for _, s := range slices.Backward(j.segments) {
		if s.first > 0 && s.first <= from && from <= s.last {
			return view{s, s.seek(from), s.end, j.shape}, nil
		}
	}
	return view{}, nil
}

func (j *Journal) changedSince(v view) bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.shape != v.shape
}

func (v view) read(from protocol.Seq, buf []byte, limit int) ([]byte, protocol.Seq, error) {
	whole := int(v.end - v.at)
	for n := min(whole, min(max(limit, 0), whole)+stride); ; n = min(whole, 2*n) {
		buf = slices.Grow(buf[:0], n)[:n]
		if _, err := v.segment.file.ReadAt(buf, v.at); err != nil {
			return nil, 0, err
		}
		out, last, err := extract(buf, v.segment.seed, v.at, from, limit)
		if err != nil || len(out) > 0 {
			return out, last, err
		}
		if n == whole {
			return nil, 0, fmt.Errorf("%w: it is not where the index says", record.ErrCorrupt)
		}
	}
}

// extract moves the records from seq from on to the start of b, which holds the
// bytes of a segment from the mark at at on, perhaps not to the end of a batch.
// It returns none if the first that is wanted is not wholly in b.
func extract(b []byte, seed uint32, at int64, from protocol.Seq, limit int) ([]byte, protocol.Seq, error) {
	out, last := b[:0], from-1
	for r := 0; len(b)-r >= MarkSize; {
		m, ok := parseMark(b[r:], seed, at+int64(r))
		if !ok {
			return nil, 0, fmt.Errorf("%w: no mark at byte %d of the segment", record.ErrCorrupt, at+int64(r))
		}
		r += MarkSize
		end := r + int(m.length)
		if m.first+protocol.Seq(m.count) <= from {
			r = end
			continue
		}
		for r < end {
			rec, n, err := record.Parse(b[r:min(end, len(b))])
			if errors.Is(err, record.ErrShort) {
				return out, last, nil
			}
			if err != nil {
				return nil, 0, err
			}
			if rec.Seq >= from {
				if len(out) > 0 && len(out)+n > limit {
					return out, last, nil
				}
				out = append(out, b[r:r+n]...)
				last = rec.Seq
			}
			r += n
		}
	}
	return out, last, nil
}
