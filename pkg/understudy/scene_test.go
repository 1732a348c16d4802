package understudy

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/link"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// scene is a cluster that a test plays, with a client, in a bubble. Its nodes
// share one group: what one of them was told, the next primary knows.
type scene struct {
	*Client
	t     *testing.T
	net   *memnet.Net
	group *group
	stop  map[string]func() // by host
	serve sync.WaitGroup
	log   story

	monitors map[string]*monitor
}

// story is what the client logs, to be shown if the test fails.
type story struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

// Write implements io.Writer.
func (s *story) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// play runs fn with nodes a and b and the monitors given, of which a is known to
// be the primary.
func play(t *testing.T, monitors []string, fn func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, net: memnet.New(1), group: newGroup(), stop: map[string]func(){}, monitors: map[string]*monitor{}}
		s.startNode("a")
		s.startNode("b")
		s.group.leads("a")
		var addresses []string
		for _, m := range monitors {
			s.startMonitor(m)
			addresses = append(addresses, m+":8080")
		}
		s.names("a", 1)
		var err error
		s.Client, err = Open(Options{Monitors: addresses, Dial: s.net.Host("client").Dial, Log: zerolog.New(&s.log)})
		require.NoError(t, err)
		defer s.end()
		fn(t, s)
	})
}

// end stops everything, and checks that nothing is left of the client.
func (s *scene) end() {
	s.Close()
	s.net.HealAll()
	for name := range s.monitors {
		s.net.Unfreeze(name)
		s.net.Host(name) // a machine without power keeps its connections until it returns
	}
	for _, stop := range s.stop {
		stop()
	}
	s.serve.Wait()
	synctest.Wait()
	if s.t.Failed() {
		s.t.Log(s.log.text.String())
	} else {
		require.Zero(s.t, s.net.Open(), "connections are left")
	}
	s.net.Close()
}

// run serves a handler at a host.
func (s *scene) run(host, port string, h http.Handler, last func()) {
	ln, err := s.net.Host(host).Listen(s.t.Context(), host+":"+port)
	require.NoError(s.t, err)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	s.serve.Go(func() { _ = srv.Serve(ln) })
	s.stop[host] = func() {
		delete(s.stop, host)
		_ = srv.Close()
		last()
	}
}

func (s *scene) startNode(name string) {
	n := &node{group: s.group, name: name}
	links := link.NewServer(http.HandlerFunc(n.ServeHTTP), link.ServerOptions{})
	mux := http.NewServeMux()
	mux.Handle(link.Path, links)
	mux.Handle("/", n)
	s.run(name, "8081", mux, links.Close)
}

// crash ends a host's process as kill -9 does.
func (s *scene) crash(host string) {
	s.net.Crash(host)
	s.stop[host]()
}

func (s *scene) startMonitor(name string) {
	m := s.monitors[name]
	if m == nil {
		m = &monitor{changed: make(chan struct{})}
		s.monitors[name] = m
	}
	m.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: m.told().Address})
			m.count(r.In)
		},
		Transport:     &http.Transport{DialContext: s.net.Host(name).Dial, DisableKeepAlives: true},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			problem.Write(w, problem.Errorf(problem.NoPrimary, "proxy: %v", err))
		},
	}
	s.run(name, "8080", m, func() {})
}

// names has every monitor say that a node is the primary of an epoch.
func (s *scene) names(node string, epoch protocol.Epoch) {
	for _, m := range s.monitors {
		m.say(node, epoch, true)
	}
}

// failover makes another node the primary.
func (s *scene) failover(to string) {
	s.names(to, s.group.leads(to))
}
