package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// coordinator is a fake [Coordinator] that answers every call with err, or well.
type coordinator struct {
	err      error
	conns    []any
	beats    []*wire.Heartbeat
	proposed []*wire.Proposal
	killed   []string
	news
	orders  []wire.ChangeOrder
	adopted []wire.AdoptOrder
}

func (c *coordinator) Heartbeat(conn any, hb *wire.Heartbeat) (*wire.Assignment, error) {
	c.conns, c.beats = append(c.conns, conn), append(c.beats, hb)
	return &wire.Assignment{V: wire.Format, Cluster: "c1"}, c.err
}

func (c *coordinator) Propose(_ context.Context, p *wire.Proposal) (wire.ProposalAnswer, error) {
	c.proposed = append(c.proposed, p)
	return wire.ProposalAnswer{V: wire.Format, Record: protocol.GroupRecord{Version: 8}}, c.err
}

func (c *coordinator) Cluster() wire.Cluster {
	return wire.Cluster{Cluster: "c1", Leader: "m1", Monitors: []wire.MonitorView{{Name: "m1"}, {Name: "m2"}}}
}

func (c *coordinator) History() wire.History {
	return wire.History{Cluster: "c1", Events: []protocol.HistoryEvent{{ID: 1, Kind: "founded"}}}
}

func (c *coordinator) Explain() (wire.Explain, error) {
	return wire.Explain{Cluster: "c1", Leads: true, Groups: []wire.Explanation{}}, nil
}

func (c *coordinator) Switchover(_ context.Context, o wire.ChangeOrder, _ string) (wire.PrimaryChanged, error) {
	c.orders = append(c.orders, o)
	return wire.PrimaryChanged{Kind: "switchover", From: "app1", To: o.To, Epoch: 2}, c.err
}

func (c *coordinator) Failover(_ context.Context, o wire.ChangeOrder, _ string) (wire.PrimaryChanged, error) {
	c.orders = append(c.orders, o)
	return wire.PrimaryChanged{Kind: "failover", From: "app1", To: o.To, Epoch: 2}, c.err
}

func (c *coordinator) SetMaintenance(_ context.Context, name string, on bool) (wire.Maintenance, error) {
	return wire.Maintenance{Node: name, On: on}, c.err
}

func (c *coordinator) Remove(_ context.Context, name, _ string) (wire.Removed, error) {
	return wire.Removed{Node: name, Why: "it was"}, c.err
}

func (c *coordinator) Adopt(_ context.Context, o wire.AdoptOrder, _ string) (wire.Adopted, error) {
	c.adopted = append(c.adopted, o)
	return wire.Adopted{Node: o.Node, Cluster: "c0"}, c.err
}

func (c *coordinator) Witnesses() (wire.Witnesses, error) {
	return wire.Witnesses{Cluster: "c1", Heard: []wire.Witness{{Name: "app1"}}}, c.err
}

func (c *coordinator) Configure(_ context.Context, patch []byte) (s protocol.Settings, err error) {
	return s, json.Unmarshal(patch, &s)
}

func (c *coordinator) Freeze(_ context.Context, name string, d time.Duration) (wire.Freeze, error) {
	return wire.Freeze{Node: name, For: protocol.Duration(d)}, c.err
}

func (c *coordinator) Kill(ctx context.Context, name string) error {
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("the call has no bound")
	}
	c.killed = append(c.killed, name)
	return c.err
}

func (c *coordinator) Ready() error { return c.err }

// named answers with its own name and the path, like a part behind the interface.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(name + " " + r.Method + " " + r.RequestURI))
	})
}

func newAPI(c *coordinator) *API {
	return New(Options{
		Coordinator: c, Peers: new(peers), Raft: named("raft"), Proxy: named("proxy"), Metrics: named("metrics"), Log: zerolog.Nop(),
	})
}

func ask(t *testing.T, h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func requireProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code problem.Code, words string) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
	var b problem.Body
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &b))
	require.Equal(t, code, b.Code)
	require.Equal(t, status, b.Status)
	require.Contains(t, b.Detail, words)
}

const beat = `{"v":1,"name":"app1","uuid":"u1","boot":"1-aa","address":"127.0.0.1:8081","state":"standby","later_field":{"x":1}}`

func TestHeartbeat(t *testing.T) {
	c := new(coordinator)
	w := ask(t, newAPI(c), "POST", wire.PathHeartbeat, beat)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var a wire.Assignment
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	require.Equal(t, "c1", a.Cluster)
	require.Len(t, c.beats, 1)
	require.Equal(t, "app1", c.beats[0].Name)
	require.Equal(t, protocol.Boot{Count: 1, Nonce: "aa"}, c.beats[0].Boot)
	require.Equal(t, protocol.StateStandby, c.beats[0].State)
}

