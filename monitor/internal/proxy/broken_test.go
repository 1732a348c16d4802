package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// writes are all the ways to change something, with and without a body, and
// with the header that Go's transport takes for leave to repeat.
var writes = []struct {
	method, body string
	header       []string
}{
	{"PUT", "v", nil},
	{"PUT", "", nil},
	{"DELETE", "", nil},
	{"PATCH", `{"a":"b"}`, nil},
	{"PUT", "", []string{"Idempotency-Key", "k"}},
	{"DELETE", "", []string{"Idempotency-Key", "k"}},
	{"DELETE", "", []string{"X-Idempotency-Key", "k"}},
	{"POST", "", []string{"Idempotency-Key", "k"}},
}

func bodyOf(text string) io.Reader {
	if text == "" {
		return nil
	}
	return strings.NewReader(text)
}

// breakingNode answers GET /v1/kv/ok and, after it has read a whole request for
// any other key, writes answer and breaks the connection. It counts those.
func breakingNode(t *testing.T, answer string) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path != "/v1/kv/ok" {
				requests.Add(1)
				_, _ = io.WriteString(c, answer)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String(), requests
}

func TestBrokenConnectionAfterAWrite(t *testing.T) {
	for what, partial := range map[string]string{
		"no answer":   "",
		"half a head": "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
		"nonsense":    "nonsense\r\n\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			address, requests := breakingNode(t, partial)
			s := newSetup(t, 0, address, address)
			for i, c := range writes {
				before := requests.Load()
				// A connection that has served before is the one on which the
				// transport would try again.
				require.Equal(t, "ok", s.do(t, "GET", "/v1/kv/ok", nil).body)
				s.do(t, c.method, "/v1/kv/k", bodyOf(c.body), c.header...).
					requireProblem(t, problem.OutcomeUnknown, "may have applied the write")
				require.Equal(t, before+1, requests.Load(), "case %d was sent twice", i)
			}
			s.do(t, "GET", "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "did not answer")
			s.do(t, "GET", "/v1/state?from=app2", nil).requireProblem(t, problem.NoPrimary, "app2 did not answer")
		})
	}
}

func TestRefusedConnection(t *testing.T) {
	s := newSetup(t, 0, "127.0.0.1:1", "127.0.0.1:1")
	s.proxy.transport = newTransport(refused)
	for _, c := range writes {
		s.do(t, c.method, "/v1/kv/k", bodyOf(c.body), c.header...).requireProblem(t, problem.NoPrimary, "nothing was sent")
	}
	s.do(t, "GET", "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "nothing was sent")
}

func TestBrokenLargeAnswerBreaksTheCallersConnection(t *testing.T) {
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", maxBuffer+9))
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

func TestDeadline(t *testing.T) {
	free := make(chan struct{})
	s := newSetup(t, 50*time.Millisecond, node(t, func(http.ResponseWriter, *http.Request) { <-free }), "")
	defer close(free)
	s.do(t, "PUT", "/v1/kv/k", strings.NewReader("v")).requireProblem(t, problem.OutcomeUnknown, "app1 did not answer")
	s.do(t, "GET", "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "app1 did not answer")
}

func TestRetargetEndsWhatIsUnderWay(t *testing.T) {
	arrived, free := make(chan string, 8), make(chan struct{})
	slow := node(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.Method
		<-free
	})
	s := newSetup(t, time.Minute, slow, slow)
	type result struct {
		path string
		a    answer
		err  error
	}
	results := make(chan result, 3)
	ask := func(method, path string) {
		go func() {
			a, err := s.try(t.Context(), method, path, nil)
			results <- result{path, a, err}
		}()
		<-arrived
	}
	ask("PUT", "/v1/kv/k")
	ask("GET", "/v1/kv/k2")
	ask("GET", "/v1/state?from=app2")

	s.mu.Lock()
	s.primary, s.nodes["app3"] = "app3", node(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "new") })
	s.mu.Unlock()
	s.proxy.Retarget()
	for range 2 {
		r := <-results
		require.NoError(t, r.err)
		switch r.path {
		case "/v1/kv/k":
			r.a.requireProblem(t, problem.OutcomeUnknown, "app1 did not answer")
		case "/v1/kv/k2":
			r.a.requireProblem(t, problem.NoPrimary, "app1 did not answer")
		default:
			require.Fail(t, "the replica's own read was cut")
		}
	}
	require.Equal(t, "new", s.do(t, "PUT", "/v1/kv/k", nil).body)
	close(free)
	require.Equal(t, http.StatusOK, (<-results).a.status)
}

// closeTold is a connection that tells when it is closed on this side.
type closeTold struct {
	net.Conn
	closed chan<- struct{}
}

func (c closeTold) Close() error {
	defer func() { c.closed <- struct{}{} }()
	return c.Conn.Close()
}

// A node that dies closes its idle connections: they are not used again.
func TestIdleConnectionsOfADeadNode(t *testing.T) {
	n := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s := newSetup(t, 0, n.Listener.Addr().String(), "")
	closed := make(chan struct{}, 1)
	s.proxy.transport = newTransport(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return closeTold{c, closed}, nil
	})
	require.Equal(t, http.StatusOK, s.do(t, "PUT", "/v1/kv/k", strings.NewReader("v")).status)
	n.Close()
	<-closed
	s.do(t, "PUT", "/v1/kv/k", strings.NewReader("v")).requireProblem(t, problem.NoPrimary, "nothing was sent")
}

// With the deadline before the connection is made, nothing can have been sent.
func TestDeadlineWhileDialling(t *testing.T) {
	p := New(Options{
		Directory: &directory{primary: "app1", serving: true, nodes: map[string]string{"app1": "127.0.0.1:1"}},
		Hold:      20 * time.Millisecond, Registerer: prometheus.NewRegistry(), Dial: silent,
	})
	defer p.Close()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "PUT", "/v1/kv/k", strings.NewReader("v")))
	require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
}
