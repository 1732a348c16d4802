// Command soak kills the processes of a cluster at random moments, under load,
// and checks after each round that no promise was broken. With -simulate it runs
// the simulation of the protocol instead, which needs no processes; with -starts it
// starts three monitors at once, again and again; with -steady it takes nothing away
// and requires that nobody is elected under load. Each takes minutes and is no part
// of the tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(usageError)):
		fmt.Fprintln(os.Stderr, "soak: "+err.Error())
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak: "+err.Error())
		os.Exit(1)
	}
}
