// Package rival runs other replicated stores on this machine, so that they can
// be put through the same trials: Redis with Sentinel, and etcd. Their programs
// are used where they are installed; nothing of the project needs them.
package rival

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/pkg/wire"
)

// ErrNotFound says that a program is not installed.
var ErrNotFound = errors.New("is not installed")

const (
	// patience is how long a process may take to end by itself.
	patience = 5 * time.Second
	poll     = 20 * time.Millisecond
	// requestTimeout bounds one attempt of a client. Longer would not help: etcd
	// loses what a follower had passed on to a leader that died, and says so only
	// after 5 s.
	requestTimeout = time.Second
)

// Rival is a running store. Its methods may be called concurrently.
type Rival interface {
	// Open returns a client of its own for one goroutine.
	Open() call.Caller
	Primary(ctx context.Context) (name, address string, err error)
	WaitReady(ctx context.Context) error
	Items(ctx context.Context, prefix string) ([]wire.Item, error)
	// Remove deletes the keys, and may delete what sorts between them.
	Remove(ctx context.Context, keys []string) error
	Kill(name string) error
	Terminate(name string) error
	Start(name string) error
	Stop(name string) error
	Cont(name string) error
	// Close ends all its processes.
	Close()
}

var starts = map[string]func(ctx context.Context, dir string) (Rival, error){
	"redis":     startRedis,
	"etcd":      func(ctx context.Context, dir string) (Rival, error) { return startEtcd(ctx, dir) },
	"etcd-fast": func(ctx context.Context, dir string) (Rival, error) { return startEtcd(ctx, dir, fast...) },
}

// Names lists the stores that are known.
func Names() []string { return []string{"redis", "etcd", "etcd-fast"} }

// Start starts the store of a name that is one of [Names] in a directory, and
// waits until it is ready.
func Start(ctx context.Context, name, dir string) (Rival, error) { return starts[name](ctx, dir) }

// program finds an installed program.
func program(name, pack string) (path string, err error) {
	if path, err = exec.LookPath(name); err != nil {
		return "", fmt.Errorf("%s %w: on Debian it is in the package %s", name, ErrNotFound, pack)
	}
	return path, nil
}

// processes are those of one store, by name.
type processes struct {
	all map[string]*process
}

// process is one server, running or not.
type process struct {
	path string
	args []string
	log  string

	mu   sync.Mutex // guards the fields below
	cmd  *exec.Cmd
	gone chan struct{} // closed at the end of cmd
}

func newProcesses() processes { return processes{all: map[string]*process{}} }

// add makes a process that is yet to be started, with a directory of its own.
func (p processes) add(name, dir, path string, args ...string) {
	p.all[name] = &process{path: path, args: args, log: filepath.Join(dir, name+".log")}
}

// startAll starts those that do not run.
func (p processes) startAll() error {
	for name := range p.all {
		if err := p.Start(name); err != nil {
			p.Close()
			return err
		}
	}
	return nil
}

// Start starts a process that does not run.
func (p processes) Start(name string) error {
	one, ok := p.all[name]
	if !ok {
		return fmt.Errorf("there is no process %q", name)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	file, err := os.OpenFile(one.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()                                                      // the child has its own copy
	cmd := exec.CommandContext(context.Background(), one.path, one.args...) // it outlives the caller's context
	cmd.Dir = filepath.Dir(one.log)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	gone := make(chan struct{})
	one.cmd, one.gone = cmd, gone
	go func() { // ends with the process
		defer close(gone)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return nil
}

// signal sends a signal and returns what is closed at the process's end.
func (p processes) signal(name string, sig os.Signal) (<-chan struct{}, error) {
	one, ok := p.all[name]
	if !ok {
		return nil, fmt.Errorf("there is no process %q", name)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.cmd == nil {
		return nil, fmt.Errorf("%s is not running", name)
	}
	if err := one.cmd.Process.Signal(sig); err != nil {
		return nil, fmt.Errorf("send %s to %s: %w", sig, name, err)
	}
	return one.gone, nil
}

// end sends a signal and waits for the process's end.
func (p processes) end(name string, sig os.Signal) error {
	gone, err := p.signal(name, sig)
	if err != nil {
		return err
	}
	select {
	case <-gone:
	case <-time.After(patience):
		if gone, err = p.signal(name, os.Kill); err == nil {
			<-gone
		}
	}
	return nil
}

// Kill ends a process as kill -9 does.
func (p processes) Kill(name string) error { return p.end(name, os.Kill) }

// Terminate asks a process to end, and waits until it has.
func (p processes) Terminate(name string) error { return p.end(name, syscall.SIGTERM) }

// Stop freezes a process until Cont.
func (p processes) Stop(name string) error {
	_, err := p.signal(name, syscall.SIGSTOP)
	return err
}

// Cont lets a frozen process go on.
func (p processes) Cont(name string) error {
	_, err := p.signal(name, syscall.SIGCONT)
	return err
}

// Close kills all processes: what they hold is thrown away.
func (p processes) Close() {
	for name := range p.all {
		_ = p.Kill(name) // it may have ended, or never begun
	}
}

// await polls until done says that nothing is missing.
func await(ctx context.Context, missing func(ctx context.Context) error) error {
	for {
		err := missing(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(poll):
		}
	}
}

// items makes a sorted list of keys and values.
func items(have map[string]string) []wire.Item {
	all := make([]wire.Item, 0, len(have))
	for k, v := range have {
		all = append(all, wire.Item{Key: k, Value: &v})
	}
	slices.SortFunc(all, func(a, b wire.Item) int { return strings.Compare(a.Key, b.Key) })
	return all
}
