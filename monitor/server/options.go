// Package server is the monitor's daemon: the registry, the coordinator that
// judges, the proxy, and the HTTP interface that they answer on.
package server

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/rs/zerolog"

	"understudy.example/pkg/daemon"
	"understudy.example/pkg/protocol"
)

// Options is the monitor's configuration.
type Options struct {
	Name      string // letters, digits, '-', '_' and '.', at most 64
	Listen    string // host:port of the one port
	Advertise string // host:port under which others reach it; empty: Listen
	Data      string // the data directory
	// Settings are the cluster's settings at its birth. Later the registry's
	// hold, and a difference is logged.
	Settings protocol.Settings
	Insecure bool // allow a listen address that is not loopback

	// The seams: a monitor in a test brings its own.
	Network  daemon.Network
	Protocol protocol.MonitorConfig
	Log      zerolog.Logger
}

// DefaultOptions returns the options that the promises are stated for.
func DefaultOptions() Options {
	return Options{
		Name:     "m1",
		Listen:   "127.0.0.1:8080",
		Settings: protocol.DefaultSettings(),
		Network:  daemon.TCP(),
		Protocol: protocol.DefaultMonitorConfig(),
		Log:      zerolog.Nop(),
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Validate checks every option and the relations between them.
func (o Options) Validate() error {
	switch {
	case !nameForm.MatchString(o.Name):
		return fmt.Errorf("name %q: use 1 to 64 letters, digits, '-', '_' and '.'", o.Name)
	case o.Data == "":
		return errors.New("a monitor needs a data directory: -data DIR")
	}
	if err := o.Settings.Validate(); err != nil {
		return err
	}
	return daemon.CheckListen(o.Listen, o.Insecure)
}

func (o Options) address() string {
	if o.Advertise != "" {
		return o.Advertise
	}
	return o.Listen
}
