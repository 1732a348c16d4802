package httpapi

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// peers is a fake [Peers] that notes what the leader alone is asked.
type peers struct {
	err      error
	atLeader []string
	joined   []wire.MonitorSelf
	added    []wire.MonitorOrder
	removed  []string
}

func (p *peers) AtLeader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.atLeader = append(p.atLeader, r.Method+" "+r.URL.Path)
		next.ServeHTTP(w, r)
	})
}

func (p *peers) Self() wire.MonitorSelf { return wire.MonitorSelf{V: wire.Format, Name: "m1"} }

func (p *peers) Join(_ context.Context, who wire.MonitorSelf) error {
	p.joined = append(p.joined, who)
	return p.err
}

func (p *peers) Add(_ context.Context, o wire.MonitorOrder) error {
	p.added = append(p.added, o)
	return p.err
}

func (p *peers) Remove(_ context.Context, name string) error {
	p.removed = append(p.removed, name)
	return p.err
}

func TestOnlyWhatTheLeaderDecidesIsPassedOn(t *testing.T) {
	p := new(peers)
	a := New(Options{Coordinator: new(coordinator), Peers: p, Raft: named("raft"), Proxy: named("proxy"), Metrics: named("metrics"), Log: zerolog.Nop()})
	for _, call := range [][2]string{
		{"POST", "/v1/switchover"},
		{"POST", "/v1/failover"},
		{"PATCH", "/v1/config"},
		{"PUT", "/v1/nodes/app1/maintenance"},
		{"POST", wire.PathGroup},
		{"POST", wire.PathMonitor},
		{"POST", "/v1/monitors"},
		{"DELETE", "/v1/monitors/m2"},
	} {
		p.atLeader = nil
		ask(t, a, call[0], call[1], "{}")
		require.Equal(t, []string{call[0] + " " + call[1]}, p.atLeader)
	}
	p.atLeader = nil
	for _, call := range [][2]string{
		{"GET", "/v1/cluster"},
		{"GET", "/v1/history"},
		{"GET", "/v1/explain"},
		{"GET", "/readyz"},
		{"GET", wire.PathMonitor},
		{"GET", wire.PathRaft},
		{"POST", wire.PathHeartbeat},
		{"POST", "/v1/nodes/app1/kill"},
		{"PUT", "/v1/kv/k"},
		{"GET", "/v1/state"},
	} {
		ask(t, a, call[0], call[1], "{}")
	}
	require.Empty(t, p.atLeader, "every monitor does this itself")
}

func TestAMonitorStandsStill(t *testing.T) {
	var stood []time.Duration
	options := Options{
		Coordinator: new(coordinator), Peers: new(peers), Raft: named("raft"), Proxy: named("proxy"), Metrics: named("metrics"), Log: zerolog.Nop(),
		StandStill: func(d time.Duration) error {
			stood = append(stood, d)
			return nil
		},
	}
	a := New(options)
	require.Equal(t, http.StatusOK, ask(t, a, "POST", "/v1/freeze", `{"for":"5s"}`).Code)
	require.Equal(t, []time.Duration{5 * time.Second}, stood)
	requireProblem(t, ask(t, a, "POST", "/v1/freeze", `{"for":"2m"}`), 400, problem.BadRequest, "up to 1m")
	requireProblem(t, ask(t, a, "POST", "/v1/freeze", `{}`), 400, problem.BadRequest, "up to 1m")
	options.StandStill = nil
	requireProblem(t, ask(t, New(options), "POST", "/v1/freeze", `{"for":"5s"}`), 403, problem.Forbidden, "-allow-kill")
	require.Len(t, stood, 1)
}

func TestMonitorsComeAndGo(t *testing.T) {
	p := new(peers)
	a := New(Options{Coordinator: new(coordinator), Peers: p, Raft: named("raft"), Proxy: named("proxy"), Metrics: named("metrics"), Log: zerolog.Nop()})
	w := ask(t, a, "POST", "/v1/monitors", `{"name":"m4","address":"h:1"}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, []wire.MonitorOrder{{Name: "m4", Address: "h:1"}}, p.added)
	requireProblem(t, ask(t, a, "POST", "/v1/monitors", `{"names":"m4"}`), 400, problem.BadRequest, "names")

	w = ask(t, a, "DELETE", "/v1/monitors/m2", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, []string{"m2"}, p.removed)
	require.JSONEq(t, `{"monitors":[{"name":"m1","address":"","leader":false,"reachable":false}]}`, w.Body.String(), "though this one has not heard of it yet")

	require.Equal(t, http.StatusOK, ask(t, a, "POST", wire.PathMonitor, `{"v":1,"name":"m2","id":"m2-x"}`).Code)
	require.Equal(t, "m2-x", p.joined[0].ID)
	requireProblem(t, ask(t, a, "POST", wire.PathMonitor, `{"v":9}`), 400, problem.UnsupportedVersion, "format 9")

	p.err = problem.Errorf(problem.DuplicateNode, "another monitor named m4")
	requireProblem(t, ask(t, a, "POST", "/v1/monitors", `{"name":"m4","address":"h:1"}`), 409, problem.DuplicateNode, "m4")
	requireProblem(t, ask(t, a, "DELETE", "/v1/monitors/m2", ""), 409, problem.DuplicateNode, "m4")
}
