package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"understudy.example/pkg/disk"
)

// Open opens the journal in a directory, or makes an empty one. It finishes a
// cut that was under way, sets aside a batch that an interrupted write left
// unfinished, and makes everything durable that it found, for the process
// before may have died between a write and its sync.
//
// Where the files cannot be trusted there is no journal, no error, and
// Opened.Corrupt says why. An error means that they could not be read or
// repaired.
func Open(o Options) (*Journal, Opened, error) {
	if err := o.complete(); err != nil {
		return nil, Opened{}, err
	}
	if o.Failed != "" {
		return nil, Opened{Corrupt: o.Failed}, nil
	}
	j, opened, err := o.open()
	if reason, ok := reasonOf(err); ok {
		return nil, Opened{Corrupt: reason}, nil
	}
	if err != nil {
		return nil, Opened{}, fmt.Errorf("open journal %s: %w", o.Dir, err)
	}
	return j, opened, nil
}

func (o *Options) open() (*Journal, Opened, error) {
	if err := disk.MakeDir(o.FS, "journal open", o.Dir); err != nil {
		return nil, Opened{}, err
	}
	// Names that the process before left in the cache must not vanish after
	// they have been acted on.
	if err := o.FS.SyncDir("journal open", o.Dir); err != nil {
		return nil, Opened{}, err
	}
	if err := o.finishCut(); err != nil {
		return nil, Opened{}, err
	}
	s, err := scanDir(o)
	if err != nil {
		return nil, Opened{}, err
	}
	opened := Opened{Commit: s.history.commit}
	if s.torn {
		if opened.Torn, s, err = s.repair(); err != nil {
			return nil, Opened{}, err
		}
	}
	j, err := s.journal()
	return j, opened, err
}

// repair sets a torn tail aside, cuts it off, and scans again.
func (s *scan) repair() (Aside, *scan, error) {
	aside, err := s.asideTorn()
	if err != nil {
		return aside, nil, err
	}
	f := s.files[s.end]
	c := cutIntent{generation: s.generation, index: f.header.index, offset: f.found.end}
	if kept := f.found.kept; kept.count > 0 {
		c.keep(kept, f.header.seed(), f.found.end)
	}
	if err := s.o.cut(c); err != nil {
		return aside, nil, err
	}
	again, err := scanDir(s.o)
	if err != nil {
		return aside, nil, err
	}
	if again.torn || again.history.last != s.history.last {
		return aside, nil, fmt.Errorf("%s cannot be repaired: what was written to it is not what it reads", f.name)
	}
	return aside, again, nil
}

// journal opens the files that the scan found good, and removes the others.
func (s *scan) journal() (*Journal, error) {
	j := &Journal{
		o: *s.o, opened: time.Now(),
		turn: make(chan struct{}, 1), snapshots: make(chan struct{}, 1), stop: make(chan struct{}),
		generation: s.generation, last: s.history.last, boundaries: s.history.boundaries,
	}
	if s.snapshot != nil {
		j.snapshot = s.snapshot.Position
	}
	if err := s.openSegments(j); err != nil {
		for _, g := range j.segments {
			err = errors.Join(err, g.file.Close())
		}
		return nil, errors.Join(err, j.next.close())
	}
	if j.next == nil {
		j.prepare(j.o.SegmentBytes)
	}
	return j, nil
}

func (s *scan) openSegments(j *Journal) error {
	for i, f := range s.files {
		if i > s.end+1 {
			s.leftovers = append(s.leftovers, f.name)
			continue
		}
		g, err := j.o.openSegment(f.header, f.size)
		if err != nil {
			return err
		}
		if i > s.end {
			j.next = ready(g)
			continue
		}
		j.segments = append(j.segments, g)
		for _, b := range f.found.batches {
			g.note(b.mark, b.at)
		}
		if err := g.file.Sync("journal open"); err != nil {
			return fmt.Errorf("sync %s: %w", f.name, err)
		}
	}
	if err := s.o.removeAll("journal open", s.leftovers); err != nil {
		return err
	}
	if len(j.segments) > 0 {
		return nil
	}
	g, err := j.o.makeSegment("journal segment", j.generation, 0, j.o.SegmentBytes, nil)
	if err == nil {
		j.segments = append(j.segments, g)
	}
	return err
}

// ready is the preparation of a segment that is there already.
func ready(s *segment) *preparation {
	p := &preparation{done: make(chan struct{}), segment: s}
	close(p.done)
	return p
}

// removeAll removes files of the journal's directory, durably, in the given
// order.
func (o *Options) removeAll(op string, names []string) error {
	for _, name := range names {
		err := o.FS.Remove(op, filepath.Join(o.Dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		o.Log.Debug().Str("file", name).Msg("journal file removed")
	}
	if len(names) == 0 {
		return nil
	}
	return o.FS.SyncDir(op, o.Dir)
}
