// Package journal is the durable, ordered log of one group's records, with the
// snapshot file that lets its beginning be trimmed.
//
// A journal is a directory:
//
//	segment-G-N   preallocated files, zero-filled; N counts up within a generation G
//	snapshot      the newest snapshot; it names the generation it belongs to
//	cut           a cut under way, to be finished at the next opening
//	aside/        what was cut off, kept for people; the journal never reads it
//
// DESIGN.md beside this file says why a crash at any point leaves either the
// old state or the new. The operation names that package disk sees are
// "journal write" (the records, at "journal segment write"), "journal sync",
// "journal segment", "journal prepare", "journal cut", "journal aside",
// "journal snapshot", "journal install", "journal trim" and "journal open".
package journal

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// DefaultSegmentBytes is the size of a segment file unless Options says else.
const DefaultSegmentBytes = 16 << 20

// minSegmentBytes keeps a segment big enough for its header and a few records.
const minSegmentBytes = 1 << 10

// ErrAtRisk is wrapped by the error of a write or a sync of records that failed:
// what reached the disk is not known, and a later start must not take what it
// finds for durable.
var ErrAtRisk = errors.New("the disk may have lost records")

// ErrClosed is returned by calls on a journal that has been closed.
var ErrClosed = errors.New("the journal is closed")

// ErrTrimmed is returned by Read for a seq that the journal no longer holds.
var ErrTrimmed = errors.New("the journal no longer reaches back to that record")

// ErrNoSnapshot is returned by OpenSnapshot where none has been written.
var ErrNoSnapshot = errors.New("there is no snapshot")

// Options say where a journal is and how it is written.
type Options struct {
	FS    disk.FS
	Dir   string // made if it is missing
	Group protocol.GroupID
	// SegmentBytes is the size of a segment file; 0 means DefaultSegmentBytes.
	// A batch that does not fit gets a larger one of its own.
	SegmentBytes int64
	// NoSync leaves out the sync of each batch. A power cut may then lose
	// acknowledged records or leave a journal that counts as corrupt.
	NoSync bool
	// Existing tells that the journal was opened here before. Without any file
	// it then counts as corrupt, and not as new.
	Existing bool
	// Failed, if not empty, is why an earlier process gave this journal up. The
	// journal then counts as corrupt.
	Failed string
	// OnSync, if set, is told how long each sync of a batch took.
	OnSync func(time.Duration)
	Log    zerolog.Logger
}

// Opened is what Open found.
type Opened struct {
	// Corrupt, if not empty, says why the journal cannot be trusted. There is
	// no Journal then, and the files are as they were found (but that a cut
	// that had been decided may have been finished).
	Corrupt string
	// Torn tells of a batch that an interrupted write left unfinished.
	Torn Aside
	// Commit is the highest commit seq seen in any record or in the snapshot.
	Commit protocol.Seq
}

// Aside tells what was set aside. The zero value means nothing was.
type Aside struct {
	File    string // the file in the journal's directory aside
	Bytes   int64
	Records int // whole records in it; of a torn tail they are not counted
}

// Journal is the open log of one group. Calls may run at the same time; those
// that change it wait for each other, reads wait for nobody.
type Journal struct {
	o       Options
	opened  time.Time    // origin of writing
	writing atomic.Int64 // when the write under way began, in ns since opened, plus 1; 0 for none

	// turn is held by whoever changes the files of records; snapshots by
	// whoever writes or installs a snapshot, and it is taken first. They are
	// channels and not mutexes because they are held while a disk is waited for.
	turn, snapshots chan struct{}
	hurry           atomic.Bool  // somebody waits for the end of a snapshot's writing
	next            *preparation // the segment after the last; owned by the holder of turn
	preparing       sync.WaitGroup
	stop            chan struct{} // closed by Close

	mu sync.RWMutex // guards the fields below, and the ends and indexes of segments
	// generation is in the names of the segments; a snapshot that is installed
	// begins the next one.
	generation uint64
	segments   []*segment // oldest first, never empty; the last is written to
	last       protocol.Position
	boundaries []protocol.Boundary // replaced, never changed in place
	snapshot   protocol.Position   // that of the newest snapshot; zero for none
	writingAt  protocol.Seq        // that of the snapshot being written
	shape      uint64              // raised when records leave: trim, cut, install
	failed     error
}

func (o *Options) complete() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.FS == nil || o.Dir == "" {
		return errors.New("a journal needs a file system and a directory")
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > 1<<30 {
		return fmt.Errorf("segments of %d bytes are out of range: %d to %d", o.SegmentBytes, minSegmentBytes, 1<<30)
	}
	return nil
}

// Last returns the position of the newest durable record; after a snapshot was
// installed, and no record written yet, the snapshot's.
func (j *Journal) Last() protocol.Position {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.last
}

// First returns the oldest seq that Read can return; Last().Seq+1 for a journal
// that holds no record.
func (j *Journal) First() protocol.Seq {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.first()
}

// first is First for callers that hold mu.
func (j *Journal) first() protocol.Seq {
	for _, s := range j.segments {
		if s.first > 0 {
			return s.first
		}
	}
	return j.last.Seq + 1
}

// Boundaries returns where each epoch began since seq 1, oldest first. The
// caller must not change the slice.
func (j *Journal) Boundaries() []protocol.Boundary {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.boundaries
}

// EpochAt returns the epoch of the record at seq, also of one that has been
// trimmed; false for a seq of which the journal knows nothing.
func (j *Journal) EpochAt(seq protocol.Seq) (protocol.Epoch, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if seq > j.last.Seq {
		return 0, false
	}
	return epochAt(j.boundaries, seq)
}

func epochAt(boundaries []protocol.Boundary, seq protocol.Seq) (protocol.Epoch, bool) {
	for _, b := range slices.Backward(boundaries) {
		if b.First <= seq {
			return b.Epoch, true
		}
	}
	return 0, false
}

// Unsynced returns how long the write under way has been waiting for the disk;
// zero if none is. It never waits itself.
func (j *Journal) Unsynced(now time.Time) time.Duration {
	began := j.writing.Load()
	if began == 0 {
		return 0
	}
	return max(0, now.Sub(j.opened)-time.Duration(began-1))
}

// Err returns the error that ended the journal's usefulness, nil while it is
// well. After a failed write or sync nothing is written any more: what reached
// the disk is not known, and the kernel may have dropped it.
func (j *Journal) Err() error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.failed
}

// fail ends the journal for good, and returns the error that did.
func (j *Journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = err
	}
	return j.failed
}

// Close stops what runs in the background and closes the files. It waits for a
// call that is under way, and so for the disk, or for the reader that a snapshot
// is installed from. It makes nothing durable that was not.
func (j *Journal) Close() error {
	j.hurry.Store(true)
	j.snapshots <- struct{}{}
	defer func() { <-j.snapshots }()
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if j.isStopped() {
		return nil
	}
	close(j.stop)
	_ = j.fail(ErrClosed) // or what it failed with before
	j.preparing.Wait()
	errs := []error{j.next.close()}
	j.next = nil
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

func (j *Journal) isStopped() bool {
	select {
	case <-j.stop:
		return true
	default:
		return false
	}
}
