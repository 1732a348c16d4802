package journal

import (
	"errors"
	"path/filepath"
	"time"

	"understudy.example/pkg/disk"
)

// fullPause is how long after a disk was found full it is not tried again: a
// try fills the disk up to its end.
const fullPause = time.Second

// preparation is the making of the next segment, ahead of its use. Its fields
// but done may be read once done is closed.
type preparation struct {
	done    chan struct{}
	segment *segment
	err     error
	ended   time.Time
}

// prepare begins to make the segment after the last. The caller holds turn.
func (j *Journal) prepare(size int64) {
	p := &preparation{done: make(chan struct{})}
	j.next = p
	index := j.current().header.index + 1
	generation := j.generation
	j.preparing.Go(func() {
		defer close(p.done)
		p.segment, p.err = j.o.makeSegment("journal prepare", generation, index, size, j.stop)
		p.ended = time.Now()
	})
}

// current returns the segment that is written to. Only the holder of turn
// replaces it.
func (j *Journal) current() *segment { return j.segments[len(j.segments)-1] }

// needNext waits until the next segment is there and takes a batch of n bytes.
// The caller holds turn.
func (j *Journal) needNext(n int64) error {
	size := max(j.o.SegmentBytes, segmentHeaderSize+MarkSize+n)
	if j.next != nil {
		<-j.next.done
		switch p := j.next; {
		case p.err == nil && p.segment.size-segmentHeaderSize-MarkSize >= n:
			return nil
		case p.err != nil && (!disk.IsFull(p.err) || time.Since(p.ended) < fullPause):
			return p.err
		}
		if err := j.dropNext(); err != nil {
			return err
		}
	}
	j.prepare(size)
	<-j.next.done
	return j.next.err
}

// dropNext ends the preparation and removes what it made. The caller holds turn.
func (j *Journal) dropNext() error {
	p := j.next
	if p == nil {
		return nil
	}
	<-p.done
	j.next = nil
	if p.segment == nil {
		return nil
	}
	h := p.segment.header
	return errors.Join(p.close(), j.o.FS.Remove("journal prepare", filepath.Join(j.o.Dir, segmentName(h.generation, h.index))))
}

func (p *preparation) close() error {
	if p == nil || p.segment == nil {
		return nil
	}
	return p.segment.file.Close()
}
