package disk

import (
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"
)

// sector is what a disk writes wholly or not at all, in bytes.
const sector = 512

// node is a file or a directory, apart from its name.
type node struct {
	dir     bool
	entries map[string]*node // a directory's names, as a process sees them
	durable map[string]*node // those that a power cut leaves

	data  []byte // a file's contents, as a process sees them
	saved []byte // those that a power cut leaves
	dirty []run  // sectors of data that may differ from saved, in any order
}

// run is the sectors from first on, before end.
type run struct{ first, end int }

func newDir() *node {
	return &node{dir: true, entries: map[string]*node{}, durable: map[string]*node{}}
}

// edit sets a name in a directory, or removes it where to is nil.
type edit struct {
	dir  *node
	name string
	to   *node
}

// change is one atomic change of names: a creation, a removal, a rename.
type change []edit

func (c change) apply(names func(dir *node) map[string]*node) {
	for _, e := range c {
		if e.to == nil {
			delete(names(e.dir), e.name)
		} else {
			names(e.dir)[e.name] = e.to
		}
	}
}

func (c change) touches(dirs map[*node]bool) bool {
	for _, e := range c {
		if dirs[e.dir] {
			return true
		}
	}
	return false
}

func (c change) mark(dirs map[*node]bool) {
	for _, e := range c {
		dirs[e.dir] = true
	}
}

// change makes a change of names, not durable yet. The caller holds mu.
func (m *Mem) change(edits ...edit) {
	change(edits).apply(func(d *node) map[string]*node { return d.entries })
	m.pending = append(m.pending, edits)
}

// SyncDir implements FS. With the changes of the directory go earlier ones of
// other directories that they build upon, and no more.
func (m *Mem) SyncDir(_, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.find("syncdir", name)
	if err != nil {
		return err
	}
	if n == nil || !n.dir {
		return pathError("syncdir", name, fs.ErrNotExist)
	}
	if err := m.step(); err != nil {
		return err
	}
	dirs := map[*node]bool{n: true}
	chosen := make([]bool, len(m.pending))
	for i := len(m.pending) - 1; i >= 0; i-- {
		if chosen[i] = m.pending[i].touches(dirs); chosen[i] {
			m.pending[i].mark(dirs)
		}
	}
	var rest []change
	for i, c := range m.pending {
		if chosen[i] {
			c.apply(func(d *node) map[string]*node { return d.durable })
		} else {
			rest = append(rest, c)
		}
	}
	m.pending = rest
	return nil
}

// find returns the directory of a name, its last element and what stands there,
// nil if nothing does. The caller holds mu.
func (m *Mem) find(op, name string) (dir *node, base string, n *node, err error) {
	if m.off {
		return nil, "", nil, ErrPowerOff
	}
	dir, n = m.root, m.root
	base = "/"
	for part := range strings.SplitSeq(filepath.ToSlash(filepath.Clean("/"+name)), "/") {
		if part == "" {
			continue
		}
		if n == nil || !n.dir {
			return nil, "", nil, pathError(op, name, fs.ErrNotExist)
		}
		dir, base, n = n, part, n.entries[part]
	}
	return dir, base, n, nil
}

func (n *node) info(base string) fs.FileInfo {
	return memInfo{base, int64(len(n.data)), n.dir}
}

type memInfo struct {
	name string
	size int64
	dir  bool
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }

func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

func cloneNames(n *node) map[string]*node { return maps.Clone(n.durable) }
