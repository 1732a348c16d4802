package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithGoRun lets this process be told to stop when the go command that runs
// it ends: go run passes no SIGTERM on, and would leave a cluster behind.
func endWithGoRun() error {
	parent := os.Getppid()
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(parent) + "/comm")
	if err != nil || string(bytes.TrimSpace(comm)) != "go" {
		return nil // started by a shell, a supervisor or a test, which know how to stop it
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("tie this process to go run: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("go run has ended already")
	}
	return nil
}
