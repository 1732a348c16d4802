package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrPowerOff is returned by every call on a Mem whose power is off, or whose
// process has been killed.
var ErrPowerOff = errors.New("the power is off")

// Mem is a file system in memory for tests. It keeps two images: what a process
// sees, and what is durable. PowerCut shows what a new process may find when
// the power failed; Kill what it finds when only the process died.
//
// Its durability is as bad as POSIX allows: written sectors become durable by
// Sync and Datasync of the file and else each by chance, and names by SyncDir
// of their directory; without it a chance prefix of each directory's changes.
type Mem struct {
	mu sync.Mutex // guards everything below, and the nodes
	*state
	off bool
}

// state is what outlives a process.
type state struct {
	root    *node
	pending []change // changes of names that no SyncDir has made durable yet
	locks   map[string]bool
	steps   int // changes made so far
	last    int // the step after which the power goes off; 0 means never
	used    int64
	room    int64 // bytes of files that fit; 0 means no limit
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{state: newState(newDir())} }

func newState(root *node) *state { return &state{root: root, locks: map[string]bool{}} }

// SetRoom bounds the bytes of all files together. Beyond it a file that grows
// gets ENOSPC. Zero lifts the bound.
func (m *Mem) SetRoom(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room = bytes
}

// Used returns the bytes of all files together.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// StopAfter turns the power off once n more changes have been made: writes,
// syncs, creations, renames, removals.
func (m *Mem) StopAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.off = m.steps+n, n == 0
}

// Off tells whether the power is off.
func (m *Mem) Off() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.off
}

// Kill ends the process that uses m, and returns the file system as the next
// process finds it: with everything that was written. Every later call on m
// and its files fails, and its locks are free.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	s := *m.state
	s.locks, s.last = map[string]bool{}, 0
	return &Mem{state: &s}
}

// step counts one change. The caller holds mu.
func (m *Mem) step() error {
	if m.off {
		return ErrPowerOff
	}
	if m.last > 0 && m.steps >= m.last {
		m.off = true
		return ErrPowerOff
	}
	m.steps++
	return nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(_, name string, flag int, _ fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n != nil && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case n != nil && n.dir:
		return nil, pathError("open", name, syscall.EISDIR)
	case n == nil:
		if err := m.step(); err != nil {
			return nil, err
		}
		n = &node{}
		m.change(edit{dir, base, n})
	}
	f := &memFile{fs: m, node: n, name: name, readOnly: flag&(os.O_WRONLY|os.O_RDWR) == 0}
	if flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		if err := f.resize(0); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Rename implements FS.
func (m *Mem) Rename(_, old, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldDir, oldBase, n, err := m.find("rename", old)
	if err != nil {
		return err
	}
	dir, base, there, err := m.find("rename", name)
	if err != nil {
		return err
	}
	if n == nil {
		return pathError("rename", old, fs.ErrNotExist)
	}
	if there != nil && (there.dir || n.dir) {
		return pathError("rename", name, fs.ErrExist)
	}
	if err := m.step(); err != nil {
		return err
	}
	if there != nil {
		m.used -= int64(len(there.data))
	}
	m.change(edit{oldDir, oldBase, nil}, edit{dir, base, n})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(_, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, n, err := m.find("remove", name)
	switch {
	case err != nil:
		return err
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case n.dir && len(n.entries) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	if err := m.step(); err != nil {
		return err
	}
	m.used -= int64(len(n.data))
	m.change(edit{dir, base, nil})
	return nil
}

// Mkdir implements FS.
func (m *Mem) Mkdir(_, name string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, n, err := m.find("mkdir", name)
	if err != nil {
		return err
	}
	if n != nil {
		return pathError("mkdir", name, fs.ErrExist)
	}
	if err := m.step(); err != nil {
		return err
	}
	m.change(edit{dir, base, newDir()})
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(_, name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if n == nil || !n.dir {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	var list []fs.DirEntry
	for base, c := range n.entries {
		list = append(list, fs.FileInfoToDirEntry(c.info(base)))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Stat implements FS.
func (m *Mem) Stat(_, name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, base, n, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return n.info(base), nil
}

// Lock implements FS.
func (m *Mem) Lock(_, name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerOff
	}
	name = filepath.Clean(name)
	if m.locks[name] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
