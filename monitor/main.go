// Command monitor runs a monitor of Understudy: it watches the nodes, proxies
// clients to the primary, and orders a standby to take over.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"understudy.example/monitor/server"
	"understudy.example/pkg/daemon"
)

func main() { os.Exit(daemon.Main(os.Args[1:], os.Stderr, "monitor", options, server.Run)) }

// options reads the command line and the environment.
func options(args []string, stderr io.Writer) (server.Options, error) {
	o := server.DefaultOptions()
	s := &o.Settings
	fs := flag.NewFlagSet("monitor", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.Name, "name", o.Name, "unique `name` of this monitor")
	fs.StringVar(&o.Listen, "listen", o.Listen, "`host:port` to listen on")
	fs.StringVar(&o.Advertise, "advertise", o.Advertise, "`host:port` under which others reach this monitor (default: -listen)")
	fs.StringVar(&o.Data, "data", o.Data, "data `directory`; it belongs to this monitor alone")
	fs.Func("peers", "all monitors that begin a registry together, as `NAME=host:port,…`, this one among them (default: this one alone)", func(text string) (err error) {
		o.Peers, err = server.ParsePeers(text)
		return err
	})
	fs.BoolVar(&o.AllowKill, "allow-kill", o.AllowKill, "answer POST /v1/freeze by standing still")
	fs.BoolVar(&o.Insecure, "insecure", o.Insecure, "allow an address that is not loopback, although nothing is encrypted or asked for")
	fs.StringVar(&o.Hook.Command, "hook-command", "", "shell `command` that is told of changes of the primary, and when no spare is left")
	fs.StringVar(&o.Hook.URL, "webhook", "", "`URL` that is told the same")
	secret := fs.String("webhook-secret-file", "", "`file` with the secret that signs what the webhook is sent")
	fs.DurationVar((*time.Duration)(&s.HeartbeatInterval), "heartbeat-interval", time.Duration(s.HeartbeatInterval), "at birth: how often nodes are expected to be heard")
	fs.DurationVar((*time.Duration)(&s.HeartbeatExpiry), "heartbeat-expiry", time.Duration(s.HeartbeatExpiry), "at birth: silence of a node before it is suspected")
	fs.IntVar(&s.Retries, "retries", s.Retries, "at birth: probes of a suspected node before it is judged")
	fs.DurationVar((*time.Duration)(&s.RetryInterval), "retry-interval", time.Duration(s.RetryInterval), "at birth: time between two of them")
	fs.IntVar(&s.WantCopies, "want-copies", s.WantCopies, "at birth: members of the group")
	fs.IntVar(&s.MinCopies, "min-copies", s.MinCopies, "at birth: replicas in sync below which writes are refused")
	fs.IntVar(&s.Groups, "groups", s.Groups, "at birth, for ever: number of groups")
	fs.StringVar(&s.Topology, "topology", s.Topology, "at birth: the way of records to the standbys, star or chain")
	fs.DurationVar((*time.Duration)(&s.ReplaceAfter), "replace-after", time.Duration(s.ReplaceAfter), "at birth: silence of a member before a spare takes its place, 0s for never")
	fs.StringVar(&s.Reads, "reads", s.Reads, "at birth: who answers reads, primary or spread: every replica in sync, in turn")
	fs.DurationVar((*time.Duration)(&s.Hold), "hold", time.Duration(s.Hold), "at birth: how long a request may wait")
	format := fs.String("log-format", "console", "console or json")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	if err := daemon.ParseFlags(fs, args); err != nil {
		return o, err
	}
	var err error
	if *secret != "" {
		text, err := os.ReadFile(*secret)
		if err != nil {
			return o, fmt.Errorf("read the webhook's secret: %w", err)
		}
		o.Hook.Secret = bytes.TrimSpace(text)
	}
	o.Log, err = daemon.NewLogger(stderr, *format, *level)
	return o, err
}
