package journal

import (
	"fmt"
	"slices"
	"time"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// Reserve makes sure that a batch of n bytes of records can be written without
// asking the file system for room, and costs next to nothing where there is
// some left. The journal goes on being usable after an error for which
// disk.IsFull is true; any other ends it.
func (j *Journal) Reserve(n int) error {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if err := j.Err(); err != nil {
		return err
	}
	defer j.begin()()
	return j.reserve(int64(n))
}

// begin notes that the disk is being waited for, until the returned function is
// called. The caller holds turn.
func (j *Journal) begin() (end func()) {
	j.writing.Store(int64(time.Since(j.opened)) + 1)
	return func() { j.writing.Store(0) }
}

func (j *Journal) reserve(n int64) error {
	if j.current().room() >= n {
		return nil
	}
	err := j.needNext(n)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("prepare a segment: %w", err)
	if disk.IsFull(err) {
		return err
	}
	return j.fail(err)
}

// Write appends a batch and makes it durable with one write and one sync. The
// first MarkSize bytes of batch are room for the journal's own use; back-to-back
// records follow, with seqs that go on from Last. When it returns nil the whole
// batch is durable.
//
// A batch that does not fit the journal is refused and changes nothing; so is
// one for which the disk has no room, with an error for which disk.IsFull is
// true. After any other error the journal is of no use any more (see Err), and
// whether the batch is there is not known.
func (j *Journal) Write(batch []byte) error {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if err := j.Err(); err != nil {
		return err
	}
	if len(batch) <= MarkSize {
		return fmt.Errorf("a batch of %d bytes holds no record: %d are for the mark", len(batch), MarkSize)
	}
	c, err := j.examine(batch[MarkSize:])
	if err != nil {
		return err
	}
	defer j.begin()()
	if err := j.reserve(int64(c.mark.length)); err != nil {
		return err
	}
	if j.current().room() < int64(c.mark.length) {
		j.rollOver()
	}
	return j.write(batch, c)
}

// candidate is a batch that may be appended.
type candidate struct {
	mark       mark
	last       protocol.Position
	boundaries []protocol.Boundary // those that it adds
}

// examine checks that records are what the journal has to hold next. What goes
// to the disk is parsed once more here, so that nothing gets there that could
// not be read back.
func (j *Journal) examine(records []byte) (candidate, error) {
	j.mu.RLock()
	last := j.last
	j.mu.RUnlock()
	c := candidate{mark: mark{first: last.Seq + 1, length: uint32(len(records))}, last: last}
	err := record.Each(records, func(r record.Record, _ []byte) error {
		if err := follows(&r, j.o.Group, c.last); err != nil {
			return err
		}
		if r.Epoch > c.last.Epoch {
			c.boundaries = append(c.boundaries, protocol.Boundary{Epoch: r.Epoch, First: r.Seq})
		}
		c.last = r.Position()
		c.mark.count++
		return nil
	})
	if err != nil {
		return candidate{}, fmt.Errorf("batch after %s: %w", last, err)
	}
	return c, nil
}

// follows tells whether r may come after the record at last.
func follows(r *record.Record, group protocol.GroupID, last protocol.Position) error {
	switch {
	case r.Group != group:
		return fmt.Errorf("record %s is of group %d, and the journal of group %d", r.Position(), r.Group, group)
	case r.Seq != last.Seq+1 || r.Epoch < last.Epoch:
		return fmt.Errorf("record %s cannot follow %s", r.Position(), last)
	}
	return nil
}

// rollOver makes the prepared segment the current one.
func (j *Journal) rollOver() {
	s := j.next.segment
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	j.prepare(j.o.SegmentBytes)
}

func (j *Journal) write(batch []byte, c candidate) error {
	s := j.current()
	at := s.end
	c.mark.put(batch, s.seed, at)
	if _, err := s.file.WriteAt(batch, at); err != nil {
		return j.fail(fmt.Errorf("write records from %d: %w: %w", c.mark.first, ErrAtRisk, err))
	}
	if !j.o.NoSync {
		wrote := time.Now()
		if err := s.file.Datasync("journal sync"); err != nil {
			return j.fail(fmt.Errorf("sync records from %d: %w: %w", c.mark.first, ErrAtRisk, err))
		}
		if j.o.OnSync != nil {
			j.o.OnSync(time.Since(wrote))
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.note(c.mark, at)
	j.last = c.last
	if len(c.boundaries) > 0 {
		j.boundaries = append(slices.Clip(j.boundaries), c.boundaries...)
	}
	return nil
}
