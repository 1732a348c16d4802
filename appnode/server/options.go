// Package server is the node's daemon: one locked data directory, its replicas,
// the heartbeats that it sends and the HTTP interface that it answers on.
package server

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

// Options is the node's configuration.
type Options struct {
	Name      string   // unique in the cluster: letters, digits, '-', '_' and '.', at most 64
	Listen    string   // host:port of the one port
	Advertise string   // host:port under which others reach it; empty: Listen
	Data      string   // the data directory
	Monitors  []string // host:port of every monitor
	// Profile is the JSON of the profile that the group gets if it is born
	// here; nil for none.
	Profile  []byte
	Priority int // as a candidate: 0 (never) to 100
	// Fsync says whether a write is synced before it counts as durable. Without
	// it, a power cut may lose acknowledged writes.
	Fsync             bool
	AllowKill         bool // answer POST /v1/kill
	HeartbeatInterval time.Duration
	MaxBytes          int64 // of the map in memory; 0: no limit
	SnapshotBytes     int64 // of journal between two snapshots
	SegmentBytes      int64 // of a file of the journal; 0: 16 MiB
	Insecure          bool  // allow a listen address that is not loopback

	// The seams: a node in a test brings its own.
	Network  daemon.Network
	Files    Files
	Protocol protocol.ReplicaConfig
	// Kill ends the process at once, as a crash would, and Freeze has it stand
	// still for a while.
	Kill   func()
	Freeze func(time.Duration) error
	// HandOff bounds how long a node that is told to stop hands over what it
	// has; 0: it just stops.
	HandOff time.Duration
	Log     zerolog.Logger
}

// Files is the file system that a node keeps its data in.
type Files = disk.FS

// DefaultOptions returns the options that the promises are stated for.
func DefaultOptions() Options {
	return Options{
		Listen:            "127.0.0.1:8081",
		Monitors:          []string{"127.0.0.1:8080"},
		Priority:          protocol.DefaultPriority,
		Fsync:             true,
		HeartbeatInterval: time.Duration(protocol.DefaultSettings().HeartbeatInterval),
		SnapshotBytes:     64 << 20,
		Network:           daemon.TCP(),
		Files:             disk.OS(),
		Protocol:          protocol.DefaultReplicaConfig(),
		Kill:              func() {},
		Freeze:            func(time.Duration) error { return errors.New("this process cannot be frozen") },
		HandOff:           5 * time.Second,
		Log:               zerolog.Nop(),
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Validate checks every option and the relations between them.
func (o Options) Validate() error {
	switch {
	case o.Name == "":
		return errors.New("a node needs a name: -name app1")
	case !nameForm.MatchString(o.Name):
		return fmt.Errorf("name %q: use 1 to 64 letters, digits, '-', '_' and '.'", o.Name)
	case o.Data == "":
		return errors.New("a node needs a data directory: -data DIR")
	case len(o.Monitors) == 0:
		return errors.New("a node needs at least one monitor: -monitors host:port")
	case o.Priority < 0 || o.Priority > 100:
		return fmt.Errorf("priority %d is out of range: 0 (never promoted) to 100", o.Priority)
	case o.HeartbeatInterval < 10*time.Millisecond || o.HeartbeatInterval > 10*time.Second:
		return fmt.Errorf("heartbeat-interval %s is out of range: 10ms to 10s", o.HeartbeatInterval)
	case o.SnapshotBytes < 1<<16:
		return fmt.Errorf("snapshot-bytes %d is too small: at least 65536", o.SnapshotBytes)
	case o.HandOff < 0 || o.HandOff > time.Minute:
		return fmt.Errorf("hand-off %s is out of range: 0s (just stop) to 1m", o.HandOff)
	case o.MaxBytes < 0:
		return fmt.Errorf("max-bytes %d is negative: 0 means no limit", o.MaxBytes)
	}
	if o.Profile != nil {
		if _, err := store.ParseProfile(o.Profile); err != nil {
			return err
		}
	}
	for _, address := range o.Monitors {
		if err := daemon.CheckAddress("-monitors", address); err != nil {
			return err
		}
	}
	if err := daemon.CheckAddress("-advertise", o.Advertise); o.Advertise != "" && err != nil {
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