func TestBadMessages(t *testing.T) {
	c := new(coordinator)
	for _, path := range []string{wire.PathHeartbeat, wire.PathGroup} {
		for name, m := range map[string]struct {
			body   string
			status int
			code   problem.Code
			words  string
		}{
			"empty":                  {"", 400, problem.BadRequest, "not valid"},
			"cut off":                {`{"v":1,"na`, 400, problem.BadRequest, "not valid"},
			"not an object":          {`[]`, 400, problem.BadRequest, "not valid"},
			"something after it":     {`{"v":1}{}`, 400, problem.BadRequest, "not valid"},
			"no version":             {`{}`, 400, problem.UnsupportedVersion, "format 0"},
			"another version":        {`{"v":2}`, 400, problem.UnsupportedVersion, "format 2"},
			"another shape, version": {`{"v":2,"name":7,"change":7}`, 400, problem.UnsupportedVersion, "format 2"},
			"wrong type":             {`{"v":1,"name":7,"change":7}`, 400, problem.BadRequest, "not valid"},
			"too large":              {strings.Repeat(" ", maxMessage+1), 413, problem.TooLarge, "1048576"},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				requireProblem(t, ask(t, newAPI(c), "POST", path, m.body), m.status, m.code, m.words)
			})
		}
	}
	for _, body := range []string{
		strings.Replace(beat, "app1", "", 1), strings.Replace(beat, "u1", "", 1),
		strings.Replace(beat, "1-aa", "", 1), strings.Replace(beat, "127.0.0.1:8081", "", 1),
	} {
		requireProblem(t, ask(t, newAPI(c), "POST", wire.PathHeartbeat, body), 400, problem.BadRequest, "name, uuid, boot and address")
	}
	require.Empty(t, c.beats)
	require.Empty(t, c.proposed)
}

