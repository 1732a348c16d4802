package cluster

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// processes lists what is to run, with its command lines: the monitors first.
func processes(opts Options, monitors, nodes []string) ([]*process, error) {
	var output *shared
	if opts.Output != nil {
		output = &shared{w: opts.Output}
	}
	var all []*process
	add := func(name string, role Role, address, path string, flags ...string) {
		flags = append([]string{"-name", name, "-listen", address, "-data", filepath.Join(opts.Dir, name)}, flags...)
		all = append(all, &process{
			name: name, role: role, address: address, path: path, args: flags,
			log: filepath.Join(opts.Dir, name+".log"), output: output, hosts: opts.Hosts,
		})
	}
	for i, address := range monitors {
		flags := append([]string{"-want-copies", strconv.Itoa(opts.WantCopies), "-allow-kill"}, opts.MonitorFlags...)
		if len(monitors) > 1 {
			flags = append(flags, "-peers", peers(monitors))
		}
		add(monitorName(i), RoleMonitor, address, opts.Binaries.Monitor, flags...)
	}
	for i, address := range nodes {
		name := nodeName(i)
		flags := []string{"-profile", opts.Profile, "-allow-kill"}
		routed, err := opts.routed(name, address, monitors)
		if err != nil {
			return nil, err
		}
		add(name, RoleNode, address, opts.Binaries.Appnode, append(append(flags, routed...), opts.NodeFlags...)...)
	}
	return all, nil
}

// peers lists the monitors as each of them is told.
func peers(monitors []string) string {
	var all []string
	for i, address := range monitors {
		all = append(all, monitorName(i)+"="+address)
	}
	return strings.Join(all, ",")
}

func monitorName(i int) string { return "m" + strconv.Itoa(i+1) }

func nodeName(i int) string { return "app" + strconv.Itoa(i+1) }

// routed returns the flags that tell a node how to reach the monitors, and how
// others reach it.
func (o *Options) routed(name, address string, monitors []string) ([]string, error) {
	if o.Route == nil || o.Hosts != nil {
		return []string{"-monitors", strings.Join(monitors, ",")}, nil
	}
	var ways []string
	for i, m := range monitors {
		way, err := o.Route(name, monitorName(i), m)
		if err != nil {
			return nil, fmt.Errorf("the way from %s to %s: %w", name, monitorName(i), err)
		}
		ways = append(ways, way)
	}
	way, err := o.Route("", name, address)
	if err != nil {
		return nil, fmt.Errorf("the way to %s: %w", name, err)
	}
	return []string{"-monitors", strings.Join(ways, ","), "-advertise", way}, nil
}
