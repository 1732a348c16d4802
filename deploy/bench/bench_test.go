package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/failover"
	"understudy.example/deploy/bench/internal/load"
	"understudy.example/pkg/wire"
)

func TestUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"name what to measure: load or failover":              nil,
		`"speed" is not known: load or failover`:              {"speed"},
		"unknown flag -client: did you mean -clients?":        {"load", "-client", "1"},
		`-o "xml" is not known: table or json`:                {"load", "-o", "xml"},
		"-nodes 0 is out of range: 1 to 9":                    {"load", "-nodes", "0"},
		`-through: "proxy" is not known: direct, monitor`:     {"load", "-through", "direct,proxy"},
		`-ops: "scan" is not known: read, stale-read, write`:  {"load", "-ops", "scan"},
		`-clients: "0" is not a whole number from 1 to 10000`: {"load", "-clients", "1,0"},
		"-for must be positive":                               {"load", "-for", "0s"},
		`-through: "proxy" is not known: monitor, direct`:     {"failover", "-through", "proxy"},
		"-trials and -writers must be at least 1":             {"failover", "-trials", "0"},
		"-nodes at least 2":                                   {"failover", "-nodes", "1"},
		"-nodes needs a value: a whole number":                {"failover", "-nodes"},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		require.ErrorIs(t, err, errUsage, want)
		require.ErrorContains(t, err, want)
	}
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"-help"}, &out, io.Discard))
	require.Contains(t, out.String(), "bench failover")
	for _, name := range []string{"load", "failover"} {
		out.Reset()
		require.ErrorIs(t, run(t.Context(), []string{name, "-help"}, &out, io.Discard), flag.ErrHelp)
		require.Contains(t, out.String(), "-nodes")
	}
}

// running is a monitor of a running cluster that is its own primary.
func running(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	address := strings.TrimPrefix(srv.URL, "http://")
	mux.HandleFunc("/v1/kv/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/v1/cluster", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(wire.Cluster{
			Groups: []wire.GroupView{{Primary: "app1", Serving: true}},
			Nodes:  []wire.NodeView{{Name: "app1", Address: address}},
		})
	})
	return address
}

func TestLoadOfARunningCluster(t *testing.T) {
	args := []string{"load", "-monitor", running(t), "-clients", "1,2", "-for", "100ms", "-warm-up", "1ms", "-keys", "5"}
	var out, progress strings.Builder
	require.NoError(t, run(t.Context(), args, &out, &progress))
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 9)
	require.Contains(t, progress.String(), "write monitor, 2 clients: ")

	out.Reset()
	require.NoError(t, run(t.Context(), append(args, "-o", "json", "-through", "direct", "-clients", "1"), &out, io.Discard))
	var cells []load.Cell
	require.NoError(t, json.Unmarshal([]byte(out.String()), &cells))
	require.Len(t, cells, 2)
	require.Equal(t, "direct", cells[0].Through)
	require.Equal(t, "read", cells[0].Op)
}

func TestPrimaryOfAView(t *testing.T) {
	view := wire.Cluster{Groups: []wire.GroupView{{Primary: "app1"}}}
	_, _, err := primary(wire.Cluster{})
	require.ErrorContains(t, err, "no primary serves now")
	_, _, err = primary(view)
	require.ErrorContains(t, err, "no primary serves now")
	view.Groups[0].Serving = true
	_, _, err = primary(view)
	require.ErrorContains(t, err, "the monitor names app1 as primary, but not its address")
	view.Nodes = []wire.NodeView{{Name: "app1", Address: "a:1"}}
	name, address, err := primary(view)
	require.NoError(t, err)
	require.Equal(t, []string{"app1", "a:1"}, []string{name, address})
}

func TestShowFailover(t *testing.T) {
	trials := []failover.Trial{
		{Killed: "app1", Successor: "app2", Outage: 180, Acknowledged: 10},
		{Killed: "app2", Successor: "app1", Outage: 240, Acknowledged: 20, Lost: []string{"key 3 is gone"}},
	}
	var out strings.Builder
	require.NoError(t, showFailover(&out, trials, "table"))
	require.Contains(t, out.String(), "  key 3 is gone\n")
	require.Contains(t, out.String(), "outage: median 240 ms, longest 240 ms of 2 trials")
	out.Reset()
	require.NoError(t, showFailover(&out, trials, "json"))
	var back []failover.Trial
	require.NoError(t, json.Unmarshal([]byte(out.String()), &back))
	require.Equal(t, trials, back)
}

// broken is a cluster that cannot be killed.
type broken struct{}

var errKill = errors.New("no such process")

func (broken) Primary(context.Context) (string, string, error) { return "app1", "", nil }
func (broken) Kill(string) error                               { return errKill }
func (broken) Start(string) error                              { return nil }
func (broken) WaitReady(context.Context) error                 { return nil }

func TestATrialThatFails(t *testing.T) {
	opts := failover.Options{Trials: 1, Writers: 1, Limit: 1, Target: func(context.Context) (string, error) { return "127.0.0.1:1", nil }}
	require.ErrorIs(t, tryFailover(t.Context(), broken{}, opts, "table", io.Discard, io.Discard), errKill)
}
