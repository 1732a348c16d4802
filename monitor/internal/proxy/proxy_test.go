package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
	"understudy.example/pkg/wire"
)

// directory is a fake [Directory].
type directory struct {
	mu      sync.Mutex // guards the fields below
	primary string
	epoch   protocol.Epoch
	standby string
	inSync  []string // standbys
	nodes   map[string]string
	changed chan struct{}
}

func (d *directory) Primary() (courier.Target, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return courier.Target{Name: d.primary, Address: d.nodes[d.primary], Epoch: d.epoch}, d.changed
}

// names makes a node the primary of the next epoch.
func (d *directory) names(primary string) {
	d.change(func(d *directory) {
		d.primary = primary
		d.epoch++
	})
}

// change changes what is told, and tells it.
func (d *directory) change(how func(d *directory)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how(d)
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *directory) InSync(protocol.GroupID) (all []courier.Target, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.inSync {
		all = append(all, courier.Target{Name: name, Address: d.nodes[name], Epoch: d.epoch})
	}
	return all, d.changed
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
		directory: &directory{primary: "app1", epoch: 1, standby: "app2", nodes: map[string]string{"app1": app1, "app2": app2}, changed: make(chan struct{})},
		registry:  prometheus.NewRegistry(),
	}
	s.proxy = New(Options{Directory: s.directory, Dial: new(net.Dialer).DialContext, Hold: hold, Registerer: s.registry})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.proxy.Run(ctx) })
	front := httptest.NewServer(s.proxy)
	s.url, s.client = front.URL, front.Client()
	tb.Cleanup(func() {
		s.proxy.courier.Drain()
		front.Close()
		cancel()
		running.Wait()
	})
	return s
}

// node starts a node that says that it is the primary, and returns its address.
func node(tb testing.TB, h http.HandlerFunc) string {
	tb.Helper()
	links := link.NewServer(asPrimary(h), link.ServerOptions{})
	n := httptest.NewServer(links)
	tb.Cleanup(func() {
		links.Close()
		n.Close()
	})
	return n.Listener.Addr().String()
}

func asPrimary(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/primary" {
			h(w, r)
		}
	})
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

func TestPassesARequestOn(t *testing.T) {
	var got *http.Request
	var body string
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got, body = r.Clone(context.Background()), string(data)
		w.Header().Set("ETag", `"1.7"`)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "done")
	}), "")
	for _, target := range []string{"/v1/kv/a%2Fb%20c//d", "/v1/kv/%c3%a9?x=%2f&&from=1&y", "/v1/kv/k?"} {
		a := s.do(t, "PUT", target, strings.NewReader("value"), "If-Match", `"1.6"`, "Prefer", "return=minimal", "X-Own", "no")
		require.Equal(t, http.StatusCreated, a.status)
		require.Equal(t, "done", a.body)
		require.Equal(t, `"1.7"`, a.header.Get("ETag"))

		require.Equal(t, target, got.RequestURI)
		require.Equal(t, "PUT", got.Method)
		require.Equal(t, "value", body)
		require.Equal(t, int64(5), got.ContentLength)
		require.Equal(t, `"1.6"`, got.Header.Get("If-Match"))
		require.Equal(t, "return=minimal", got.Header.Get("Prefer"))
		require.Empty(t, got.Header.Get("X-Own"), "only what the client API knows travels")
		id, err := requestid.Of(got.Header)
		require.NoError(t, err)
		require.True(t, id.OfSession(), "a write has an id")
	}
	s.do(t, "GET", "/v1/kv/k", nil)
	require.Empty(t, got.Header.Get(wire.HeaderRequest), "a read has none")
	s.do(t, "PUT", "/v1/kv/k", nil, "Idempotency-Key", "k1")
	require.Equal(t, "k1", got.Header.Get("Idempotency-Key"))
	require.Empty(t, got.Header.Get(wire.HeaderRequest), "the caller's own id stays")
	s.do(t, "PUT", "/v1/kv/k", nil, "Idempotency-Key", "").requireProblem(t, problem.BadRequest, "Idempotency-Key")
}

