package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The client's exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitRefused     = 4
)

// TestWrongInput gives every program what it must refuse: with a sentence, with
// the right exit code or status, and with the map as it was.
func TestWrongInput(t *testing.T) {
	s := tell(t)
	before := s.state("primary")
	t.Run("files", func(t *testing.T) { s.wrongFiles(t) })
	t.Run("command lines", func(t *testing.T) { s.wrongCommandLines(t) })
	t.Run("requests", func(t *testing.T) { s.wrongRequests(t) })
	t.Run("taken ports", func(t *testing.T) { s.takenPorts(t) })
	require.Equal(t, before, s.state("primary"))
	require.Equal(t, before, s.state("standby"))
	s.settled()
}

func (s *story) wrongFiles(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		code int
		says string
	}{
		"a read-only key":     {"name=Eve\ngender=x\n", exitRefused, `key "gender" cannot be updated, so nothing was: every key can be updated except "birth_place", "birth_year", "gender"; of the initial keys "email", "id", "name", "phone", "surname"`},
		"no equals sign":      {"name=Eve\n\nsurname\n", exitFailed, `line 3: "surname" has no "=": write key=value (nothing was sent)`},
		"an empty key":        {"name=Eve\n=x\n", exitFailed, "line 2: the key is empty"},
		"a key twice":         {"name=Eve\nid=2\nname=Mallory\n", exitFailed, `line 3: the key "name" stands on line 1 already`},
		"nothing":             {"", exitFailed, "the file holds no key=value line: there is nothing to update (nothing was sent)"},
		"comments only":       {"# name=Eve\n\n", exitFailed, "the file holds no key=value line"},
		"20 MiB":              {strings.Repeat("name=Eve\n", 20<<20/9), exitFailed, "the file is larger than 8 MiB: split it"},
		"a key over 1,024":    {strings.Repeat("k", 1025) + "=x\n", exitFailed, "has 1025 bytes: at most 1024 are possible"},
		"a value over 1 MiB":  {"name=" + strings.Repeat("x", 1<<20+1) + "\n", exitFailed, `line 1: the value of "name" has 1048577 bytes: at most 1048576 (1 MiB) are possible`},
		"a key that is space": {"name =Eve\n", exitFailed, "begins or ends with white space"},
		"no UTF-8":            {"name=Eve\nid=\xff\n", exitFailed, "line 2: it is not UTF-8 text"},
		"over 8 MiB as JSON":  {strings.Repeat("#", 10) + "\n" + many("name", 9), exitFailed, "split it"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
			refused(t, s.client("-update", "-file", file), c.code, c.says)
		})
	}
	refused(t, s.client("-update", "-file", filepath.Join(dir, "missing")), exitFailed, "missing: no such file or directory")
	refused(t, s.client("-update", "-file", dir), exitFailed, "is a directory: name a file of key=value lines")
}

// many returns so many lines of nearly 1 MiB each.
func many(key string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(key + string(rune('a'+i)) + "=" + strings.Repeat("x", 1<<20-100) + "\n")
	}
	return b.String()
}

// refused checks that a program has said why it did nothing.
func refused(t *testing.T, o outcome, code int, says string) {
	t.Helper()
	require.Equal(t, code, o.code, "stdout %s, stderr %s", o.stdout, o.stderr)
	require.Contains(t, o.stderr, says)
	require.Empty(t, o.stdout)
	require.Less(t, len(o.stderr), 1000, "a sentence, not a dump")
}

func (s *story) wrongCommandLines(t *testing.T) {
	refused(t, s.client("-updat", "-file", "x"), exitUsage, "unknown flag -updat: did you mean -update?")
	refused(t, s.client(), exitUsage, "no action is given")
	refused(t, s.client("-status", "-history"), exitUsage, "are several actions")
	refused(t, s.client("-update"), exitUsage, "-update needs a file of key=value lines")
	refused(t, s.client("-put", "name"), exitUsage, `"name" has no "=": write key=value`)
	refused(t, s.client("-put", "=x"), exitUsage, "the key is empty")
	refused(t, s.client("-get-state", "app9"), exitFailed, `no node is named "app9"; the nodes are: app1, app2`)
	refused(t, s.client("-get", "nothing"), exitFailed, `there is no key "nothing"`)
	refused(t, s.client("-delete", "gender"), exitRefused, `key "gender" cannot be updated`)
	refused(t, s.client("-kill", "app9"), exitFailed, `no node is named "app9"`)
	began := time.Now()
	refused(t, s.run(binaries.Client, "-monitor", "127.0.0.1:1", "-timeout", "300ms", "-put", "name=Eve"), exitUnavailable, "no monitor answered at 127.0.0.1:1")
	require.Less(t, time.Since(began), 2*time.Second)
	refused(t, s.run(binaries.Client, "-monitor", "nowhere", "-status"), exitUsage, `"nowhere" is not of the form host:port`)
	refused(t, s.run(binaries.Monitor, "-data", t.TempDir(), "-retrys", "3"), exitUsage, "unknown flag -retrys: did you mean -retries?")
	refused(t, s.run(binaries.Appnode, "-data", t.TempDir()), exitUsage, "a node needs a name: -name app1")
}

