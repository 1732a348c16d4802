package main

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/failover"
	"understudy.example/deploy/bench/internal/load"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"name what to measure: load, failover, resync":                   nil,
		`"speed" is not known: load, failover, resync`:                   {"speed"},
		"unknown flag -client: did you mean -clients?":                   {"load", "-client", "1"},
		`-o "xml" is not known: table or json`:                           {"load", "-o", "xml"},
		"-nodes 0 is out of range: 1 to 9":                               {"load", "-nodes", "0"},
		`-through: "proxy" is not known: direct, monitor, library`:       {"load", "-through", "direct,proxy"},
		`-ops: "scan" is not known: read, stale-read, write`:             {"load", "-ops", "scan"},
		`-clients: "0" is not a whole number from 1 to 10000`:            {"load", "-clients", "1,0"},
		`-rates: "read" is not of the form write=100`:                    {"load", "-rates", "write=100,read"},
		`-rates: "scan=5" is not of the form write=100`:                  {"load", "-rates", "scan=5"},
		`-rates: "read=0" is not of the form write=100`:                  {"load", "-rates", "read=0"},
		"-ops is not for -rates":                                         {"load", "-rates", "read=5", "-ops", "read"},
		`-reads: "all" is not known: primary, spread`:                    {"load", "-reads", "all"},
		"-reads is for a cluster that bench starts":                      {"load", "-reads", "spread", "-monitor", "127.0.0.1:1"},
		"-for must be positive":                                          {"load", "-for", "0s"},
		`-kinds: "fire" is not known: kill, stop, cut, term, switchover`: {"failover", "-kinds", "kill,fire"},
		`-ways: "monitor" is not known: proxy, direct, library`:          {"failover", "-ways", "monitor"},
		`-against: "paper" is not known: redis, etcd, etcd-fast`:         {"failover", "-against", "paper"},
		"-trials and -writers must be at least 1":                        {"failover", "-trials", "0"},
		"no duration may be negative":                                    {"failover", "-down", "-1s"},
		"-nodes must be at least 2":                                      {"failover", "-nodes", "1"},
		"-nodes needs a value: a whole number":                           {"failover", "-nodes"},
		"-copies must be at least 2":                                     {"topology", "-copies", "3,1"},
		`-copies: "10" is not a whole number from 1 to 9`:                {"topology", "-copies", "10"},
		`-values: "0" is not a whole number from 1 to 1048576`:           {"topology", "-values", "0"},
		"-rounds at least 1 and -rate not negative":                      {"topology", "-rate", "-1"},
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
	for _, name := range []string{"load", "failover", "resync"} {
		out.Reset()
		require.ErrorIs(t, run(t.Context(), []string{name, "-help"}, &out, io.Discard), flag.ErrHelp)
		require.Contains(t, out.String(), "-nodes")
	}
	out.Reset()
	require.ErrorIs(t, run(t.Context(), []string{"topology", "-help"}, &out, io.Discard), flag.ErrHelp)
	require.Contains(t, out.String(), "-copies")
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
	args := []string{"load", "-monitor", running(t), "-clients", "1,2", "-for", "500ms", "-warm-up", "1ms", "-keys", "5", "-through", "direct,monitor"}
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

func TestRatesOfARunningCluster(t *testing.T) {
	args := []string{"load", "-monitor", running(t), "-rates", "write=50,read=100", "-for", "200ms", "-warm-up", "1ms", "-keys", "5"}
	var out strings.Builder
	require.NoError(t, run(t.Context(), args, &out, io.Discard))
	require.Contains(t, out.String(), "uneven")
	out.Reset()
	require.NoError(t, run(t.Context(), append(args, "-o", "json"), &out, io.Discard))
	var flows []flow
	require.NoError(t, json.Unmarshal([]byte(out.String()), &flows))
	require.Len(t, flows, 2)
	require.Equal(t, 20, flows[1].Requests)
}