func TestPassesAnswersOfEveryShape(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", (5<<20)/16)
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/kv/large":
			_, _ = io.WriteString(w, large)
		case "/v1/kv/limit":
			_, _ = io.WriteString(w, large[:1<<20])
		case "/v1/kv/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/v1/kv/refused":
			problem.Write(w, problem.Errorf(problem.NotUpdatable, "no"))
		default:
			w.Header().Set("Content-Length", "7")
		}
	}), "")
	require.Equal(t, large, s.do(t, "GET", "/v1/kv/large", nil).body)
	require.Equal(t, large[:1<<20], s.do(t, "GET", "/v1/kv/limit", nil).body)
	require.Equal(t, http.StatusNoContent, s.do(t, "DELETE", "/v1/kv/nothing", nil).status)
	s.do(t, "PUT", "/v1/kv/refused", nil).requireProblem(t, problem.NotUpdatable, "no")
	head := s.do(t, "HEAD", "/v1/kv/k", nil)
	require.Equal(t, http.StatusOK, head.status)
	require.Equal(t, "7", head.header.Get("Content-Length"))

	// A chunked request of unknown length.
	require.Equal(t, http.StatusNoContent, s.do(t, "PUT", "/v1/kv/nothing", io.MultiReader(strings.NewReader("x"))).status)
}

func TestABrokenLargeAnswerBreaksTheCallersConnection(t *testing.T) {
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 4<<20))
		panic(http.ErrAbortHandler)
	}), "")
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/state", nil)
	require.NoError(t, err)
	got, err := s.client.Do(r)
	if err == nil {
		defer got.Body.Close()
		_, err = io.Copy(io.Discard, got.Body)
	}
	require.Error(t, err, "a cut answer must not look whole")
}

func TestWithoutAPrimaryTheHoldEnds(t *testing.T) {
	s := newSetup(t, 50*time.Millisecond, "127.0.0.1:1", "")
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		s.do(t, method, "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "waited for ")
	}
	require.Equal(t, http.StatusServiceUnavailable, s.do(t, "HEAD", "/v1/state", nil).status)
}

func TestAWriteOfUnknownOutcomeNamesItsKey(t *testing.T) {
	free := make(chan struct{})
	s := newSetup(t, 100*time.Millisecond, node(t, func(http.ResponseWriter, *http.Request) { <-free }), "")
	defer close(free)
	require.Eventually(t, s.proxy.courier.Open, 5*time.Second, time.Millisecond)
	a := s.do(t, "PUT", "/v1/kv/k", strings.NewReader("v"))
	a.requireProblem(t, problem.OutcomeUnknown, "ask again with the same request and Idempotency-Key: us1.")
	require.NotEmpty(t, a.problem.Key)
	_, err := requestid.ParseKey(a.problem.Key)
	require.NoError(t, err)
	s.do(t, "GET", "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "app1 did not answer")
}

// A caller sees one slow request where a primary is replaced.
func TestAFailoverIsAPause(t *testing.T) {
	free := make(chan struct{})
	defer close(free)
	arrived := make(chan string, 8)
	s := newSetup(t, time.Minute, node(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get(wire.HeaderRequest)
		<-free
	}), node(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get(wire.HeaderRequest))
	}))
	answers := make(chan answer, 2)
	for _, method := range []string{"PUT", "GET"} {
		go func() {
			a, err := s.try(t.Context(), method, "/v1/kv/k", nil)
			a.body += fmt.Sprint(err)
			answers <- a
		}()
	}
	first, second := <-arrived, <-arrived
	s.names("app2")
	for range 2 {
		a := <-answers
		require.Equal(t, http.StatusOK, a.status)
		require.Contains(t, []string{first + "<nil>", second + "<nil>"}, a.body, "the id is the same at both")
	}
}

