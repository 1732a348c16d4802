//go:build !linux

package netns

import (
	"errors"
	"os/exec"
)

var errNotHere = errors.New("this system has no network namespaces: Linux has")

type machine struct{}

func (*machine) close() error { return nil }

// New makes a network.
func New() (*Network, error) { return nil, errNotHere }

// Add adds a host.
func (*Network) Add(string) (*Host, error) { return nil, errNotHere }

// Up brings the host's end of its cable up or down.
func (*Host) Up(bool) error { return errNotHere }

// Start starts a command on the host.
func (*Host) Start(*exec.Cmd) error { return errNotHere }
