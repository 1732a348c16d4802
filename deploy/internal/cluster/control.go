package cluster

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Info is what people need of a process.
type Info struct {
	Name string
	Role Role
	URL  string
	PID  int // 0: it is not running
}

// Processes lists all processes, the monitors first.
func (c *Cluster) Processes() []Info {
	var all []Info
	for _, p := range c.processes {
		all = append(all, Info{p.name, p.role, "http://" + p.address, p.pid()})
	}
	return all
}

// Monitor returns the first monitor's URL.
func (c *Cluster) Monitor() string { return "http://" + c.processes[0].address }

// Monitors returns the URLs of all monitors.
func (c *Cluster) Monitors() []string {
	var all []string
	for _, p := range c.processes {
		if p.role == RoleMonitor {
			all = append(all, "http://"+p.address)
		}
	}
	return all
}

// Node returns the URL of the named process, or "" where there is none.
func (c *Cluster) Node(name string) string {
	if p, err := c.find(name); err == nil {
		return "http://" + p.address
	}
	return ""
}

// Dir returns the directory with data, logs and profile.
func (c *Cluster) Dir() string { return c.opts.Dir }

// Data returns the data directory of the named process.
func (c *Cluster) Data(name string) string { return filepath.Join(c.opts.Dir, name) }

// Log returns the file that keeps the output of the named process.
func (c *Cluster) Log(name string) string { return filepath.Join(c.opts.Dir, name+".log") }

// Kill ends the named process at once, as kill -9, and waits for its end.
func (c *Cluster) Kill(name string) error { return c.finish(name, syscall.SIGKILL) }

// Terminate asks the named process to end, and waits until it has.
func (c *Cluster) Terminate(name string) error { return c.finish(name, syscall.SIGTERM) }

// Stop freezes the named process until [Cluster.Cont].
func (c *Cluster) Stop(name string) error { return c.signal(name, syscall.SIGSTOP) }

// Cont lets a frozen process go on.
func (c *Cluster) Cont(name string) error { return c.signal(name, syscall.SIGCONT) }

// Start starts the named process again after its end.
func (c *Cluster) Start(name string) error {
	p, err := c.find(name)
	if err != nil {
		return err
	}
	return c.start(p)
}

func (c *Cluster) find(name string) (*process, error) {
	if i := slices.IndexFunc(c.processes, func(p *process) bool { return p.name == name }); i >= 0 {
		return c.processes[i], nil
	}
	var names []string
	for _, p := range c.processes {
		names = append(names, p.name)
	}
	return nil, fmt.Errorf("there is no process %q: %s", name, strings.Join(names, ", "))
}

func (c *Cluster) signal(name string, sig syscall.Signal) error {
	p, err := c.find(name)
	if err != nil {
		return err
	}
	_, err = p.signal(sig)
	return err
}

func (c *Cluster) finish(name string, sig syscall.Signal) error {
	p, err := c.find(name)
	if err != nil {
		return err
	}
	gone, err := p.signal(sig)
	if err != nil {
		return err
	}
	<-gone
	return nil
}
