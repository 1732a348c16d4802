package disk

import (
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	fs       *Mem
	node     *node
	name     string
	at       int64 // where Read and Write go on
	readOnly bool
	closed   bool
}

func (f *memFile) usable() error {
	if f.fs.off {
		return ErrPowerOff
	}
	if f.closed {
		return pathError("use", f.name, fs.ErrClosed)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.readAt(p, at)
}

func (f *memFile) readAt(p []byte, at int64) (int, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	if at >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Read implements io.Reader.
func (f *memFile) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.readAt(p, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *memFile) WriteAt(p []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.writeAt(p, at)
}

func (f *memFile) writeAt(p []byte, at int64) (int, error) {
	if err := f.writable(); err != nil {
		return 0, err
	}
	if err := f.fs.step(); err != nil {
		return 0, err
	}
	if err := f.grow(at + int64(len(p))); err != nil {
		return 0, err
	}
	copy(f.node.data[at:], p)
	f.node.soil(at, at+int64(len(p)))
	return len(p), nil
}

// Write implements io.Writer.
func (f *memFile) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.writeAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *memFile) writable() error {
	if err := f.usable(); err != nil {
		return err
	}
	if f.readOnly {
		return pathError("write", f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) grow(size int64) error {
	more := size - int64(len(f.node.data))
	if more <= 0 {
		return nil
	}
	if f.fs.room > 0 && f.fs.used+more > f.fs.room {
		return pathError("write", f.name, syscall.ENOSPC)
	}
	f.fs.used += more
	f.node.data = append(f.node.data, make([]byte, more)...)
	return nil
}

// Truncate changes the file's size.
func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.writable(); err != nil {
		return err
	}
	return f.resize(size)
}

func (f *memFile) resize(size int64) error {
	if err := f.fs.step(); err != nil {
		return err
	}
	if err := f.grow(size); err != nil {
		return err
	}
	old := int64(len(f.node.data))
	f.fs.used -= old - size
	f.node.data = slices.Clip(f.node.data[:size])
	f.node.soil(size, old)
	return nil
}

// Datasync makes the contents durable.
func (f *memFile) Datasync(op string) error { return f.Sync(op) }

// Sync makes the contents durable. The file's name is another matter.
func (f *memFile) Sync(string) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.fs.step(); err != nil {
		return err
	}
	f.node.save()
	return nil
}

// Size returns the file's size in bytes.
func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), f.usable()
}

// Close ends the use of the file. It makes nothing durable.
func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

// soil notes that the bytes from from to to may differ from the durable ones.
func (n *node) soil(from, to int64) {
	if from >= to {
		return
	}
	r := run{int(from / sector), int((to + sector - 1) / sector)}
	if k := len(n.dirty); k > 0 && n.dirty[k-1].first <= r.first && r.first <= n.dirty[k-1].end {
		n.dirty[k-1].end = max(n.dirty[k-1].end, r.end) // most writes go on where the last one ended
		return
	}
	n.dirty = append(n.dirty, r)
}

func (n *node) save() {
	n.saved = resized(n.saved, len(n.data))
	for _, r := range n.dirty {
		if end := min(len(n.data), r.end*sector); r.first*sector < end {
			copy(n.saved[r.first*sector:end], n.data[r.first*sector:end])
		}
	}
	n.dirty = n.dirty[:0]
}

// resized returns b cut to size, or filled up with zeros.
func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
