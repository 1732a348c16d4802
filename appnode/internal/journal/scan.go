package journal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// scan is what the files of a journal say. It is made by reading only.
type scan struct {
	o          *Options
	generation uint64
	snapshot   *Meta
	files      []scanned // the segments that count, oldest first
	leftovers  []string  // names of files that count for nothing
	history    history
	end        int // index in files of the segment where the records end
	torn       bool
}

type scanned struct {
	header segmentHeader
	name   string
	size   int64
	found  found
}

// scanDir reads the journal's directory. Its error is a *corruption if the
// files cannot be trusted.
func scanDir(o *Options) (*scan, error) {
	s := &scan{o: o, generation: 1}
	meta, generation, err := o.checkSnapshot()
	switch {
	case err == nil:
		s.snapshot, s.generation = &meta, generation
	case !errors.Is(err, ErrNoSnapshot):
		return nil, err
	}
	indexes, err := s.list()
	if err != nil {
		return nil, err
	}
	s.history = history{group: o.Group}
	if s.snapshot != nil {
		s.history.known = meta.Position
		s.history.boundaries = meta.Boundaries
		s.history.commit = meta.Position.Seq
	}
	if err := s.walkAll(indexes); err != nil {
		return nil, err
	}
	return s, s.judge()
}

// list returns the indexes of the segments that count: those of the snapshot's
// generation, up to the newest without a gap. Everything else that a journal
// makes is a leftover of something unfinished.
func (s *scan) list() (indexes []uint64, err error) {
	names, err := s.o.FS.ReadDir("journal open", s.o.Dir)
	if err != nil {
		return nil, err
	}
	others := false
	for _, n := range names {
		g, i, ok := parseSegmentName(n.Name())
		switch {
		case ok && g == s.generation:
			indexes = append(indexes, i)
		case ok || strings.HasSuffix(n.Name(), disk.TempSuffix):
			others = others || ok
			s.leftovers = append(s.leftovers, n.Name())
		}
	}
	if len(indexes) == 0 && s.o.Existing && s.snapshot == nil {
		return nil, corrupt("its files are gone: it was made here, and no segment is left of it")
	}
	if len(indexes) == 0 && (others || s.snapshot != nil) {
		return nil, corrupt("no segment of generation %d is there, to which the snapshot belongs", s.generation)
	}
	slices.Sort(indexes)
	// A removal of old segments that a crash interrupted may leave any of them.
	for i := len(indexes) - 1; i > 0; i-- {
		if indexes[i-1] != indexes[i]-1 {
			for _, old := range indexes[:i] {
				s.leftovers = append(s.leftovers, segmentName(s.generation, old))
			}
			return indexes[i:], nil
		}
	}
	return indexes, nil
}

// walkAll walks the segments one after the other to where the records end.
func (s *scan) walkAll(indexes []uint64) error {
	ended := false
	for _, index := range indexes {
		f := scanned{name: segmentName(s.generation, index)}
		b, err := disk.ReadFile(s.o.FS, "journal open", filepath.Join(s.o.Dir, f.name))
		if err != nil {
			return err
		}
		if f.header, err = parseSegmentHeader(f.name, b); err != nil {
			return err
		}
		if f.header.generation != s.generation || f.header.index != index {
			return corrupt("%s says that it is %s", f.name, segmentName(f.header.generation, f.header.index))
		}
		if f.header.group != s.o.Group {
			return fmt.Errorf("%s belongs to group %d, not to group %d", f.name, f.header.group, s.o.Group)
		}
		f.size = int64(len(b))
		before := s.history.last
		f.found = walk(b, f.header.seed(), &s.history)
		if ended && f.found.any() {
			return corrupt("records after %s are damaged, and %s was written later", before, f.name)
		}
		if f.found.later {
			return corrupt("records after %s are damaged, and later ones in %s are not", s.history.last, f.name)
		}
		s.files = append(s.files, f)
		if f.found.any() {
			s.end = len(s.files) - 1
		}
		ended = ended || f.found.tail
	}
	return nil
}

// judge decides whether the whole can be trusted.
func (s *scan) judge() error {
	var begin, beyond protocol.Seq
	for _, f := range s.files {
		s.torn = s.torn || f.found.tail
		beyond = max(beyond, f.found.beyond)
		if begin == 0 {
			begin = f.found.first()
		}
	}
	known, last := s.history.known.Seq, s.history.last.Seq
	if begin == 0 {
		last = known
	}
	switch {
	case begin > known+1:
		return corrupt("the journal begins at record %d, and nothing is left of those from %d on", begin, known+1)
	case last < known:
		return corrupt("the journal ends at record %d, and the snapshot shows that %d was committed", last, known)
	case last < beyond:
		return corrupt("the journal ends at record %d, and a later one shows that %d was committed", last, beyond)
	}
	if begin == 0 {
		s.history.last = s.history.known
	}
	return nil
}

// checkSnapshot reads the snapshot through to its checksum.
func (o *Options) checkSnapshot() (Meta, uint64, error) {
	f, err := openSnapshotFile(o, "journal open")
	if err != nil {
		return Meta{}, 0, err
	}
	_, err = io.Copy(io.Discard, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.meta, f.generation, err
}
