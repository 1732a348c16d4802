package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

const cutName = "cut"

// Cut removes every record above after, durably, once they have been set aside
// in a file of back-to-back records. It refuses to cut below a snapshot, and changes
// nothing where the disk has no room for it, with an error for which disk.IsFull is
// true. After any other error the journal may be of no use any more; see Err.
func (j *Journal) Cut(after protocol.Seq) (Aside, error) {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if err := j.Err(); err != nil {
		return Aside{}, err
	}
	last := j.Last()
	if after >= last.Seq {
		return Aside{}, nil
	}
	j.mu.RLock()
	floor := max(j.snapshot.Seq, j.writingAt)
	j.mu.RUnlock()
	if after < floor || after+1 < j.First() {
		return Aside{}, fmt.Errorf("the journal cannot be cut after record %d: the snapshot holds those up to %d", after, floor)
	}
	aside, err := j.asideRecords(after+1, last.Seq)
	if err != nil {
		return Aside{}, fmt.Errorf("set records from %d aside: %w", after+1, err)
	}
	noted, err := j.cutAt(after)
	if !noted && disk.IsFull(err) {
		// It is tried again, and sets the same records aside then.
		return Aside{}, errors.Join(err, j.o.FS.Remove("journal aside", aside.File))
	}
	if err != nil {
		return aside, j.fail(fmt.Errorf("cut after record %d: %w", after, err))
	}
	return aside, nil
}

// cutAt notes the cut, and then cuts what the journal knows of its files and the
// files, in this order, so that no reader is sent to where they are being wiped.
func (j *Journal) cutAt(after protocol.Seq) (noted bool, err error) {
	i := slices.IndexFunc(j.segments, func(s *segment) bool { return s.first > 0 && after < s.last })
	s := j.segments[i]
	b, err := s.find(after + 1)
	if err != nil {
		return false, err
	}
	c := cutIntent{generation: j.generation, index: s.header.index, offset: b.at}
	if b.mark.count > 0 {
		c.keep(b.mark, s.seed, b.at)
	}
	if err := j.dropNext(); err != nil { // which makes room for the note, too
		return false, err
	}
	if err := j.o.note(c); err != nil {
		return false, err
	}
	gone := j.forget(after, i, c.offset)
	if err := errors.Join(j.o.carryOut(c), closeAll(gone)); err != nil {
		return true, err
	}
	j.prepare(j.o.SegmentBytes)
	return true, nil
}

// forget makes segment i the last, and after, which ends at byte end of it, the
// last record. It returns the segments that are no longer there.
func (j *Journal) forget(after protocol.Seq, i int, end int64) (gone []*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	epoch, _ := epochAt(j.boundaries, after)
	gone = j.segments[i+1:]
	j.segments = slices.Clone(j.segments[:i+1])
	j.segments[i].shorten(after, end)
	j.last = protocol.Position{Epoch: epoch, Seq: after}
	j.boundaries = slices.DeleteFunc(slices.Clone(j.boundaries), func(b protocol.Boundary) bool { return b.First > after })
	j.shape++
	return gone
}

// find returns where the batch with the record at seq begins, and the mark of
// the part of it that comes before the record.
func (s *segment) find(seq protocol.Seq) (batch, error) {
	at := s.seek(seq)
	b := make([]byte, s.end-at)
	if _, err := s.file.ReadAt(b, at); err != nil {
		return batch{}, err
	}
	for from := at; ; {
		m, ok := parseMark(b[at-from:], s.seed, at)
		if !ok {
			return batch{}, fmt.Errorf("%w: no mark at byte %d of the segment", record.ErrCorrupt, at)
		}
		next := at + MarkSize + int64(m.length)
		if m.first+protocol.Seq(m.count) <= seq {
			at = next
			continue
		}
		kept := mark{first: m.first}
		err := record.Each(b[at-from+MarkSize:next-from], func(r record.Record, raw []byte) error {
			if r.Seq < seq {
				kept.count++
				kept.length += uint32(len(raw))
			}
			return nil
		})
		return batch{kept, at}, err
	}
}

// shorten forgets the records above after; end is where those up to it end.
func (s *segment) shorten(after protocol.Seq, end int64) {
	s.end, s.last = end, after
	s.index = slices.DeleteFunc(s.index, func(e entry) bool { return e.first > after })
	if s.first > after {
		s.first, s.last = 0, 0
	}
}

// keep makes the cut leave the given part of the batch at at.
func (c *cutIntent) keep(m mark, seed uint32, at int64) {
	m.put(c.mark[:], seed, at)
	c.markAt = at
	c.offset = at + MarkSize + int64(m.length)
}

// cut notes what is to be done and does it.
func (o *Options) cut(c cutIntent) error {
	if err := o.note(c); err != nil {
		return err
	}
	return o.carryOut(c)
}

// note notes what is to be done. From then on it will be done, at the next opening if
// not now. An error for which disk.IsFull is true says that there is no note.
func (o *Options) note(c cutIntent) error {
	err := disk.WriteFile(o.FS, "journal cut", filepath.Join(o.Dir, cutName), c.encode())
	if disk.IsFull(err) {
		if there := o.removeAll("journal cut", []string{cutName}); there != nil {
			return fmt.Errorf("take back the note of a cut: %w", there)
		}
	}
	return err
}

// finishCut finishes a cut that the process before had begun.
func (o *Options) finishCut() error {
	b, err := disk.ReadFile(o.FS, "journal open", filepath.Join(o.Dir, cutName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := parseCutIntent(cutName, b)
	if err != nil {
		return err
	}
	o.Log.Info().Uint64("segment", c.index).Int64("offset", c.offset).Msg("finishing an interrupted cut of the journal")
	return o.carryOut(c)
}

func (o *Options) carryOut(c cutIntent) error {
	if err := o.wipe(c); err != nil {
		return err
	}
	names, err := o.FS.ReadDir("journal cut", o.Dir)
	if err != nil {
		return err
	}
	var later []string
	for _, n := range slices.Backward(names) {
		if g, i, ok := parseSegmentName(n.Name()); ok && g == c.generation && i > c.index {
			later = append(later, n.Name())
		}
	}
	if err := o.removeAll("journal cut", later); err != nil {
		return err
	}
	// The note must be gone for good before anything new is written, which
	// doing the cut again would destroy.
	return o.removeAll("journal cut", []string{cutName})
}

// wipe writes the shortened batch's mark, and zeros from the cut on where there
// is anything else.
func (o *Options) wipe(c cutIntent) (err error) {
	name := segmentName(c.generation, c.index)
	f, err := o.FS.OpenFile("journal cut", filepath.Join(o.Dir, name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return corrupt("%s is missing, which was being cut", name)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if c.markAt > 0 {
		if _, err := f.WriteAt(c.mark[:], c.markAt); err != nil {
			return err
		}
	}
	if err := wipeFrom(f, c.offset, size); err != nil {
		return err
	}
	return f.Sync("journal cut")
}

func wipeFrom(f disk.File, at, size int64) error {
	b := make([]byte, 64<<10)
	for at < size {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		if !isZero(b) {
			clear(b)
			if _, err := f.WriteAt(b, at); err != nil {
				return err
			}
		}
		at += int64(len(b))
	}
	return nil
}

func closeAll(segments []*segment) error {
	var errs []error
	for _, s := range segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}