// A request that fails fails the measurement, and who answered nothing is named.
func TestFailedRates(t *testing.T) {
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.HandleFunc("PUT /v1/kv/", func(http.ResponseWriter, *http.Request) {})
	turn := 0
	mux.HandleFunc("GET /v1/kv/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(wire.HeaderNode, "app1")
		if turn++; turn == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	view := wire.Cluster{Groups: []wire.GroupView{{InSync: []string{"app1", "app2"}}}}
	view.Settings.Reads = protocol.ReadsSpread
	s, err := parseLoad([]string{"-monitor", "x", "-rates", "read=10", "-for", "500ms", "-warm-up", "1ms", "-keys", "1"}, io.Discard)
	require.NoError(t, err)
	s.Targets = []load.Target{{Open: func() call.Caller { return call.NewHTTP(call.At(strings.TrimPrefix(srv.URL, "http://")), time.Second) }}}
	var out strings.Builder
	require.ErrorIs(t, measureRates(t.Context(), s, view, &out), errFailedRequests)
	require.Contains(t, out.String(), "read: answered by app1 4 app2 0\n")
	require.Contains(t, out.String(), "read: a failure after ")
	require.Contains(t, out.String(), "100.00 %")
}

func TestPrimaryOfAView(t *testing.T) {
	view := wire.Cluster{Groups: []wire.GroupView{{Primary: "app1"}}}
	_, _, err := primary(wire.Cluster{})
	require.ErrorContains(t, err, "no primary serves now")
	_, _, err = primary(view)
	require.ErrorContains(t, err, "no primary serves now")
	require.ErrorContains(t, err, `epoch 0 of "app1", in sync [], failover possible: false`)
	view.Groups[0].Serving = true
	_, _, err = primary(view)
	require.ErrorContains(t, err, "the monitor names app1 as primary, but not its address")
	view.Nodes = []wire.NodeView{{Name: "app1", Address: "a:1"}}
	name, address, err := primary(view)
	require.NoError(t, err)
	require.Equal(t, []string{"app1", "a:1"}, []string{name, address})
}

func rows() []failover.Row {
	row := failover.Row{Kind: "kill", Way: "proxy", Trials: []failover.Trial{{
		Struck: "app1", Successor: "app2", WritePause: 80, Pauses: []float64{80}, Codes: map[string]int{},
		Examples: []string{}, Lost: []string{"key 3 is gone"}, Doubled: []string{}, Stale: []string{},
	}}}
	row.Sum()
	return []failover.Row{row}
}

func TestShowFailover(t *testing.T) {
	var out strings.Builder
	require.NoError(t, show(&out, rows(), "table"))
	require.Contains(t, out.String(), "  trial 1: key 3 is gone\n")
	out.Reset()
	require.NoError(t, show(&out, rows(), "json"))
	var back []failover.Row
	require.NoError(t, json.Unmarshal([]byte(out.String()), &back))
	require.Equal(t, rows(), back)
	out.Reset()
	require.NoError(t, show(&out, nil, "json"))
	require.Equal(t, "[]\n", out.String())
	out.Reset()
	require.NoError(t, show(&out, nil, "table"))
	require.Empty(t, out.String())
}

func TestPlans(t *testing.T) {
	s, err := parseFailover([]string{"-kinds", "kill,cut", "-ways", "proxy,library", "-against", "etcd"}, io.Discard)
	require.NoError(t, err)
	var all []string
	for _, p := range s.plans() {
		all = append(all, p.Kind.Name+" "+p.way)
		require.Equal(t, p.way == "etcd", p.other)
	}
	require.Equal(t, []string{"kill proxy", "kill library", "kill etcd", "cut proxy", "cut library"}, all)
	s, err = parseFailover([]string{"-ways", "none", "-against", "redis", "-kinds", "switchover"}, io.Discard)
	require.NoError(t, err)
	require.Empty(t, s.plans(), "other stores are only sent signals")
}

func TestAStoreThatIsNotInstalledIsLeftOut(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out, progress strings.Builder
	require.NoError(t, run(t.Context(), []string{"failover", "-ways", "none", "-kinds", "kill", "-against", "redis,etcd"}, &out, &progress))
	require.Empty(t, out.String())
	require.Equal(t, "kill, redis: left out: redis-server is not installed: on Debian it is in the package redis-server\n"+
		"kill, etcd: left out: etcd is not installed: on Debian it is in the package etcd-server\n", progress.String())
}

func TestLinksAreCutBothWays(t *testing.T) {
	l := newLinks(t.Context())
	defer l.close()
	echo := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer echo.Close()
	to := strings.TrimPrefix(echo.URL, "http://")
	addresses := map[span]string{}
	for _, s := range []span{{"", "app1"}, {"app1", "m1"}, {"", "app2"}, {"app2", "m1"}} {
		address, err := l.route(s.from, s.to, to)
		require.NoError(t, err)
		addresses[s] = address
	}
	reaches := func(s span) bool {
		c := call.NewHTTP(call.At(addresses[s]), 100*time.Millisecond)
		defer c.Close()
		return c.Call(t.Context(), call.Request{Method: http.MethodGet, Key: "k"}).Success()
	}
	subject := subject{links: l}
	require.NoError(t, subject.Cut("app1"))
	require.False(t, reaches(span{"", "app1"}))
	require.False(t, reaches(span{"app1", "m1"}))
	require.True(t, reaches(span{"", "app2"}))
	require.True(t, reaches(span{"app2", "m1"}))
	require.NoError(t, subject.Heal("app1"))
	require.True(t, reaches(span{"", "app1"}))
	require.ErrorContains(t, subject.Cut("app3"), `there is no link to a node "app3"`)
	subject.links = nil
	require.ErrorContains(t, subject.Cut("app1"), "without links")
	subject.links.close()
}

func TestOneTrialOfARealCluster(t *testing.T) {
	args := []string{
		"failover", "-kinds", "switchover", "-ways", "library", "-trials", "1", "-writers", "4", "-readers", "2",
		"-settle", "50ms", "-after", "10ms", "-o", "json",
	}
	var out, progress strings.Builder
	require.NoError(t, run(t.Context(), args, &out, &progress), progress.String())
	var rows []failover.Row
	require.NoError(t, json.Unmarshal([]byte(out.String()), &rows))
	require.Len(t, rows, 1)
	require.Len(t, rows[0].Trials, 1)
	one, sum := rows[0].Trials[0], rows[0].Summary
	require.NotEqual(t, one.Struck, one.Successor)
	require.Zero(t, sum.Failed, one.Examples)
	require.False(t, sum.Broken(), one)
	require.Positive(t, one.Repeats)
	require.Contains(t, progress.String(), "switchover, library, trial 1: ")
}
