// Package command understands the client's command line, carries out its one
// action and turns the outcome into an exit code.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"understudy.example/client/internal/api"
	"understudy.example/pkg/problem"
)

// Process is what the client has of its process.
type Process struct {
	Args   []string // without the name of the program
	Env    func(string) string
	Stdin  io.Reader
	Stdout io.Writer // results
	Stderr io.Writer // everything else
}

// Run carries out the action of the command line and returns the exit code:
// 0 done, 1 failed, 2 usage, 3 unavailable, 4 refused.
func (p Process) Run(ctx context.Context) int {
	in, err := parseArgs(p.Args, p.Env, p.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return problem.ExitDone
	case err != nil:
		p.complain(err)
		return problem.ExitUsage
	}
	c := api.New(in.monitors, in.timeout, func(notice string) { fmt.Fprintln(p.Stderr, "client: "+notice) })
	defer c.Close()
	err = action{Process: p, in: in, api: c}.run(ctx)
	if err != nil {
		p.complain(err)
	}
	return exitCode(err)
}

func (p Process) complain(err error) { fmt.Fprintln(p.Stderr, "client: "+err.Error()) }

func exitCode(err error) int {
	if err == nil {
		return problem.ExitDone
	}
	if _, ok := errors.AsType[*api.Unreachable](err); ok {
		return problem.ExitUnavailable
	}
	return problem.CodeOf(err).Meaning().Exit
}
