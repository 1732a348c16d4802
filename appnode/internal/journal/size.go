package journal

import "understudy.example/pkg/protocol"

// BytesAfter returns about how many bytes of the journal hold records after seq,
// or all of its bytes where it no longer reaches back to seq. It is exact to the
// stride of the index, and never waits for the disk.
func (j *Journal) BytesAfter(seq protocol.Seq) int64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	var n int64
	for _, s := range j.segments {
		switch {
		case s.first == 0 || s.last <= seq:
		case s.first > seq:
			n += s.end - segmentHeaderSize
		default:
			n += s.end - s.seek(seq+1)
		}
	}
	return n
}
