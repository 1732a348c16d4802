package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"understudy.example/pkg/problem"
)

// Main runs a daemon's command line until it ends or SIGINT or SIGTERM comes,
// and returns the exit code. options reads the arguments, which follow the
// program's name; what is wrong is told on stderr, as a sentence.
func Main[O interface{ Validate() error }](args []string, stderr io.Writer, name string,
	options func(args []string, stderr io.Writer) (O, error), run func(context.Context, O) error,
) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer paceHeap()()
	o, err := options(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return problem.ExitDone
	}
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err) // nowhere else to say it
		return problem.ExitUsage
	}
	if err := run(ctx, o); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return problem.ExitFailed
	}
	return problem.ExitDone
}
