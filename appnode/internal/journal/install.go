package journal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// InstallSnapshot reads a snapshot from r, as StreamSnapshot writes it, and not
// a byte more, and puts it in the place of everything that the journal holds:
// afterwards Last is its position, and no record is there. check may refuse it
// by its meta, before anything is copied. Until the copy is whole, verified and
// durable the old data stays untouched; a crash leaves the old or the new.
// After a failure the journal is as it was, unless Err says that it failed.
func (j *Journal) InstallSnapshot(r io.Reader, check func(Meta) error) (Meta, error) {
	j.hurry.Store(true)
	j.snapshots <- struct{}{}
	j.hurry.Store(false)
	defer func() { <-j.snapshots }()
	if err := j.Err(); err != nil {
		return Meta{}, err
	}
	generation := j.generation + 1
	temp := filepath.Join(j.o.Dir, snapshotName) + disk.TempSuffix
	m, err := j.o.copySnapshot(temp, generation, r, check)
	if err == nil {
		err = j.replace(temp, generation, m)
	}
	if err != nil {
		_ = j.o.FS.Remove("journal install", temp) // else the next opening removes it
		return Meta{}, fmt.Errorf("install snapshot: %w", err)
	}
	return m, nil
}

// copySnapshot copies a snapshot to a file, durably, and verifies it.
func (o *Options) copySnapshot(temp string, generation uint64, r io.Reader, check func(Meta) error) (m Meta, err error) {
	err = o.writeTemp("journal install", temp, nil, func(w io.Writer) error {
		if _, err := w.Write(encodeHead(generation)); err != nil {
			return err
		}
		d := &decoder{r: io.TeeReader(r, &skipper{w: w, skip: headSize})}
		if err := d.begin(); err != nil {
			return err
		}
		m = d.meta
		if m.Group != o.Group {
			return fmt.Errorf("it is of group %d, and the journal of group %d", m.Group, o.Group)
		}
		if err := check(m); err != nil {
			return err
		}
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, d, make([]byte, chunkSize))
		return err
	})
	return m, err
}

// skipper passes on what is written to it but for the first bytes.
type skipper struct {
	w    io.Writer
	skip int
}

func (s *skipper) Write(p []byte) (int, error) {
	drop := min(s.skip, len(p))
	s.skip -= drop
	if drop == len(p) {
		return len(p), nil
	}
	n, err := s.w.Write(p[drop:])
	return drop + n, err
}

// replace puts the snapshot in the file temp in the place of all the journal
// holds. The renaming is the moment of it: the snapshot names the generation of
// the segments that count from then on.
func (j *Journal) replace(temp string, generation uint64, m Meta) error {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if err := j.Err(); err != nil {
		return err
	}
	s, err := j.o.makeSegment("journal install", generation, 0, j.o.SegmentBytes, j.stop)
	if err != nil {
		return err
	}
	if err := j.o.FS.Rename("journal install", temp, filepath.Join(j.o.Dir, snapshotName)); err != nil {
		return errors.Join(err, s.file.Close())
	}
	if err := j.o.FS.SyncDir("journal install", j.o.Dir); err != nil {
		return errors.Join(j.fail(fmt.Errorf("sync the directory: %w", err)), s.file.Close())
	}
	if err := j.dropNext(); err != nil {
		j.o.Log.Warn().Err(err).Msg("a prepared segment could not be removed")
	}
	j.mu.Lock()
	old := j.segments
	j.segments = []*segment{s}
	j.generation = generation
	j.last, j.snapshot = m.Position, m.Position
	j.boundaries = append([]protocol.Boundary(nil), m.Boundaries...)
	j.shape++
	j.mu.Unlock()
	j.prepare(j.o.SegmentBytes)
	if err := j.o.discard("journal install", old); err != nil {
		j.o.Log.Warn().Err(err).Msg("replaced segments could not be removed")
	}
	return nil
}

// discard closes and removes segments that count no more, in order.
func (o *Options) discard(op string, old []*segment) error {
	errs := []error{closeAll(old)}
	var names []string
	for _, s := range old {
		names = append(names, segmentName(s.header.generation, s.header.index))
	}
	return errors.Join(append(errs, o.removeAll(op, names))...)
}
