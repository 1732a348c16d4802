package journal

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// stride is how many bytes of a segment may lie between two entries of its
// index, but for a batch that is longer.
const stride = 16 << 10

// segment is an open segment file. Its first, last, end and index are guarded
// by the journal's mu; a batch beyond end is not durable yet.
type segment struct {
	header segmentHeader
	file   disk.File
	seed   uint32
	size   int64        // bytes of the file
	first  protocol.Seq // 0 while it holds no record
	last   protocol.Seq
	end    int64 // where the next batch goes
	index  []entry
}

// entry says where a batch begins.
type entry struct {
	first protocol.Seq
	at    int64
}

func segmentName(generation, index uint64) string {
	return fmt.Sprintf("segment-%08x-%08x", generation, index)
}

// parseSegmentName returns what segmentName was given.
func parseSegmentName(name string) (generation, index uint64, ok bool) {
	n, err := fmt.Sscanf(name, "segment-%08x-%08x", &generation, &index)
	return generation, index, err == nil && n == 2 && segmentName(generation, index) == name
}

// room returns how many bytes of records fit in another batch.
func (s *segment) room() int64 { return s.size - s.end - MarkSize }

// note adds a durable batch to what the segment knows of itself.
func (s *segment) note(m mark, at int64) {
	if s.first == 0 {
		s.first = m.first
	}
	s.last = m.first + protocol.Seq(m.count) - 1
	s.end = at + MarkSize + int64(m.length)
	if n := len(s.index); n == 0 || at-s.index[n-1].at >= stride {
		s.index = append(s.index, entry{m.first, at})
	}
}

// seek returns the place of a batch at or before the one that holds seq.
func (s *segment) seek(seq protocol.Seq) int64 {
	i, found := slices.BinarySearchFunc(s.index, seq, func(e entry, seq protocol.Seq) int {
		return cmp.Compare(e.first, seq)
	})
	if !found {
		i--
	}
	if i < 0 {
		return segmentHeaderSize
	}
	return s.index[i].at
}

// makeSegment creates a segment file, really filled with zeros, so that a later
// datasync has no metadata to write, and durable under its name before it is
// used. halt, when closed, ends the filling early.
func (o *Options) makeSegment(op string, generation, index uint64, size int64, halt <-chan struct{}) (*segment, error) {
	h := segmentHeader{group: o.Group, generation: generation, index: index}
	// The error is always nil: the program ends where there is no randomness.
	_, _ = rand.Read(h.salt[:])
	name := filepath.Join(o.Dir, segmentName(generation, index))
	err := disk.Replace(o.FS, op, name, func(w io.Writer) error {
		if _, err := w.Write(h.encode()); err != nil {
			return err
		}
		return writeZeros(w, size-segmentHeaderSize, halt)
	})
	if err != nil {
		return nil, err
	}
	return o.openSegment(h, size)
}

func (o *Options) openSegment(h segmentHeader, size int64) (*segment, error) {
	name := filepath.Join(o.Dir, segmentName(h.generation, h.index))
	f, err := o.FS.OpenFile("journal segment", name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	return &segment{header: h, file: f, seed: h.seed(), size: size, end: segmentHeaderSize}, nil
}

func writeZeros(w io.Writer, n int64, halt <-chan struct{}) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		select {
		case <-halt:
			return ErrClosed
		default:
		}
		part := min(n, int64(len(zeros)))
		if _, err := w.Write(zeros[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
