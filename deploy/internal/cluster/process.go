package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Role tells a monitor from a node.
type Role string

// The roles of a process.
const (
	RoleMonitor Role = "monitor"
	RoleNode    Role = "node"
)

// process is one monitor or node, running or not.
type process struct {
	name    string
	role    Role
	address string // host:port
	path    string
	args    []string
	log     string // the file that keeps its output
	output  *shared
	hosts   Hosts // nil: this machine

	mu   sync.Mutex // guards the fields below
	cmd  *exec.Cmd  // the newest; nil before the first start
	gone chan struct{}
	end  string // how the newest ended: its status and its last line
}

// start starts the process, which must not be running, and returns a channel
// that is closed when it has ended and its output is written.
func (p *process) start(s *spawner) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil, fmt.Errorf("%s is running already", p.name)
	}
	file, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	lines := &lineWriter{prefix: p.name + " | ", file: file, out: p.output}
	cmd := exec.CommandContext(context.Background(), p.path, p.args...) // it outlives the caller's context
	cmd.Dir = filepath.Dir(p.log)
	cmd.Stdout, cmd.Stderr = lines, lines
	cmd.WaitDelay = time.Second // a grandchild that holds the pipe
	cmd.SysProcAttr = childAttributes()
	if err := s.start(func() error { return p.begin(cmd) }); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	gone := make(chan struct{})
	p.cmd, p.gone, p.end = cmd, gone, ""
	go func() { // ends with the process
		defer close(gone)
		_ = cmd.Wait() // its outcome is in the process state
		last := lines.end()
		_ = file.Close()
		p.note(cmd.ProcessState, last)
	}()
	return gone, nil
}

// begin starts the command where the process belongs.
func (p *process) begin(cmd *exec.Cmd) error {
	if p.hosts != nil {
		return p.hosts.Start(p.name, cmd)
	}
	return cmd.Start()
}

// note keeps how the process ended.
func (p *process) note(state *os.ProcessState, lastLine string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = state.String()
	if lastLine != "" {
		p.end += ": " + lastLine
	}
}

// running tells whether the newest start has not ended. p.mu is held.
func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// signal sends sig and returns the channel that is closed at the end.
func (p *process) signal(sig syscall.Signal) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil, fmt.Errorf("%s is not running", p.name)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return nil, fmt.Errorf("send %s to %s: %w", sig, p.name, err)
	}
	return p.gone, nil
}

// ended tells how the newest start ended, or "" while it runs.
func (p *process) ended() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// stop asks the process to end and insists after the patience.
func (p *process) stop(patience time.Duration) {
	// A frozen process hears nothing before it goes on.
	_, _ = p.signal(syscall.SIGCONT)
	gone, err := p.signal(syscall.SIGTERM)
	if err != nil {
		return // it is not running
	}
	select {
	case <-gone:
	case <-time.After(patience):
		_, _ = p.signal(syscall.SIGKILL)
		<-gone
	}
}
