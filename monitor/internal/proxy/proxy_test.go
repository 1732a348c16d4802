package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// directory is a fake [Directory].
type directory struct {
	mu      sync.Mutex
	primary string
	serving bool
	standby string
	nodes   map[string]string
}

func (d *directory) Primary(protocol.GroupID) (string, string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.primary, d.nodes[d.primary], d.serving
}

func (d *directory) Standby(protocol.GroupID) (string, string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.standby, d.nodes[d.standby], d.standby != ""
}

func (d *directory) Replica(name string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.nodes[name]
	return a, ok
}

func (d *directory) Nodes() (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.nodes {
		names = append(names, n)
	}
	return names
}

// setup is a proxy on loopback in front of nodes.
type setup struct {
	*directory
	proxy    *Proxy
	url      string
	client   *http.Client
	registry *prometheus.Registry
}

// newSetup puts a proxy in front of the primary app1 and the standby app2.
func newSetup(tb testing.TB, hold time.Duration, app1, app2 string) *setup {
	tb.Helper()
	s := &setup{
		directory: &directory{primary: "app1", serving: true, standby: "app2", nodes: map[string]string{"app1": app1, "app2": app2}},
		registry:  prometheus.NewRegistry(),
	}
	s.proxy = New(Options{Directory: s.directory, Dial: new(net.Dialer).DialContext, Hold: hold, Registerer: s.registry})
	front := httptest.NewServer(s.proxy)
	s.url, s.client = front.URL, front.Client()
	tb.Cleanup(func() {
		s.proxy.Close()
		front.Close()
	})
	return s
}

func node(tb testing.TB, h http.HandlerFunc) string {
	tb.Helper()
	n := httptest.NewServer(h)
	tb.Cleanup(n.Close)
	return n.Listener.Addr().String()
}

// answer is what a caller got.
type answer struct {
	status  int
	header  http.Header
	body    string
	problem problem.Body
}

func (s *setup) do(tb testing.TB, method, path string, body io.Reader, header ...string) answer {
	tb.Helper()
	a, err := s.try(tb.Context(), method, path, body, header...)
	require.NoError(tb, err)
	return a
}

// try is do for goroutines other than the test's own.
func (s *setup) try(ctx context.Context, method, path string, body io.Reader, header ...string) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return a, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	got, err := s.client.Do(r)
	if err != nil {
		return a, err
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	a = answer{status: got.StatusCode, header: got.Header, body: string(data)}
	if err == nil && got.Header.Get("Content-Type") == problem.ContentType && method != http.MethodHead {
		err = json.Unmarshal(data, &a.problem)
	}
	return a, err
}

func (a answer) requireProblem(t *testing.T, code problem.Code, words string) {
	t.Helper()
	require.Equal(t, code, a.problem.Code, a.body)
	require.Equal(t, code.Meaning().Status, a.status)
	require.Contains(t, a.problem.Detail, words)
	if code == problem.NoPrimary {
		require.Equal(t, "1", a.header.Get("Retry-After"))
	}
}

func TestPassesARequestOnAsItIs(t *testing.T) {
	var got *http.Request
	var body string
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got, body = r, string(data)
		w.Header().Set("ETag", `"1.7"`)
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "no")
		w.Header().Add("Warning", "a")
		w.Header().Add("Warning", "b")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "done")
	}), "")
	for _, target := range []string{"/v1/kv/a%2Fb%20c//d", "/v1/kv/%c3%a9?x=%2f&&from=1&y", "/v1/kv/k?"} {
		a := s.do(t, "PUT", target, strings.NewReader("value"),
			"If-Match", `"1.6"`, "Idempotency-Key", "k1", "Connection", "X-Hop", "X-Hop", "no", "Te", "trailers")
		require.Equal(t, http.StatusCreated, a.status)
		require.Equal(t, "done", a.body)
		require.Equal(t, `"1.7"`, a.header.Get("ETag"))
		require.Equal(t, []string{"a", "b"}, a.header["Warning"])
		require.Empty(t, a.header.Get("X-Private"))

		require.Equal(t, target, got.RequestURI)
		require.Equal(t, "PUT", got.Method)
		require.Equal(t, "value", body)
		require.Equal(t, int64(5), got.ContentLength)
		require.Equal(t, `"1.6"`, got.Header.Get("If-Match"))
		require.Equal(t, "k1", got.Header.Get("Idempotency-Key"))
		require.Equal(t, s.nodes["app1"], got.Host)
		for _, hop := range []string{"Connection", "X-Hop", "Te", "Accept-Encoding"} {
			if hop != "Accept-Encoding" { // the test's own client asks for it
				require.Empty(t, got.Header.Get(hop), hop)
			}
		}
	}
}

