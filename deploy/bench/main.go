// Command bench measures a cluster: bench load tells throughput and latency,
// bench failover what clients see when the primary is taken away, bench resync
// what they see while an empty node is filled, bench topology what a chain of
// standbys saves and costs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `bench measures a cluster that it starts for the purpose:

  bench load      throughput and latency of reads and writes
  bench failover  takes the primary away under load, in several ways, and judges what clients saw
  bench resync    fills an empty node under load, and tells what writers waited for it
  bench topology  compares a star of standbys with a chain
  bench idle      what a cluster costs that nobody asks anything
  bench heartbeats  what the heartbeats of many simulated nodes cost a monitor

bench load -help and so on list the flags.
`

// errUsage marks a command line that is wrong.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "bench: "+err.Error())
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name what to measure: load, failover, resync, topology, idle or heartbeats", errUsage)
	}
	switch args[0] {
	case "load":
		return runLoad(ctx, args[1:], stdout, stderr)
	case "failover":
		return runFailover(ctx, args[1:], stdout, stderr)
	case "resync":
		return runResync(ctx, args[1:], stdout, stderr)
	case "topology":
		return runTopology(ctx, args[1:], stdout, stderr)
	case "idle":
		return runIdle(ctx, args[1:], stdout, stderr)
	case "heartbeats":
		return runHeartbeats(ctx, args[1:], stdout, stderr)
	case "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return fmt.Errorf("%w: %q is not known: load, failover, resync, topology, idle or heartbeats", errUsage, args[0])
}
