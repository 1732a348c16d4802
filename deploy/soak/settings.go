package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"understudy.example/pkg/daemon"
)

// usageError is a command line that is wrong.
type usageError struct{ error }

// settings are the flags.
type settings struct {
	kills, nodes, copies, writers int
	seed                          uint64
	dir                           string
	simulate                      time.Duration // 0: kill processes instead
	starts                        int           // of three monitors at once; 0: kill processes instead
	steady                        time.Duration // under load, with nothing taken away; 0: kill processes instead
}

func parseSettings(args []string, help io.Writer) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.SetOutput(help)
	fs.IntVar(&s.kills, "kills", 100, "how many processes to kill, or, one in four, to freeze for a while")
	fs.IntVar(&s.nodes, "nodes", 2, "nodes of the cluster, `1 to 9`")
	fs.IntVar(&s.copies, "want-copies", 0, "nodes that hold a copy; the others are spares, who step in after a second (default: all)")
	fs.IntVar(&s.writers, "writers", 4, "concurrent writers")
	fs.Uint64Var(&s.seed, "seed", 0, "of who is killed when, or the first of the simulation (default: a random one)")
	fs.DurationVar(&s.simulate, "simulate", 0, "run the simulation for so `long`, on every processor, such as 10m, and kill nothing")
	fs.IntVar(&s.starts, "starts", 0, "start three monitors at once so `often`, such as 50, tell when one of them leads, and kill nothing")
	fs.DurationVar(&s.steady, "steady", 0, "keep three monitors and the nodes under full load for so `long`, such as 10m, tell of every election, and kill nothing")
	fs.StringVar(&s.dir, "dir", "", "`directory` for data and logs, which is kept (default: a temporary one, kept after a failure)")
	if err := daemon.ParseFlags(fs, args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, usageError{err}
	}
	switch {
	case s.simulate < 0:
		return s, usageError{fmt.Errorf("-simulate %s is out of range: at least 1s, or 0 to kill processes", s.simulate)}
	case s.starts < 0 || s.starts > 0 && s.simulate > 0:
		return s, usageError{fmt.Errorf("-starts %d is out of range: at least 1, without -simulate, or 0 to kill processes", s.starts)}
	case s.steady < 0 || s.steady > 0 && (s.simulate > 0 || s.starts > 0):
		return s, usageError{fmt.Errorf("-steady %s is out of range: at least 1s, without -simulate and -starts, or 0 to kill processes", s.steady)}
	case s.kills < 1:
		return s, usageError{fmt.Errorf("-kills %d is out of range: at least 1", s.kills)}
	case s.nodes < 1 || s.nodes > 9:
		return s, usageError{fmt.Errorf("-nodes %d is out of range: 1 to 9", s.nodes)}
	case s.copies < 0 || s.copies > s.nodes:
		return s, usageError{fmt.Errorf("-want-copies %d is out of range: 1 to -nodes (%d)", s.copies, s.nodes)}
	case s.writers < 1 || s.writers > 1000:
		return s, usageError{fmt.Errorf("-writers %d is out of range: 1 to 1000", s.writers)}
	}
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	return s, nil
}