func TestPassesAnswersOfEveryShape(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", (5<<20)/16)
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/kv/large":
			_, _ = io.WriteString(w, large)
		case "/v1/kv/limit":
			_, _ = io.WriteString(w, large[:maxBuffer])
		case "/v1/kv/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/v1/kv/refused":
			problem.Write(w, problem.Errorf(problem.NotUpdatable, "no"))
		default:
			w.Header().Set("Content-Length", "7")
		}
	}), "")
	require.Equal(t, large, s.do(t, "GET", "/v1/kv/large", nil).body)
	require.Equal(t, large[:maxBuffer], s.do(t, "GET", "/v1/kv/limit", nil).body)
	require.Equal(t, http.StatusNoContent, s.do(t, "DELETE", "/v1/kv/nothing", nil).status)
	s.do(t, "PUT", "/v1/kv/refused", nil).requireProblem(t, problem.NotUpdatable, "no")
	head := s.do(t, "HEAD", "/v1/kv/k", nil)
	require.Equal(t, http.StatusOK, head.status)
	require.Equal(t, "7", head.header.Get("Content-Length"))

	// A chunked request of unknown length.
	require.Equal(t, http.StatusNoContent, s.do(t, "PUT", "/v1/kv/nothing", io.MultiReader(strings.NewReader("x"))).status)
}

func TestWithoutAPrimary(t *testing.T) {
	s := newSetup(t, 0, "", "")
	s.serving = false
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		s.do(t, method, "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "app1 is the primary and does not serve yet")
	}
	s.primary = ""
	s.do(t, "GET", "/v1/state", nil).requireProblem(t, problem.NoPrimary, "no primary now")
	require.Equal(t, http.StatusServiceUnavailable, s.do(t, "HEAD", "/v1/state", nil).status)
}

func TestRedirectingPrimaryIsNone(t *testing.T) {
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1/v1/kv/k")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}), "")
	s.do(t, "PUT", "/v1/kv/k", strings.NewReader("v")).requireProblem(t, problem.NoPrimary, "app1 is no longer the primary")
}

func TestTooLarge(t *testing.T) {
	whole := make(chan struct{}, 8)
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole <- struct{}{}
		}
	}), "")
	fits := strings.Repeat("x", MaxRequest)
	require.Equal(t, http.StatusOK, s.do(t, "PUT", "/v1/kv/k", strings.NewReader(fits)).status)
	require.Len(t, whole, 1)
	s.do(t, "PUT", "/v1/kv/k", strings.NewReader(fits+"x")).requireProblem(t, problem.TooLarge, "8388608")
	s.do(t, "PUT", "/v1/kv/k", io.MultiReader(strings.NewReader(fits+"x"))).requireProblem(t, problem.TooLarge, "8388608")
	require.Len(t, whole, 1, "the node never got a whole request")
}

func TestFrom(t *testing.T) {
	seen := make(chan *http.Request, 1)
	handler := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(wire.HeaderNode, name)
			w.Header().Set(wire.HeaderPosition, "3.9")
			seen <- r
		}
	}
	s := newSetup(t, 0, node(t, handler("app1")), node(t, handler("app2")))
	for _, c := range []struct{ query, node, uri string }{
		{"?from=standby", "app2", "/v1/state"},
		{"?from=app2&x=%2f", "app2", "/v1/state?x=%2f"},
		{"?a&fr%6fm=app1&b", "app1", "/v1/state?a&b"},
		{"?from=primary", "app1", "/v1/state"},
		{"?from=app2&from=app1", "app2", "/v1/state"},
	} {
		a := s.do(t, "GET", "/v1/state"+c.query, nil)
		require.Equal(t, c.node, a.header.Get(wire.HeaderNode), c.query)
		r := <-seen
		require.Equal(t, c.uri, r.RequestURI)
		require.Equal(t, wire.Stale, r.Header.Get(wire.HeaderConsistency))
	}
	plain := s.do(t, "GET", "/v1/state", nil)
	require.Equal(t, "app1", plain.header.Get(wire.HeaderNode))
	require.Empty(t, (<-seen).Header.Get(wire.HeaderConsistency))

	s.do(t, "GET", "/v1/state?from=app9", nil).requireProblem(t, problem.NotFound, `no node is named "app9"; the nodes are: app1, app2`)
	s.do(t, "GET", "/v1/state?from=", nil).requireProblem(t, problem.BadRequest, "must be primary, standby or the name")
	s.do(t, "PATCH", "/v1/state?from=standby", nil).requireProblem(t, problem.BadRequest, "PATCH")
	s.standby = ""
	s.do(t, "GET", "/v1/state?from=standby", nil).requireProblem(t, problem.NoPrimary, "no standby")
	s.serving = false
	s.do(t, "GET", "/v1/state?from=primary", nil).requireProblem(t, problem.NoPrimary, "does not serve")
}

