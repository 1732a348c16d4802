package disk

import (
	"io/fs"
	"sync"
)

// Faulty wraps a file system for tests: it makes chosen operations fail or
// wait. Calls of a File that carry no operation name have that of the file's
// OpenFile followed by " read", " write" or " truncate".
type Faulty struct {
	FS

	mu    sync.Mutex // guards the fields below
	fails map[string]*failure
	holds map[string]chan struct{}
	calls map[string]int
}

type failure struct {
	countdown int // calls that still go well
	err       error
	forever   bool
}

// NewFaulty returns a wrapped file system without any fault.
func NewFaulty(under FS) *Faulty {
	return &Faulty{FS: under, fails: map[string]*failure{}, holds: map[string]chan struct{}{}, calls: map[string]int{}}
}

// Fail makes the nth call from now of an operation fail with err, once; 1 is
// the next.
func (f *Faulty) Fail(op string, nth int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[op] = &failure{countdown: nth - 1, err: err}
}

// FailAlways makes every call of an operation fail with err, until Heal.
func (f *Faulty) FailAlways(op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[op] = &failure{err: err, forever: true}
}

// Heal ends the failing of an operation.
func (f *Faulty) Heal(op string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.fails, op)
}

// Stall makes every call of an operation wait until the returned function is
// called; it must be called once, before the test ends.
func (f *Faulty) Stall(op string) (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds[op] = gate
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.holds, op)
		close(gate)
	}
}

// Calls returns how often an operation has been begun.
func (f *Faulty) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// begin returns the fault that waits for this call, if any.
func (f *Faulty) begin(op string) error {
	f.mu.Lock()
	f.calls[op]++
	gate := f.holds[op]
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := f.fails[op]
	switch {
	case fault == nil:
		return nil
	case fault.forever:
		return fault.err
	case fault.countdown > 0:
		fault.countdown--
		return nil
	}
	delete(f.fails, op)
	return fault.err
}

// OpenFile implements FS.
func (f *Faulty) OpenFile(op, name string, flag int, perm fs.FileMode) (File, error) {
	if err := f.begin(op); err != nil {
		return nil, pathError("open", name, err)
	}
	file, err := f.FS.OpenFile(op, name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f, op: op, name: name}, nil
}

// Rename implements FS.
func (f *Faulty) Rename(op, old, name string) error {
	if err := f.begin(op); err != nil {
		return pathError("rename", old, err)
	}
	return f.FS.Rename(op, old, name)
}

// Remove implements FS.
func (f *Faulty) Remove(op, name string) error {
	if err := f.begin(op); err != nil {
		return pathError("remove", name, err)
	}
	return f.FS.Remove(op, name)
}

// Mkdir implements FS.
func (f *Faulty) Mkdir(op, name string, perm fs.FileMode) error {
	if err := f.begin(op); err != nil {
		return pathError("mkdir", name, err)
	}
	return f.FS.Mkdir(op, name, perm)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(op, name string) error {
	if err := f.begin(op); err != nil {
		return pathError("sync", name, err)
	}
	return f.FS.SyncDir(op, name)
}

type faultyFile struct {
	File
	fs       *Faulty
	op, name string
}

func (f *faultyFile) fault(what, op string) error {
	if err := f.fs.begin(op); err != nil {
		return pathError(what, f.name, err)
	}
	return nil
}

func (f *faultyFile) Read(p []byte) (int, error) {
	if err := f.fault("read", f.op+" read"); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultyFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.fault("read", f.op+" read"); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.fault("write", f.op+" write"); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.fault("write", f.op+" write"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fault("truncate", f.op+" truncate"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Datasync(op string) error {
	if err := f.fault("sync", op); err != nil {
		return err
	}
	return f.File.Datasync(op)
}

func (f *faultyFile) Sync(op string) error {
	if err := f.fault("sync", op); err != nil {
		return err
	}
	return f.File.Sync(op)
}
