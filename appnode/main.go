// Command appnode runs one node of Understudy: a replica of the map that serves
// it as primary, or follows the primary as standby.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"understudy.example/appnode/server"
	"understudy.example/pkg/daemon"
)

func main() { os.Exit(daemon.Main(os.Args[1:], os.Stderr, "appnode", options, server.Run)) }

// options reads the command line and the environment.
func options(args []string, stderr io.Writer) (server.Options, error) {
	o := server.DefaultOptions()
	fs := flag.NewFlagSet("appnode", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.Name, "name", o.Name, "unique `name` of this node")
	fs.StringVar(&o.Listen, "listen", o.Listen, "`host:port` to listen on")
	fs.StringVar(&o.Advertise, "advertise", o.Advertise, "`host:port` under which others reach this node (default: -listen)")
	fs.StringVar(&o.Data, "data", o.Data, "data `directory`; it belongs to this node alone")
	monitors := fs.String("monitors", strings.Join(o.Monitors, ","), "`host:port,…` of every monitor")
	profile := fs.String("profile", "", "`file` with the profile of the map, used when the group is born")
	fs.IntVar(&o.Priority, "priority", o.Priority, "as a candidate: 0 (never promoted) to 100")
	fsync := fs.String("fsync", "always", "always, or none: a power cut may then lose acknowledged writes")
	fs.BoolVar(&o.AllowKill, "allow-kill", o.AllowKill, "answer POST /v1/kill by ending this process at once, and /v1/freeze by standing still")
	fs.DurationVar(&o.HeartbeatInterval, "heartbeat-interval", o.HeartbeatInterval, "time between two heartbeats")
	fs.DurationVar(&o.HandOff, "hand-off", o.HandOff, "how long to hand over before stopping (0s: just stop)")
	fs.Int64Var(&o.MaxBytes, "max-bytes", o.MaxBytes, "limit of the map in memory, in bytes (0: none)")
	fs.Int64Var(&o.SnapshotBytes, "snapshot-bytes", o.SnapshotBytes, "journal written between two snapshots, in bytes; more where the map is larger than that")
	fs.BoolVar(&o.Insecure, "insecure", o.Insecure, "allow an address that is not loopback, although nothing is encrypted or asked for")
	format := fs.String("log-format", "console", "console or json")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	if err := daemon.ParseFlags(fs, args); err != nil {
		return o, err
	}
	o.Monitors = list(*monitors)
	switch *fsync {
	case "always":
	case "none":
		o.Fsync = false
	default:
		return o, fmt.Errorf("-fsync %q is not known: always or none", *fsync)
	}
	if *profile != "" {
		text, err := os.ReadFile(*profile)
		if err != nil {
			return o, fmt.Errorf("read the profile: %w", err)
		}
		o.Profile = text
	}
	var err error
	o.Log, err = daemon.NewLogger(stderr, *format, *level)
	o.Kill, o.Freeze = crash, daemon.Freeze
	return o, err
}

// crash ends this process as kill -9 would: nothing is flushed, nobody is told.
func crash() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL) // it does not return
}

// list splits a comma-separated flag.
func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
