package proxy

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/link"
	"understudy.example/pkg/wire"
)

// replica is a fake node, and the primary as well.
type replica struct {
	name  string
	asked atomic.Int64
	mu    sync.Mutex // guards does
	// does is how it answers; nil: after a millisecond.
	does func(ctx context.Context) (*link.Response, error)
}

func (r *replica) behaves(does func(ctx context.Context) (*link.Response, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.does = does
}

// Do answers a request.
func (r *replica) Do(ctx context.Context, _ *link.Request) (*link.Response, error) {
	r.asked.Add(1)
	r.mu.Lock()
	does := r.does
	r.mu.Unlock()
	if does == nil {
		does = r.after(time.Millisecond)
	}
	return does(ctx)
}

// conn leads to a replica until it is closed.
type conn struct {
	*replica
	open  context.Context
	close func()
}

// Do implements [courier.Node].
func (c *conn) Do(ctx context.Context, r *link.Request) (*link.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()
	return c.replica.Do(ctx, r)
}

// Retire implements [courier.Node]. There is an answer that nobody reads to its
// end.
func (c *conn) Retire(ctx context.Context) {
	c.close()
	<-ctx.Done()
}

// after answers so late, unless nobody waits for it any more.
func (r *replica) after(d time.Duration) func(context.Context) (*link.Response, error) {
	return func(ctx context.Context) (*link.Response, error) {
		select {
		case <-time.After(d):
			return answerOf(r.name, http.StatusOK), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func answerOf(node string, status int) *link.Response {
	return &link.Response{Status: status, Header: http.Header{wire.HeaderNode: {node}}}
}

// trio is a spread over the primary app1 and the standbys app2 and app3.
type trio struct {
	*spread
	t         *testing.T
	replicas  map[string]*replica
	directory *directory
	registry  *prometheus.Registry
}

const holdOfTrio = 10 * time.Second

// inTrio runs a test in a bubble.
func inTrio(t *testing.T, test func(t *testing.T, s *trio)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &trio{t: t, replicas: map[string]*replica{}, registry: prometheus.NewRegistry()}
		s.directory = &directory{primary: "app1", epoch: 1, inSync: []string{"app2", "app3"}, nodes: map[string]string{}, changed: make(chan struct{})}
		for _, name := range []string{"app1", "app2", "app3"} {
			s.replicas[name] = &replica{name: name}
			s.directory.nodes[name] = name
		}
		s.spread = &spread{
			directory: s.directory,
			connect: func(address string) courier.Node {
				c := &conn{replica: s.replicas[address]}
				c.open, c.close = context.WithCancel(context.Background())
				return c
			},
			primary:  s.replicas["app1"].Do,
			hold:     func() time.Duration { return holdOfTrio },
			measures: newReadMetrics(s.registry, s.directory.Nodes),
		}
		s.registry.MustRegister(newWeights(s.spread))
		s.on.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.run(ctx) })
		synctest.Wait()
		test(t, s)
		cancel()
		running.Wait()
	})
}

// read reads a key, and returns who answered and after how long.
func (s *trio) read() (node string, took time.Duration) {
	s.t.Helper()
	began := time.Now()
	res, err := s.do(s.t.Context(), readKey, &link.Request{Method: http.MethodGet, Target: "/v1/kv/k"})
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, res.Status)
	return nodeOf(res.Header), time.Since(began)
}

// shares reads n times, one after the other, and counts who answers.
func (s *trio) shares(n int) map[string]int {
	s.t.Helper()
	counts := map[string]int{}
	for range n {
		node, _ := s.read()
		counts[node]++
	}
	return counts
}

// alike is what everybody answers of three times n reads.
func alike(n int) map[string]int { return map[string]int{"app1": n, "app2": n, "app3": n} }
