package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"understudy.example/pkg/daemon"
)

// maxClients bounds the clients of a measurement.
const maxClients = 10_000

// common are the flags of both measurements.
type common struct {
	nodes int
	form  string
}

func newFlags(name string, help io.Writer, c *common) *flag.FlagSet {
	fs := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	fs.SetOutput(help)
	fs.IntVar(&c.nodes, "nodes", 2, "nodes of the cluster to start, `1 to 9`")
	fs.StringVar(&c.form, "o", "table", "form of the results: `table or json`")
	return fs
}

// parse reads the flags and checks the common ones.
func (c *common) parse(fs *flag.FlagSet, args []string) error {
	if err := daemon.ParseFlags(fs, args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case c.form != "table" && c.form != "json":
		return fmt.Errorf("%w: -o %q is not known: table or json", errUsage, c.form)
	case c.nodes < 1 || c.nodes > 9:
		return fmt.Errorf("%w: -nodes %d is out of range: 1 to 9", errUsage, c.nodes)
	}
	return nil
}

// words reads a comma-separated list of known words.
func words(name, list string, known ...string) ([]string, error) {
	chosen := strings.Split(list, ",")
	for _, w := range chosen {
		if !slices.Contains(known, w) {
			return nil, fmt.Errorf("%w: -%s: %q is not known: %s", errUsage, name, w, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// numbers reads a comma-separated list of whole numbers from 1 to most.
func numbers(name, list string, most int) ([]int, error) {
	var all []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("%w: -%s: %q is not a whole number from 1 to %d", errUsage, name, s, most)
		}
		all = append(all, n)
	}
	return all, nil
}