func TestReplicaIsAskedForTheNewestAnswer(t *testing.T) {
	position, asked := "", ""
	h := func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get(wire.HeaderPosition)
		w.Header().Set(wire.HeaderPosition, position)
	}
	s := newSetup(t, 0, node(t, h), node(t, h))
	s.do(t, "GET", "/v1/state?from=standby", nil)
	require.Empty(t, asked, "nothing has been answered yet")
	for _, position = range []string{"2.10", "2.9", "1.99", "", "nonsense"} {
		s.do(t, "PUT", "/v1/kv/k", nil)
		require.Empty(t, asked, "the primary is not asked for a position")
	}
	for own, want := range map[string]string{"": "2.10", "2.9": "2.10", "2.11": "2.11", "x": "x"} {
		s.do(t, "GET", "/v1/state?from=standby", nil, wire.HeaderPosition, own)
		require.Equal(t, want, asked, "the caller asked for %q", own)
	}
}

func TestMetrics(t *testing.T) {
	s := newSetup(t, 0, node(t, func(http.ResponseWriter, *http.Request) {}), "")
	for _, c := range [][2]string{
		{"GET", "/v1/state"},
		{"HEAD", "/v1/state"},
		{"PATCH", "/v1/state"},
		{"GET", "/v1/kv?prefix=a"},
		{"GET", "/v1/kv/k"},
		{"PUT", "/v1/kv/k"},
		{"DELETE", "/v1/kv/k"},
		{"BREW", "/v1/kv/k"},
	} {
		s.do(t, c[0], c[1], nil)
	}
	s.serving = false
	s.do(t, "PUT", "/v1/kv/k", nil)
	s.proxy.Close()
	require.NoError(t, testutil.GatherAndCompare(s.registry, strings.NewReader(`
# HELP understudy_proxy_requests_total Requests of the client API that this monitor answered, by operation and HTTP status.
# TYPE understudy_proxy_requests_total counter
understudy_proxy_requests_total{code="200",op="delete"} 1
understudy_proxy_requests_total{code="200",op="get"} 1
understudy_proxy_requests_total{code="200",op="list"} 1
understudy_proxy_requests_total{code="200",op="other"} 1
understudy_proxy_requests_total{code="200",op="patch"} 1
understudy_proxy_requests_total{code="200",op="put"} 1
understudy_proxy_requests_total{code="200",op="state"} 2
understudy_proxy_requests_total{code="503",op="put"} 1
`), "understudy_proxy_requests_total"))
	n, err := testutil.GatherAndCount(s.registry, "understudy_proxy_request_duration_seconds")
	require.NoError(t, err)
	require.Equal(t, 7, n)
}

func FuzzTakeFrom(f *testing.F) {
	f.Add("from=standby")
	f.Add("a=1&from=%zz&b=&&from=x")
	f.Fuzz(func(t *testing.T, query string) {
		_, rest, asked := takeFrom(query)
		again, same, more := takeFrom(rest)
		require.False(t, more)
		require.Empty(t, again)
		require.Equal(t, rest, same)
		if !asked {
			require.Equal(t, query, rest)
		}
	})
}

var _ Directory = (*directory)(nil)

// refused is a dial function to a node that is not there.
func refused(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: io.ErrClosedPipe}
}

// silent is a dial function to a node that never answers.
func silent(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
