package command

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// fake is a monitor whose answers the test chooses by "METHOD /path".
type fake struct {
	address string
	mu      sync.Mutex // guards the fields below
	answers map[string]http.HandlerFunc
	seen    []string // method, URI and body of each request
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{answers: map[string]http.HandlerFunc{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.address = strings.TrimPrefix(srv.URL, "http://")
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.seen = append(f.seen, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
	h := f.answers[r.Method+" "+r.URL.Path]
	f.mu.Unlock()
	if h == nil {
		problem.Write(w, problem.Errorf(problem.NotFound, "the fake has no %s %s", r.Method, r.URL.Path))
		return
	}
	h(w, r)
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// on sets the answer to a call: text, a problem, or JSON of anything else.
func (f *fake) on(call string, answer any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[call] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"3.9"`)
		w.Header().Set(wire.HeaderPosition, "3.9")
		w.Header().Set(wire.HeaderCopies, "2")
		switch a := answer.(type) {
		case string:
			_, _ = io.WriteString(w, a)
		case *problem.Error:
			problem.Write(w, a)
		default:
			_ = json.NewEncoder(w).Encode(a)
		}
	}
}

type result struct {
	code        int
	out, errors string
}

func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	code := Process{
		Args: args, Env: func(string) string { return "" },
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	}.Run(t.Context())
	return result{code, out.String(), errs.String()}
}

func (f *fake) run(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, "", append([]string{"-monitor", f.address}, args...)...)
}

func TestUsageErrors(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":                 {nil, "no action is given: choose one, for example -status; -help lists all"},
		"two actions":             {[]string{"-status", "-get", "k"}, "-get and -status are several actions: give one at a time"},
		"both spellings":          {[]string{"-get-state", "primary", "-get_state", "standby"}, "are several actions"},
		"a switch turned off":     {[]string{"-status=false"}, "no action is given"},
		"an unknown flag":         {[]string{"-get-stat", "primary"}, "unknown flag -get-stat: did you mean -get-state? (-help lists all)"},
		"a stray argument":        {[]string{"-update", "f"}, `stray argument "f"`},
		"no operand":              {[]string{"-get-state"}, "-get-state needs a value: primary|standby|NAME"},
		"update without a file":   {[]string{"-update"}, "write -update -file FILE"},
		"a file without update":   {[]string{"-file", "f"}, "-file belongs to -update: write -update -file f"},
		"a file with another":     {[]string{"-status", "-file", "f"}, "-file belongs to -update, and the action is -status"},
		"an empty name":           {[]string{"-get-state", ""}, "-get-state needs the name of a node"},
		"an empty name to kill":   {[]string{"-kill", ""}, "-kill needs the name of a node"},
		"an empty key":            {[]string{"-get", ""}, "-get: the key is empty"},
		"an empty key to delete":  {[]string{"-delete", ""}, "-delete: the key is empty"},
		"put without =":           {[]string{"-put", "name"}, `-put: "name" has no "=": write key=value`},
		"a form":                  {[]string{"-status", "-o", "yaml"}, `-o "yaml" is not known: json or table`},
		"no time":                 {[]string{"-status", "-timeout", "0s"}, "-timeout 0s leaves no time to ask"},
		"a monitor with a scheme": {[]string{"-status", "-monitor", "http://127.0.0.1:8080"}, `-monitor: "http://127.0.0.1:8080" is not of the form host:port`},
		"a monitor without port":  {[]string{"-status", "-monitor", "127.0.0.1:8080,localhost"}, `-monitor: "localhost" is not of the form host:port`},
		"a monitor without host":  {[]string{"-status", "-monitor", ":8080"}, "is not of the form host:port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := run(t, "", tt.args...)
			require.Equal(t, problem.ExitUsage, got.code)
			require.Empty(t, got.out)
			require.Contains(t, got.errors, "client: ")
			require.Contains(t, got.errors, tt.want)
			require.Equal(t, 1, strings.Count(got.errors, "\n"), "one sentence: %s", got.errors)
		})
	}
}

func TestHelp(t *testing.T) {
	got := run(t, "", "-help")
	require.Equal(t, problem.ExitDone, got.code)
	require.Empty(t, got.errors)
	for _, a := range actionFlags {
		require.Contains(t, got.out, "-"+a.name)
	}
}

func TestMonitorsComeFromTheEnvironmentToo(t *testing.T) {
	env := func(name string) string { return map[string]string{envMonitor: "h1:1, h2:2"}[name] }
	in, err := parseArgs([]string{"-status"}, env, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"h1:1", "h2:2"}, in.monitors)

	in, err = parseArgs([]string{"-status", "-monitor", "h3:3"}, env, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"h3:3"}, in.monitors)

	in, err = parseArgs([]string{"-status"}, func(string) string { return "" }, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{defaultMonitor}, in.monitors)

	_, err = parseArgs([]string{"-status"}, func(string) string { return "nonsense" }, io.Discard)
	require.ErrorContains(t, err, `UNDERSTUDY_MONITOR: "nonsense" is not of the form host:port`)
}

func TestUpdate(t *testing.T) {
	f := newFake(t)
	f.on("PATCH /v1/state", map[string]string{"name": "Ada", "color": "<red>", "id": "1"})
	file := filepath.Join(t.TempDir(), "changes")
	require.NoError(t, os.WriteFile(file, []byte("# a person\nname=Ada\ncolor=<red>\n"), 0o600))
	got := f.run(t, "-update", "-file", file)
	require.Equal(t, result{problem.ExitDone, "{\n  \"color\": \"<red>\",\n  \"id\": \"1\",\n  \"name\": \"Ada\"\n}\n", ""}, got)
	require.Equal(t, []string{`PATCH /v1/state {"color":"<red>","name":"Ada"}`}, f.requests())
}

func TestUpdateFromStandardInput(t *testing.T) {
	f := newFake(t)
	f.on("PATCH /v1/state", map[string]string{"name": "Ada"})
	got := run(t, "name=Ada\n", "-monitor", f.address, "-update", "-file", "-")
	require.Equal(t, problem.ExitDone, got.code)
	require.Equal(t, []string{`PATCH /v1/state {"name":"Ada"}`}, f.requests())
}

func TestUpdateSendsNothingOfABadFile(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]struct{ file, want string }{
		"no =":        {"name=Ada\nsurname\n", `line 2: "surname" has no "=": write key=value (nothing was sent)`},
		"a duplicate": {"a=1\na=2\n", `line 2: the key "a" stands on line 1 already`},
		"empty":       {"# nothing\n", "holds no key=value line"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			file := filepath.Join(dir, "changes")
			require.NoError(t, os.WriteFile(file, []byte(tt.file), 0o600))
			got := f.run(t, "-update", "-file", file)
			require.Equal(t, problem.ExitFailed, got.code)
			require.Empty(t, got.out)
			require.Contains(t, got.errors, tt.want)
			require.Contains(t, got.errors, file)
			require.Empty(t, f.requests())
		})
	}
	f := newFake(t)
	got := f.run(t, "-update", "-file", filepath.Join(dir, "missing"))
	require.Equal(t, problem.ExitFailed, got.code)
	require.Contains(t, got.errors, "no such file")
	require.Empty(t, f.requests())
}

func TestRefusalsHaveTheirExitCodes(t *testing.T) {
	for code, want := range map[problem.Code]int{
		problem.NotUpdatable:   problem.ExitRefused,
		problem.OutcomeUnknown: problem.ExitUnavailable,
		problem.NoPrimary:      problem.ExitUnavailable,
		problem.TooLarge:       problem.ExitFailed,
	} {
		f := newFake(t)
		f.on("PUT /v1/kv/name", problem.Errorf(code, "the reason why"))
		got := f.run(t, "-timeout", "500ms", "-put", "name=Ada")
		require.Equal(t, want, got.code, code)
		require.Empty(t, got.out)
		require.Contains(t, got.errors, "client: the reason why")
	}
}

func TestAnUnreachableMonitor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	got := run(t, "", "-monitor", ln.Addr().String(), "-timeout", "400ms", "-status")
	require.Equal(t, problem.ExitUnavailable, got.code)
	require.Equal(t, "client: no monitor answered at "+ln.Addr().String()+": connect: connection refused: is one running? start one with go run ./deploy/local, or name another with -monitor\n", got.errors)
}

func TestGetState(t *testing.T) {
	for _, flag := range []string{"-get-state", "-get_state", "--get-state"} {
		f := newFake(t)
		f.on("GET /v1/state", map[string]any{"b": "2", "a": map[string]string{"base64": "/w=="}})
		got := f.run(t, flag, "standby")
		require.Equal(t, result{problem.ExitDone, "{\n  \"a\": {\n    \"base64\": \"/w==\"\n  },\n  \"b\": \"2\"\n}\n", ""}, got)
		require.Equal(t, []string{"GET /v1/state?from=standby"}, f.requests())
	}
}

func TestGet(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/kv/raw", "\xff\x00")
	f.on("GET /v1/kv/name", "Ada")
	require.Equal(t, result{problem.ExitDone, "\xff\x00\n", ""}, f.run(t, "-get", "raw"))
	require.JSONEq(t, `{"key":"name","value":"Ada","etag":"\"3.9\""}`, f.run(t, "-get", "name", "-o", "json").out)
	require.JSONEq(t, `{"key":"raw","base64":"/wA=","etag":"\"3.9\""}`, f.run(t, "-get", "raw", "-o", "json").out)
	require.Equal(t, result{problem.ExitFailed, "", "client: there is no key \"other\"\n"}, f.run(t, "-get", "other"))
}

func TestPutAndDelete(t *testing.T) {
	f := newFake(t)
	f.on("PUT /v1/kv/a/b", "")
	f.on("DELETE /v1/kv/a/b", "")
	require.Equal(t, result{problem.ExitDone, "set \"a/b\" at 3.9, copies: 2\n", ""}, f.run(t, "-put", "a/b=x=y"))
	require.Equal(t, result{problem.ExitDone, "deleted \"a/b\" at 3.9, copies: 2\n", ""}, f.run(t, "-delete", "a/b"))
	require.JSONEq(t, `{"key":"a/b","position":"3.9","copies":2}`, f.run(t, "-put", "a/b=x", "-o", "json").out)
	require.Equal(t, []string{"PUT /v1/kv/a%2Fb x=y", "DELETE /v1/kv/a%2Fb", "PUT /v1/kv/a%2Fb x"}, f.requests())
	require.Equal(t, result{problem.ExitFailed, "", "client: there is no key \"other\"\n"}, f.run(t, "-delete", "other"))
}

func TestStatusAndHistory(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/cluster", wire.Cluster{Cluster: "c1", Leader: "m1"})
	f.on("GET /v1/history", wire.History{Cluster: "c1", Events: []protocol.HistoryEvent{{Kind: "founded", Detail: "cluster c1 founded"}}})
	require.Contains(t, f.run(t, "-status").out, "cluster c1, led by m1")
	require.Contains(t, f.run(t, "-history").out, "cluster c1 founded")

	var c wire.Cluster
	require.NoError(t, json.Unmarshal([]byte(f.run(t, "-status", "-o", "json").out), &c))
	require.Equal(t, "c1", c.Cluster)
	var h wire.History
	require.NoError(t, json.Unmarshal([]byte(f.run(t, "-history", "-o", "json").out), &h))
	require.Equal(t, "founded", h.Events[0].Kind)
}

func TestKill(t *testing.T) {
	f := newFake(t)
	f.on("POST /v1/nodes/app2/kill", wire.Killed{Node: "app2"})
	require.Equal(t, result{problem.ExitDone, "killed app2\n", ""}, f.run(t, "-kill", "app2"))
	f.on("POST /v1/nodes/app1/kill", problem.Errorf(problem.Forbidden, "app1 runs without -allow-kill"))
	require.Equal(t, result{problem.ExitRefused, "", "client: app1 runs without -allow-kill\n"}, f.run(t, "-kill", "app1"))
}

func cluster(g wire.GroupView) wire.Cluster {
	return wire.Cluster{Leader: "m1", Groups: []wire.GroupView{g}}
}

// killed makes the fake change to the given view when its primary is killed.
func (f *fake) killed(before, after wire.GroupView) {
	f.on("GET /v1/cluster", cluster(before))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers["POST /v1/nodes/"+before.Primary+"/kill"] = func(w http.ResponseWriter, _ *http.Request) {
		f.on("GET /v1/cluster", cluster(after))
		_ = json.NewEncoder(w).Encode(wire.Killed{Node: before.Primary})
	}
}

func TestKillPrimary(t *testing.T) {
	f := newFake(t)
	f.killed(wire.GroupView{Epoch: 3, Primary: "app1", Serving: true}, wire.GroupView{Epoch: 4, Primary: "app2", Serving: true})
	got := f.run(t, "-kill-primary")
	require.Equal(t, problem.ExitDone, got.code, got.errors)
	require.Regexp(t, `^killed app1\napp2 took over in epoch 4 after \d+ ms\n$`, got.out)
	require.Empty(t, got.errors)
}

func TestKillPrimaryWaitsUntilTheNextServes(t *testing.T) {
	f := newFake(t)
	f.killed(wire.GroupView{Epoch: 3, Primary: "app1", Serving: true}, wire.GroupView{Epoch: 4, Primary: "app2"})
	got := f.run(t, "-kill-primary", "-timeout", "100ms")
	require.Equal(t, problem.ExitUnavailable, got.code)
	require.Equal(t, "killed app1\n", got.out)
	require.Contains(t, got.errors, "nobody took over within 100ms: -status tells how things stand")
}

func TestKillPrimaryTellsWhyNobodyTakesOver(t *testing.T) {
	f := newFake(t)
	f.killed(
		wire.GroupView{Epoch: 3, Primary: "app1", Serving: true},
		wire.GroupView{Epoch: 3, Primary: "app1", Failover: wire.FailoverView{Reason: "app1 held the only copy: start it again"}},
	)
	got := f.run(t, "-kill-primary", "-timeout", "100ms")
	require.Equal(t, problem.ExitRefused, got.code)
	require.Equal(t, "killed app1\n", got.out)
	require.Equal(t, "client: nobody takes over now: app1 held the only copy: start it again\n"+
		"client: nobody took over within 100ms: app1 held the only copy: start it again\n", got.errors)
}

func TestKillPrimaryWithoutOne(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/cluster", wire.Cluster{})
	require.Equal(t, result{problem.ExitFailed, "", "client: " + errNoGroup.Error() + "\n"}, f.run(t, "-kill-primary"))
	f.on("GET /v1/cluster", cluster(wire.GroupView{Failover: wire.FailoverView{Reason: "no node has joined"}}))
	require.Equal(t, result{problem.ExitUnavailable, "", "client: group 0 has no primary to kill: no node has joined\n"}, f.run(t, "-kill-primary"))
	f.on("GET /v1/cluster", wire.Cluster{Groups: []wire.GroupView{{Primary: "app1", Epoch: 3}}})
	leaderless := f.run(t, "-kill-primary")
	require.Equal(t, problem.ExitUnavailable, leaderless.code)
	require.Contains(t, leaderless.errors, "no leader now")
	require.NotContains(t, strings.Join(f.requests(), "\n"), "POST")
}

func TestInterruption(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	code := Process{Args: []string{"-monitor", f.address, "-status"}, Env: func(string) string { return "" }, Stdout: &out, Stderr: &errs}.Run(ctx)
	require.NotZero(t, code)
	require.Equal(t, "client: interrupted: context canceled\n", errs.String())
}
