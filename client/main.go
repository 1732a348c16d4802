// Command client updates, reads and controls an Understudy cluster through its
// monitors. client -help lists its actions.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"understudy.example/client/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Process{
		Args: os.Args[1:], Env: os.Getenv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}.Run(ctx)
	stop()
	os.Exit(code)
}