func TestProposal(t *testing.T) {
	c := new(coordinator)
	w := ask(t, newAPI(c), "POST", wire.PathGroup, `{"v":1,"cluster":"c1","change":{"version":7,"epoch":2,"in_sync":["u1"]}}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var a wire.ProposalAnswer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	require.Equal(t, protocol.Version(8), a.Record.Version)
	require.Equal(t, protocol.Version(7), c.proposed[0].Change.Version)
	require.Equal(t, []protocol.UUID{"u1"}, c.proposed[0].Change.InSync)
}

func TestEveryRefusalKeepsItsCode(t *testing.T) {
	for _, code := range protocol.RefusalCodes() {
		require.Contains(t, problem.Codes(), problem.Code(code))
		c := &coordinator{err: &protocol.Refusal{Code: code, Detail: "a reason"}}
		for path, body := range map[string]string{
			wire.PathHeartbeat: beat, wire.PathGroup: `{"v":1}`, "/v1/nodes/app1/kill": "", "/v1/switchover": "", "/v1/failover": "",
			"/v1/nodes/app1/freeze": `{"for":"1s"}`,
		} {
			requireProblem(t, ask(t, newAPI(c), "POST", path, body), problem.Code(code).Meaning().Status, problem.Code(code), "a reason")
		}
	}
}

func TestUncodedErrorIsLoggedAndTold(t *testing.T) {
	var log bytes.Buffer
	c := &coordinator{err: errors.New("the disk is gone")}
	a := New(Options{Coordinator: c, Log: zerolog.New(&log)})
	requireProblem(t, ask(t, a, "POST", wire.PathGroup, `{"v":1}`), 500, "internal", "the disk is gone")
	require.JSONEq(t, `{"level":"error","error":"the disk is gone","path":"/internal/group","message":"request failed"}`, log.String())
	log.Reset()
	c.err = problem.Errorf(problem.NotFound, "no node is named app9")
	requireProblem(t, ask(t, a, "POST", "/v1/nodes/app9/kill", ""), 404, problem.NotFound, "app9")
	require.Empty(t, log.String())
}

func TestWhatPeopleAsk(t *testing.T) {
	a := newAPI(new(coordinator))
	var cluster wire.Cluster
	require.NoError(t, json.Unmarshal(ask(t, a, "GET", "/v1/cluster", "").Body.Bytes(), &cluster))
	require.Equal(t, "m1", cluster.Leader)
	var history wire.History
	require.NoError(t, json.Unmarshal(ask(t, a, "GET", "/v1/history", "").Body.Bytes(), &history))
	require.Len(t, history.Events, 1)
	require.Equal(t, "metrics GET /metrics", ask(t, a, "GET", "/metrics", "").Body.String())
	require.Equal(t, http.StatusOK, ask(t, a, "HEAD", "/v1/cluster", "").Code)
}

func TestKill(t *testing.T) {
	c := new(coordinator)
	a := newAPI(c)
	for path, name := range map[string]string{"app1": "app1", "app%201": "app 1", "a%2Fb": "a/b"} {
		w := ask(t, a, "POST", "/v1/nodes/"+path+"/kill", "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		var k wire.Killed
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &k))
		require.Equal(t, name, k.Node)
		require.Equal(t, name, c.killed[len(c.killed)-1])
	}
	c.err = problem.Errorf(problem.Forbidden, "app1 was started without -allow-kill")
	requireProblem(t, ask(t, a, "POST", "/v1/nodes/app1/kill", ""), 403, problem.Forbidden, "-allow-kill")
}

func TestHealth(t *testing.T) {
	c := new(coordinator)
	a := newAPI(c)
	require.Equal(t, "ready\n", ask(t, a, "GET", "/readyz", "").Body.String())
	c.err = errors.New("no monitor leads yet")
	w := ask(t, a, "GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "not ready: no monitor leads yet\n", w.Body.String())
	require.Equal(t, http.StatusOK, ask(t, a, "GET", "/livez", "").Code)
}

func TestClientAPIGoesToTheProxyAsItIs(t *testing.T) {
	a := newAPI(new(coordinator))
	for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
		for _, path := range []string{"/v1/state", "/v1/state?from=app2", "/v1/kv?prefix=a%2f", "/v1/kv/k", "/v1/kv/a%2Fb//c%20d?x"} {
			require.Equal(t, "proxy "+method+" "+path, ask(t, a, method, path, "").Body.String())
		}
	}
	require.Equal(t, "proxy HEAD /v1/kv/k", ask(t, a, "HEAD", "/v1/kv/k", "").Body.String())
}

func TestForeignOrigin(t *testing.T) {
	c := new(coordinator)
	a := newAPI(c)
	for _, header := range [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site", "Origin", "http://other.example.com"},
	} {
		for _, call := range [][2]string{{"POST", "/v1/nodes/app1/kill"}, {"PUT", "/v1/kv/k"}, {"PATCH", "/v1/state"}, {"DELETE", "/v1/kv/k"}, {"POST", wire.PathHeartbeat}} {
			requireProblem(t, ask(t, a, call[0], call[1], "", header...), 403, problem.Forbidden, "another site")
		}
		require.Equal(t, "proxy GET /v1/kv/k", ask(t, a, "GET", "/v1/kv/k", "", header...).Body.String())
	}
	require.Empty(t, c.killed)
	own := ask(t, a, "PUT", "/v1/kv/k", "", "Origin", "http://example.com") // the recorder's own host
	require.Equal(t, "proxy PUT /v1/kv/k", own.Body.String())
}

func TestNoSuchCall(t *testing.T) {
	a := newAPI(new(coordinator))
	requireProblem(t, ask(t, a, "GET", "/v1/nothing", ""), 404, problem.NotFound, "/v1/nothing")
	for path, allow := range map[string]string{
		"/v1/cluster": "GET", wire.PathHeartbeat: "POST", "/v1/nodes/a%2Fb/kill": "POST", "/": "GET",
	} {
		w := ask(t, a, "PUT", path, "")
		requireProblem(t, w, 405, problem.BadRequest, "PUT is not for")
		require.Equal(t, allow, w.Header().Get("Allow"))
	}
	requireProblem(t, ask(t, a, "BREW", "/v1/cluster", ""), 405, problem.BadRequest, "BREW")
}

// The index and the router name the same calls.
func TestIndex(t *testing.T) {
	a := newAPI(new(coordinator))
	page := ask(t, a, "GET", "/", "").Body.String()
	var routed []string
	require.NoError(t, chi.Walk(a.router.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if route != "/" && !slices.Contains(routed, route) {
			routed = append(routed, route)
			require.Contains(t, page, route)
		}
		return nil
	}))
	require.Len(t, endpoints(), len(routed))
	for _, e := range endpoints() {
		for m := range strings.FieldsSeq(e.methods) {
			require.True(t, a.router.(chi.Routes).Match(chi.NewRouteContext(), m, e.path), "%s %s", m, e.path)
		}
	}
}

func FuzzDecodeHeartbeat(f *testing.F) {
	f.Add([]byte(beat))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"groups":[{"position":"1.2","peers":[{"in_view":true}]}],"sent":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		hb, err := decodeHeartbeat(data)
		if err != nil {
			require.Contains(t, []problem.Code{problem.BadRequest, problem.UnsupportedVersion}, problem.CodeOf(err))
			return
		}
		require.Equal(t, wire.Format, hb.V)
		require.NotEmpty(t, hb.Name)
		require.NotEmpty(t, hb.UUID)
	})
}
