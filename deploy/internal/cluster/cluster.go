// Package cluster runs a whole cluster on this machine as child processes:
// for people, for end-to-end tests and for benchmarks.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	maxNodes    = 9
	maxMonitors = 5
	// patience is how long a process may take to end by itself.
	patience = 5 * time.Second
)

// Options says what cluster to run. Dir and Binaries are required.
type Options struct {
	Binaries Binaries
	Nodes    int // 1 to 9, named app1, app2, …
	Monitors int // 1 to 5, named m1, m2, …: a majority of them decides
	// WantCopies is how many replicas are to be in sync; 0 for all nodes.
	WantCopies int
	// Dir holds data directories, logs (NAME.log) and the sample profile. It is
	// made where it is missing, and not removed.
	Dir string
	// Port is the first monitor's; the others follow it. 0 for free ports.
	Port int
	// Respawn is how long after its end a node is started again, and a monitor where
	// there are several; 0 for never.
	Respawn time.Duration
	Profile string // file of the nodes' profile; "" for a sample
	// MonitorFlags and NodeFlags are added to the command lines.
	MonitorFlags, NodeFlags []string
	// Route, if any, returns the address under which the process from reaches
	// the process to, which listens on address: for a test that stands between
	// them. from is "" for how everybody reaches a node. It is asked before
	// anything starts, and not for monitors that reach each other.
	Route func(from, to, address string) (string, error)
	// Hosts, if any, are machines of their own for the processes, in place of this
	// one. Route is then not asked.
	Hosts  Hosts
	Output io.Writer // gets every line of every process; nil for none
	Log    zerolog.Logger
}

func (o *Options) complete() error {
	if o.WantCopies == 0 {
		o.WantCopies = o.Nodes
	}
	switch {
	case o.Nodes < 1 || o.Nodes > maxNodes:
		return fmt.Errorf("%d nodes are not possible here: 1 to %d", o.Nodes, maxNodes)
	case o.Monitors < 1 || o.Monitors > maxMonitors:
		return fmt.Errorf("%d monitors are not possible here: 1 to %d", o.Monitors, maxMonitors)
	case o.WantCopies < 1 || o.WantCopies > o.Nodes:
		return fmt.Errorf("%d copies on %d nodes are not possible: 1 to %d", o.WantCopies, o.Nodes, o.Nodes)
	case o.Port < 0 || o.Port > 65535-maxMonitors*monitorStep:
		return fmt.Errorf("port %d is out of range: 1 to %d, or 0 for free ones", o.Port, 65535-maxMonitors*monitorStep)
	case o.Respawn < 0:
		return fmt.Errorf("a node cannot be started again %s after its end: give a positive duration, or 0 for never", o.Respawn)
	}
	return nil
}

// Hosts are machines that processes, given by name, run on. Its methods may be
// called concurrently.
type Hosts interface {
	// Address returns the host:port for the process to listen on.
	Address(process string) string
	// Start starts the command of the process on its machine.
	Start(process string, cmd *exec.Cmd) error
}

// Cluster is a running cluster. Its methods may be called concurrently.
type Cluster struct {
	opts      Options
	processes []*process // monitors first
	spawner   *spawner
	http      *http.Client

	closing chan struct{} // closed by Close
	closed  func()
	watch   sync.WaitGroup // the watchers of running processes
	mu      sync.Mutex     // guards starting against closing
}

// Start starts all processes of a new cluster. It does not wait until they are
// ready: see [Cluster.WaitReady]. A taken port is found before anything starts.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	monitors, nodes, err := plan(ctx, opts)
	if err != nil {
		return nil, err
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the cluster's directory: %w", err)
	}
	if opts.Profile, err = profileFile(opts.Dir, opts.Profile); err != nil {
		return nil, err
	}
	all, err := processes(opts, monitors, nodes)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		opts:      opts,
		processes: all,
		spawner:   newSpawner(),
		http:      &http.Client{Timeout: time.Second, Transport: &http.Transport{}},
		closing:   make(chan struct{}),
	}
	c.closed = sync.OnceFunc(c.close)
	for _, p := range c.processes {
		if err := c.start(p); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close ends all processes, the monitors first so that nothing fails over, and
// waits for them: each is killed when it takes more than 5 s.
func (c *Cluster) Close() { c.closed() }

func (c *Cluster) close() {
	c.mu.Lock()
	close(c.closing)
	c.mu.Unlock()
	for _, role := range []Role{RoleMonitor, RoleNode} {
		var stopping sync.WaitGroup
		for _, p := range c.processes {
			if p.role == role {
				stopping.Go(func() { p.stop(patience) })
			}
		}
		stopping.Wait()
	}
	c.watch.Wait()
	c.spawner.close()
	c.http.CloseIdleConnections()
}

var errClosed = errors.New("the cluster has been closed")

// start starts p and watches it.
func (c *Cluster) start(p *process) error {
	c.mu.Lock() // so that nothing starts once Close has begun
	defer c.mu.Unlock()
	select {
	case <-c.closing:
		return errClosed
	default:
	}
	gone, err := p.start(c.spawner)
	if err != nil {
		return err
	}
	c.watch.Go(func() { c.watchEnd(p, gone) })
	return nil
}

// comesBack tells whether a process is started again after its end.
func (c *Cluster) comesBack(p *process) bool {
	return c.opts.Respawn > 0 && (p.role == RoleNode || c.opts.Monitors > 1)
}

// watchEnd tells that a process has ended, and starts it again where that is wanted.
func (c *Cluster) watchEnd(p *process, gone <-chan struct{}) {
	<-gone
	select {
	case <-c.closing:
		return
	default:
	}
	again := c.comesBack(p)
	c.opts.Log.Warn().Str("process", p.name).Str("status", p.ended()).Bool("again", again).Dur("after", c.opts.Respawn).Msg("process ended")
	if !again {
		return
	}
	select {
	case <-c.closing:
		return
	case <-time.After(c.opts.Respawn):
	}
	if err := c.start(p); err != nil {
		if !errors.Is(err, errClosed) {
			c.opts.Log.Error().Err(err).Str("process", p.name).Msg("process not started again")
		}
		return
	}
	c.opts.Log.Info().Str("process", p.name).Int("pid", p.pid()).Msg("process started again")
}
