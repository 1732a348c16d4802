// Package disk is the seam between a node and its files. Every call carries an
// operation name, so that a test can fail, stall or cut the power at exactly
// one. OS is the real thing; Mem is a file system in memory that can lose power
// (for tests), and Faulty wraps either to make single operations fail or wait
// (for tests too).
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// FS is what a node asks of a file system. Names are paths as in package os.
// Errors are those of package os: errors.Is with fs.ErrNotExist and the like
// works. All calls may run at the same time.
type FS interface {
	// OpenFile takes the flags of [os.OpenFile]; O_APPEND is not supported.
	OpenFile(op, name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces what may stand at the new name.
	Rename(op, old, name string) error
	// Remove removes a file or an empty directory.
	Remove(op, name string) error
	Mkdir(op, name string, perm fs.FileMode) error
	// ReadDir returns the entries sorted by name.
	ReadDir(op, name string) ([]fs.DirEntry, error)
	Stat(op, name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(op, name string) error
	// Lock takes an exclusive lock without waiting, on a file that it creates.
	// The error wraps ErrLocked if another process, or this one, has it.
	Lock(op, name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.Writer
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Datasync makes the contents durable, and as much of the metadata as is
	// needed to read them back. A failed one must never be repeated: the
	// kernel may have dropped the data and forgotten that it did.
	Datasync(op string) error
	Sync(op string) error
	Truncate(size int64) error
	Size() (int64, error)
}

// ErrLocked is wrapped by Lock's error for a lock that is taken.
var ErrLocked = errors.New("another process uses it")

// IsFull tells whether err says that the file system, or a quota on it, has no
// room left.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// TempSuffix ends the names of files that are not finished. A file with such a
// name counts for nothing and may be removed.
const TempSuffix = ".tmp"

// WriteFile replaces the file name by one with the given contents, durably and
// at once: after a crash at any point it has the old contents or the new.
func WriteFile(fsys FS, op, name string, data []byte) error {
	return Replace(fsys, op, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Replace is WriteFile for contents that are written piece by piece. If fill
// fails the old file stays.
func Replace(fsys FS, op, name string, fill func(io.Writer) error) error {
	temp := name + TempSuffix
	if err := writeTemp(fsys, op, temp, fill); err != nil {
		return errors.Join(err, ignoreMissing(fsys.Remove(op, temp)))
	}
	if err := fsys.Rename(op, temp, name); err != nil {
		return fmt.Errorf("rename %s: %w", temp, err)
	}
	if err := fsys.SyncDir(op, filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", name, err)
	}
	return nil
}

func writeTemp(fsys FS, op, temp string, fill func(io.Writer) error) (err error) {
	f, err := fsys.OpenFile(op, temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", temp, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close %s: %w", temp, cerr)
		}
	}()
	if err := fill(f); err != nil {
		return fmt.Errorf("write %s: %w", temp, err)
	}
	if err := f.Sync(op); err != nil {
		return fmt.Errorf("sync %s: %w", temp, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ReadFile returns the contents of a file.
func ReadFile(fsys FS, op, name string) (data []byte, err error) {
	f, err := fsys.OpenFile(op, name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// MakeDir creates a directory durably, with those above it that are missing.
// One that is there already is fine.
func MakeDir(fsys FS, op, name string) error {
	name = filepath.Clean(name)
	info, err := fsys.Stat(op, name)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is in the way: it is a file, not a directory", name)
	case err == nil:
		// Whoever made it may have died before its name was durable. Where the
		// parent may not even be opened, it was not made by a node.
		if err := fsys.SyncDir(op, filepath.Dir(name)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync directory of %s: %w", name, err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := MakeDir(fsys, op, filepath.Dir(name)); err != nil {
		return err
	}
	if err := fsys.Mkdir(op, name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := fsys.SyncDir(op, filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", name, err)
	}
	return nil
}
