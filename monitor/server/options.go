// Package server is the monitor's daemon: the registry, the coordinator that
// judges, the proxy, and the HTTP interface that they answer on.
package server

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/monitor/internal/peers"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/protocol"
)

// Options is the monitor's configuration.
type Options struct {
	Name      string // letters, digits, '-', '_' and '.', at most 64
	Listen    string // host:port of the one port
	Advertise string // host:port under which others reach it; empty: Listen
	Data      string // the data directory
	// Peers are all monitors that begin a registry together, this one among them.
	// Empty: this one begins alone; others may be added to it later.
	Peers []Peer
	// Settings are the cluster's settings at its birth. Later the registry's
	// hold, and a difference is logged.
	Settings protocol.Settings
	Insecure bool // allow a listen address that is not loopback
	// AllowKill lets operators have this process stand still, by Freeze.
	AllowKill bool
	Freeze    func(d time.Duration) error
	// Hook is who outside is told of changes of the primary, and that there is no
	// spare to take the place of a missing member.
	Hook Hook

	// The seams: a monitor in a test brings its own.
	Network  daemon.Network
	Protocol protocol.MonitorConfig
	Log      zerolog.Logger
}

// Peer is a monitor by its name, and the host:port under which the others reach it.
type Peer = peers.Peer

// ParsePeers reads a list of the form m1=host:port,m2=host:port.
func ParsePeers(text string) ([]Peer, error) {
	var out []Peer
	for item := range strings.SplitSeq(text, ",") {
		name, address, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || name == "" || address == "" {
			return nil, fmt.Errorf("%q is not of the form NAME=host:port", item)
		}
		out = append(out, Peer{Name: name, Address: address})
	}
	return out, nil
}

// DefaultOptions returns the options that the promises are stated for.
func DefaultOptions() Options {
	return Options{
		Name:     "m1",
		Listen:   "127.0.0.1:8080",
		Settings: protocol.DefaultSettings(),
		Freeze:   daemon.Freeze,
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
	if err := o.Hook.validate(); err != nil {
		return err
	}
	if err := o.validatePeers(); err != nil {
		return err
	}
	if err := daemon.CheckAddress("-advertise", o.Advertise); o.Advertise != "" && err != nil {
		return err
	}
	return daemon.CheckListen(o.Listen, o.Insecure)
}

// validatePeers checks that this monitor and all others can mean the same by the
// list.
func (o Options) validatePeers() error {
	seen := map[string]bool{}
	for _, p := range o.Peers {
		switch _, _, err := net.SplitHostPort(p.Address); {
		case !nameForm.MatchString(p.Name):
			return fmt.Errorf("peer %q: use 1 to 64 letters, digits, '-', '_' and '.'", p.Name)
		case err != nil:
			return fmt.Errorf("peer %s: %q is not host:port", p.Name, p.Address)
		case seen[p.Name] || seen[p.Address]:
			return fmt.Errorf("peer %s=%s is listed twice", p.Name, p.Address)
		case p.Name == o.Name && o.Advertise != "" && o.Advertise != p.Address:
			return fmt.Errorf("-peers says that %s is at %s, and -advertise %s: say the same", p.Name, p.Address, o.Advertise)
		}
		seen[p.Name], seen[p.Address] = true, true
	}
	if len(o.Peers) > 0 && !seen[o.Name] {
		return fmt.Errorf("-peers lists all monitors, and %s is not among them: add %s=%s", o.Name, o.Name, o.address())
	}
	return nil
}

// address is where the others reach this monitor.
func (o Options) address() string {
	if o.Advertise != "" {
		return o.Advertise
	}
	for _, p := range o.Peers {
		if p.Name == o.Name {
			return p.Address
		}
	}
	return o.Listen
}
