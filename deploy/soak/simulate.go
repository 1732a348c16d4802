package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// simulation is the package whose tests hold the simulation.
const simulation = "understudy.example/pkg/protocol"

// simulate builds the simulation and runs it for as long as asked. What it finds,
// it tells itself: the story of the smallest failing world, and how to run that
// again.
func simulate(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "understudy-simulation-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "simulation")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, simulation).CombinedOutput(); err != nil {
		return fmt.Errorf("build the simulation: %w\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, program, "-test.run", "^TestLongSimulation$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), "UNDERSTUDY_SIM_FOR="+s.simulate.String(), "UNDERSTUDY_SIM_FROM="+strconv.FormatUint(s.seed, 10))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, new(*exec.ExitError)):
		return fmt.Errorf("in the simulation: %w", errViolated)
	case err != nil:
		return fmt.Errorf("run the simulation: %w", err)
	}
	fmt.Fprintf(stdout, "ok: simulated from seed %d for %s\n", s.seed, s.simulate)
	return nil
}