func TestTooLarge(t *testing.T) {
	var whole atomic.Int64
	s := newSetup(t, 0, node(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	}), "")
	fits := strings.Repeat("x", MaxRequest)
	require.Equal(t, http.StatusOK, s.do(t, "PUT", "/v1/kv/k", strings.NewReader(fits)).status)
	require.Equal(t, int64(1), whole.Load())
	s.do(t, "PUT", "/v1/kv/k", strings.NewReader(fits+"x")).requireProblem(t, problem.TooLarge, "8388608")
	s.do(t, "PUT", "/v1/kv/k", io.MultiReader(strings.NewReader(fits+"x"))).requireProblem(t, problem.TooLarge, "8388608")
	require.Equal(t, int64(1), whole.Load(), "the node never got a whole request")
	require.Zero(t, s.proxy.admission.bytes.Load())
	require.Zero(t, s.proxy.admission.requests.Load())
}

func TestFrom(t *testing.T) {
	seen := make(chan *http.Request, 1)
	handler := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(wire.HeaderNode, name)
			w.Header().Set(wire.HeaderPosition, "3.9")
			seen <- r.Clone(context.Background())
		}
	}
	s := newSetup(t, 0, node(t, handler("app1")), node(t, handler("app2")))
	for _, c := range []struct{ query, node, uri, level string }{
		{"?from=standby", "app2", "/v1/state", wire.Stale},
		{"?from=app2&x=%2f", "app2", "/v1/state?x=%2f", wire.Stale},
		{"?a&fr%6fm=app1&b", "app1", "/v1/state?a&b", wire.Stale},
		{"?from=primary", "app1", "/v1/state", ""},
		{"?from=app2&from=app1", "app2", "/v1/state", wire.Stale},
	} {
		a := s.do(t, "GET", "/v1/state"+c.query, nil)
		require.Equal(t, c.node, a.header.Get(wire.HeaderNode), c.query)
		r := <-seen
		require.Equal(t, c.uri, r.RequestURI)
		require.Equal(t, c.level, r.Header.Get(wire.HeaderConsistency))
	}
	plain := s.do(t, "GET", "/v1/state", nil)
	require.Equal(t, "app1", plain.header.Get(wire.HeaderNode))
	require.Empty(t, (<-seen).Header.Get(wire.HeaderConsistency))

	s.do(t, "GET", "/v1/state?from=app9", nil).requireProblem(t, problem.NotFound, `no node is named "app9"; the nodes are: app1, app2`)
	s.do(t, "GET", "/v1/state?from=", nil).requireProblem(t, problem.BadRequest, "must be primary, standby or the name")
	s.do(t, "PATCH", "/v1/state?from=standby", nil).requireProblem(t, problem.BadRequest, "PATCH")
	s.mu.Lock()
	s.standby = ""
	s.mu.Unlock()
	s.proxy.SetHold(100 * time.Millisecond)
	s.do(t, "GET", "/v1/state?from=standby", nil).requireProblem(t, problem.NoPrimary, "no standby")
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
	s := newSetup(t, 0, node(t, func(http.ResponseWriter, *http.Request) {}), "127.0.0.1:1")
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
	s.names("app2")
	require.Eventually(t, func() bool { return !s.proxy.courier.Open() }, 5*time.Second, time.Millisecond)
	s.proxy.SetHold(100 * time.Millisecond)
	s.do(t, "PUT", "/v1/kv/k", nil)
	counts := func() error {
		return testutil.GatherAndCompare(s.registry, strings.NewReader(`
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
# HELP understudy_proxy_held_requests Requests that wait at this monitor for a primary.
# TYPE understudy_proxy_held_requests gauge
understudy_proxy_held_requests 0
`), "understudy_proxy_requests_total", "understudy_proxy_held_requests")
	}
	// The last answer is counted a moment after its caller has it.
	require.Eventually(t, func() bool { return counts() == nil }, 5*time.Second, time.Millisecond, "%v", counts())
}

func FuzzFromOf(f *testing.F) {
	f.Add("from=standby")
	f.Add("a=1&from=%zz&b=&&from=x")
	f.Fuzz(func(t *testing.T, query string) {
		of := func(query string) (string, string, bool) {
			return fromOf(&http.Request{URL: &url.URL{Path: statePath, RawQuery: query}})
		}
		_, rest, asked := of(query)
		if !asked {
			return
		}
		again, _, more := of(rest)
		require.False(t, more)
		require.Empty(t, again)
	})
}
