package main

import (
	"flag"
	"fmt"
	"io"
	"time"

	"understudy.example/pkg/protocol"
)

// settings are the flags.
type settings struct {
	nodes, monitors, groups int
	copies                  int // wanted; 0: of all nodes
	dir, profile, topology  string
	reads                   string
	respawn                 time.Duration
	port                    int
	logLevel                string
}

func parseSettings(args []string, help io.Writer) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("local", flag.ContinueOnError)
	fs.SetOutput(help)
	fs.IntVar(&s.nodes, "nodes", 2, "nodes to run, `1 to 9`: app1, app2, …")
	fs.IntVar(&s.copies, "want-copies", 0, "nodes that hold a copy; the others are spares (default: all)")
	fs.IntVar(&s.monitors, "monitors", 1, "monitors to run, `1 to 5`: m1, m2, …; a majority of them decides")
	fs.IntVar(&s.groups, "groups", 1, "groups of the cluster: `1` in this release")
	fs.StringVar(&s.topology, "topology", protocol.Star, "way of records to the standbys: `star`, from the primary to each, or chain, from one to the next")
	fs.StringVar(&s.reads, "reads", protocol.ReadsPrimary, "who answers reads that come through a monitor: the `primary`, or spread: all replicas in sync, in turn")
	fs.StringVar(&s.dir, "dir", "", "`directory` for data and logs, which is kept (default: a temporary one, removed at the end)")
	fs.DurationVar(&s.respawn, "respawn", 3*time.Second, "how long after its end a node is started again, and a monitor of several; 0 for never")
	fs.IntVar(&s.port, "port", 8080, "port of the first monitor; the nodes have those that follow")
	fs.StringVar(&s.profile, "profile", "", "`file` of the nodes' profile (default: a sample person record)")
	fs.StringVar(&s.logLevel, "log-level", "info", "level of the launcher's own log")
	if err := parse(fs, args); err != nil {
		return s, err
	}
	switch {
	case s.monitors < 1 || s.monitors > 5:
		return s, usageError{fmt.Errorf("-monitors %d is out of range: 1 to 5", s.monitors)}
	case s.groups != 1:
		return s, usageError{fmt.Errorf("-groups %d is not possible in this release: 1", s.groups)}
	case s.nodes < 1 || s.nodes > 9:
		return s, usageError{fmt.Errorf("-nodes %d is out of range: 1 to 9", s.nodes)}
	case s.copies < 0 || s.copies > s.nodes:
		return s, usageError{fmt.Errorf("-want-copies %d is out of range: 1 to -nodes (%d)", s.copies, s.nodes)}
	case s.topology != protocol.Star && s.topology != protocol.Chain:
		return s, usageError{fmt.Errorf("-topology %q is not known: %s or %s", s.topology, protocol.Star, protocol.Chain)}
	case s.reads != protocol.ReadsPrimary && s.reads != protocol.ReadsSpread:
		return s, usageError{fmt.Errorf("-reads %q is not known: %s or %s", s.reads, protocol.ReadsPrimary, protocol.ReadsSpread)}
	case s.port < 1 || s.port > 65000:
		return s, usageError{fmt.Errorf("-port %d is out of range: 1 to 65000", s.port)}
	case s.respawn < 0:
		return s, usageError{fmt.Errorf("-respawn %s is negative: give a duration such as 3s, or 0 for never", s.respawn)}
	}
	return s, nil
}
