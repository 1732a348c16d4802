package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// group is the one group of a cluster.
const group protocol.GroupID = 0

const statePath = "/v1/state"

// fromOf takes the from parameter out of a request for the state: whose copy
// the caller wants. The rest of the query stays byte for byte as it was; the
// first of several counts.
func fromOf(r *http.Request) (from, rest string, asked bool) {
	if r.URL.RawQuery == "" || r.URL.Path != statePath {
		return "", "", false
	}
	var kept []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, value, _ := strings.Cut(part, "=")
		if k, err := url.QueryUnescape(key); err != nil || k != "from" {
			kept = append(kept, part)
			continue
		}
		if v, err := url.QueryUnescape(value); err == nil && !asked {
			from = v
		}
		asked = true
	}
	return from, strings.Join(kept, "&"), asked
}

// serveReplica answers with the state of the replica that the caller named.
func (p *Proxy) serveReplica(w http.ResponseWriter, r *http.Request, from, rest string) (int, error) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return 0, problem.Errorf(problem.BadRequest, "from= is for reading a replica's state; a %s goes to the primary without it", r.Method)
	case from == "":
		return 0, problem.Errorf(problem.BadRequest, "from= must be primary, standby or the name of a node")
	}
	release, err := p.admit(r, 0)
	if err != nil {
		return 0, err
	}
	defer release()
	req := &link.Request{Method: r.Method, Target: statePath, Header: r.Header}
	if rest != "" {
		req.Target += "?" + rest
	}
	res, err := p.ask(r.Context(), from, req)
	if err != nil {
		return 0, err
	}
	return res.Status, p.pass(w, res)
}

func (p *Proxy) ask(ctx context.Context, from string, req *link.Request) (*link.Response, error) {
	if from == "primary" {
		return p.courier.Do(ctx, req)
	}
	ctx, cancel := context.WithTimeout(ctx, p.courier.Hold())
	defer cancel()
	p.newest.demand(group, req.Header)
	if from == "standby" {
		return p.askStandby(ctx, req)
	}
	address, ok := p.directory.Replica(from)
	if !ok {
		names := slices.Sorted(slices.Values(p.directory.Nodes()))
		return nil, problem.Errorf(problem.NotFound, "no node is named %q; the nodes are: %s", from, strings.Join(names, ", "))
	}
	res, err := p.replicas.do(ctx, address, req)
	if err != nil {
		return nil, noPrimary("%s did not answer: %v", from, err)
	}
	return res, nil
}

// A caller who asks for a standby waits through a failover, which changes who
// that is, and not for one to be started.
const (
	standbyWait  = time.Second
	standbyPause = 20 * time.Millisecond // before another one is looked for
)

// askStandby asks the best standby, and another one if that is gone: who is a
// standby changes with a failover.
func (p *Proxy) askStandby(ctx context.Context, req *link.Request) (*link.Response, error) {
	patience := time.NewTimer(standbyWait)
	defer patience.Stop()
	for {
		name, address, ok := p.directory.Standby(group)
		why := errors.New("no standby can be reached now")
		if ok {
			res, err := p.replicas.do(ctx, address, req)
			if err == nil {
				return res, nil
			}
			why = errors.New(name + " did not answer: " + err.Error())
		}
		select {
		case <-ctx.Done():
			return nil, noPrimary("%v", why)
		case <-patience.C:
			return nil, noPrimary("%v", why)
		case <-time.After(standbyPause):
		}
	}
}

func noPrimary(format string, args ...any) error {
	e := problem.Errorf(problem.NoPrimary, format, args...)
	e.RetryAfter = retryAfter
	return e
}

// replicas keeps connections to the nodes whose copies are asked for by name.
type replicas struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	ctx      context.Context // ends with close
	cancel   context.CancelFunc
	retiring sync.WaitGroup // clients that made room for others

	mu    sync.Mutex              // guards nodes
	nodes map[string]*link.Client // by address
}

// maxReplicas bounds the nodes to which connections are kept. Addresses change
// seldom, so that starting afresh beyond it is good enough.
const maxReplicas = 32

func newReplicas(dial func(ctx context.Context, network, address string) (net.Conn, error)) *replicas {
	r := &replicas{dial: dial, nodes: map[string]*link.Client{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// do asks a node. That its client had to make room says nothing of the node.
func (r *replicas) do(ctx context.Context, address string, req *link.Request) (*link.Response, error) {
	for {
		res, err := r.node(address).Do(ctx, req)
		if !errors.Is(err, link.ErrClosed) || ctx.Err() != nil || r.ctx.Err() != nil {
			return res, err
		}
	}
}

func (r *replicas) node(address string) *link.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[address]
	if n == nil {
		if len(r.nodes) >= maxReplicas {
			r.makeRoom()
		}
		n = link.NewClient(link.ClientOptions{Dial: r.dial, Address: address})
		r.nodes[address] = n
	}
	return n
}

// makeRoom lets all clients go. An answer that has begun goes on to its end. mu is
// held.
func (r *replicas) makeRoom() {
	for _, n := range r.nodes {
		r.retiring.Go(func() { n.Retire(r.ctx) })
	}
	clear(r.nodes)
}

// close ends all connections, and what is under way on them.
func (r *replicas) close() {
	r.cancel()
	r.mu.Lock()
	r.makeRoom()
	r.mu.Unlock()
	r.retiring.Wait()
}
