package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

const snapshotName = "snapshot"

// WriteSnapshot replaces the snapshot by a newer one, durably: after a crash
// there is the old or the new. write writes the state at m.Position, a record
// of this journal that is not older than the present snapshot; m.Boundaries
// are filled in. It runs beside Write and Read, and beside Cut, which does not
// cut below it. It leaves half of the disk's time to them, unless the disk is very
// slow or somebody waits for its end. After a failure the old snapshot and the journal stay as they
// were, but that a failed sync of the directory ends the journal's use.
func (j *Journal) WriteSnapshot(m Meta, write func(io.Writer) error) error {
	j.snapshots <- struct{}{}
	defer func() { <-j.snapshots }()
	if err := j.Err(); err != nil {
		return err
	}
	m, err := j.complete(m)
	if err != nil {
		return err
	}
	if err := j.beginSnapshot(m.Position); err != nil {
		return err
	}
	defer j.endSnapshot()
	temp := filepath.Join(j.o.Dir, snapshotName) + disk.TempSuffix
	err = j.o.writeTemp("journal snapshot", temp, &j.hurry, func(w io.Writer) error {
		return encodeSnapshot(w, j.generation, m, write)
	})
	if err == nil {
		err = j.o.FS.Rename("journal snapshot", temp, filepath.Join(j.o.Dir, snapshotName))
	}
	if err != nil {
		_ = j.o.FS.Remove("journal snapshot", temp) // else the next opening removes it
		return fmt.Errorf("write snapshot at %s: %w", m.Position, err)
	}
	if err := j.o.FS.SyncDir("journal snapshot", j.o.Dir); err != nil {
		return j.fail(fmt.Errorf("sync the directory of the snapshot at %s: %w", m.Position, err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.snapshot = m.Position
	return nil
}

// beginSnapshot keeps records up to p from being cut off while their snapshot
// is written.
func (j *Journal) beginSnapshot(p protocol.Position) error {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	j.mu.Lock()
	defer j.mu.Unlock()
	if e, ok := epochAt(j.boundaries, p.Seq); !ok || e != p.Epoch || p.Seq > j.last.Seq || p.Seq < j.snapshot.Seq {
		return fmt.Errorf("a snapshot at %s does not fit the journal, whose snapshot is at %s and whose end at %s", p, j.snapshot, j.last)
	}
	j.writingAt = p.Seq
	return nil
}

func (j *Journal) endSnapshot() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writingAt = 0
}

// complete fills in the boundaries up to m.Position.
func (j *Journal) complete(m Meta) (Meta, error) {
	if m.Group != j.o.Group {
		return m, fmt.Errorf("a snapshot of group %d does not belong to the journal of group %d", m.Group, j.o.Group)
	}
	all := j.Boundaries()
	n := slices.IndexFunc(all, func(b protocol.Boundary) bool { return b.First > m.Position.Seq })
	if n < 0 {
		n = len(all)
	}
	m.Boundaries = all[:n:n]
	return m, nil
}

// StreamSnapshot writes a snapshot to w, as InstallSnapshot reads it, without
// any file: write writes the state at m.Position, a record of this journal or
// its snapshot's; m.Boundaries are filled in.
func (j *Journal) StreamSnapshot(w io.Writer, m Meta, write func(io.Writer) error) error {
	m, err := j.complete(m)
	if err == nil {
		err = encodeSnapshot(w, 0, m, write)
	}
	if err != nil {
		return fmt.Errorf("stream snapshot at %s: %w", m.Position, err)
	}
	return nil
}

// OpenSnapshot opens the newest snapshot, or returns ErrNoSnapshot. The reader
// gives the state, and io.EOF only if all of it was sound. It stays readable
// when a newer snapshot takes the place of this one.
func (j *Journal) OpenSnapshot() (Meta, io.ReadCloser, error) {
	f, err := openSnapshotFile(&j.o, "journal snapshot")
	if err != nil {
		return Meta{}, nil, err
	}
	return f.meta, f, nil
}

// snapshotFile reads a snapshot from its file.
type snapshotFile struct {
	decoder
	file disk.File
}

func (f *snapshotFile) Close() error { return f.file.Close() }

func openSnapshotFile(o *Options, op string) (*snapshotFile, error) {
	file, err := o.FS.OpenFile(op, filepath.Join(o.Dir, snapshotName), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoSnapshot
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	f := &snapshotFile{decoder: decoder{r: file}, file: file}
	err = f.begin()
	if err == nil && f.meta.Group != o.Group {
		err = fmt.Errorf("the snapshot belongs to group %d, not to group %d", f.meta.Group, o.Group)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// writeTemp fills and syncs a file that is to be renamed: gently until hurry is
// set, at full speed where it is nil.
func (o *Options) writeTemp(op, temp string, hurry *atomic.Bool, fill func(io.Writer) error) (err error) {
	f, err := o.FS.OpenFile(op, temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := fill(&drip{file: f, op: op, hurry: hurry}); err != nil {
		return err
	}
	return f.Sync(op)
}