func (s *story) wrongRequests(t *testing.T) {
	state, key := "/v1/state", "/v1/kv/"
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code, says         string
	}{
		"no JSON":               {"PATCH", state, `{"name": "Eve"`, 400, "bad_request", "JSON"},
		"something after it":    {"PATCH", state, `{"name": "Eve"} x`, 400, "bad_request", "JSON"},
		"a number":              {"PATCH", state, `{"name": "Eve", "id": 7}`, 400, "bad_request", `\"id\"`},
		"an object":             {"PATCH", state, `{"name": {"first": "Eve"}}`, 400, "bad_request", `\"name\"`},
		"an array":              {"PATCH", state, `["name"]`, 400, "bad_request", "object"},
		"a key twice":           {"PATCH", state, `{"name": "Eve", "name": "Mallory"}`, 400, "bad_request", `\"name\"`},
		"an empty key":          {"PATCH", state, `{"": "x"}`, 400, "bad_request", "the key is empty"},
		"a read-only key":       {"PATCH", state, `{"name": "Eve", "gender": "x"}`, 422, "not_updatable", `\"gender\"`},
		"removing it":           {"PATCH", state, `{"name": "Eve", "gender": null}`, 422, "not_updatable", `\"gender\"`},
		"a value over 1 MiB":    {"PUT", key + "name", strings.Repeat("x", 1<<20+1), 413, "too_large", "1048576"},
		"in a patch":            {"PATCH", state, `{"name": "` + strings.Repeat("x", 1<<20+1) + `"}`, 413, "too_large", "1048576"},
		"a request over 8 MiB":  {"PATCH", state, `{"name": "` + strings.Repeat("x", 9<<20) + `"}`, 413, "too_large", "8388608"},
		"a key over 1,024":      {"PUT", key + strings.Repeat("k", 1025), "x", 400, "bad_request", "1025 bytes"},
		"no key":                {"PUT", key, "x", 400, "bad_request", "the key is empty"},
		"another method":        {"POST", key + "name", "x", 405, "bad_request", "POST"},
		"another path":          {"GET", "/v2/state", "", 404, "not_found", "/v2/state"},
		"a replica of no node":  {"GET", state + "?from=app9", "", 404, "not_found", "app9"},
		"a write to a replica":  {"PATCH", state + "?from=standby", `{"name": "Eve"}`, 400, "bad_request", "from="},
		"a heartbeat of no one": {"POST", "/v1/heartbeat", `{"v": 1}`, 400, "bad_request", "name"},
		"of another format":     {"POST", "/v1/heartbeat", `{"v": 99}`, 400, "unsupported_version", "99"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := s.call(5*time.Second, c.method, s.Monitor()+c.path, c.body)
			require.Equal(t, c.status, status, body)
			require.Contains(t, body, `"code":"`+c.code+`"`)
			require.Contains(t, body, c.says)
			require.Less(t, len(body), 1000)
		})
	}
	status, body := s.call(5*time.Second, http.MethodPut, s.Node("app2")+key+"name", "Eve")
	require.Equal(t, http.StatusTemporaryRedirect, status, "a standby takes no writes: %s", body)
}

func (s *story) takenPorts(t *testing.T) {
	taken := s.Node("app1")[len("http://"):]
	for program, args := range map[string][]string{
		binaries.Monitor: nil,
		binaries.Appnode: {"-name", "app3"},
	} {
		o := s.run(program, append(args, "-listen", taken, "-data", t.TempDir())...)
		require.Equal(t, exitFailed, o.code)
		lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
		last := lines[len(lines)-1]
		require.Contains(t, last, taken)
		require.Contains(t, last, "in use")
	}
}
