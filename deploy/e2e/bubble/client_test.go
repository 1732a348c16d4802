package bubble

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// client sends the tests' own requests from a host of its own.
type client struct {
	http     *http.Client
	monitors []string // addresses

	mu      sync.Mutex
	pending map[*pending]bool // the requests that are not answered yet
}

// pending is a request that is under way.
type pending struct {
	method, url string
	began       time.Time
}

func newClient(n *memnet.Net) *client {
	return &client{pending: map[*pending]bool{}, http: &http.Client{
		Transport:     &http.Transport{DialContext: n.Host(clientHost).Dial, DisableCompression: true, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what came back, or the error that stands for no answer.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// noAnswer stands for the code of an answer that did not come.
const noAnswer problem.Code = "none"

// code returns the problem's code, "" for a success.
func (a answer) code() problem.Code {
	switch {
	case a.err != nil:
		return noAnswer
	case a.status < http.StatusMultipleChoices:
		return ""
	case a.status == http.StatusTemporaryRedirect:
		return problem.NotPrimary
	}
	return problem.Parse(a.status, a.header, a.body).Code
}

// requestTimeout is longer than the hold: every request is answered.
const requestTimeout = 15 * time.Second

func (c *client) send(method, url, body string, header ...string) answer {
	return c.sendWithin(requestTimeout, method, url, body, header...)
}

func (c *client) sendWithin(limit time.Duration, method, url, body string, header ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	defer c.sends(method, url)()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: text, err: err}
}

// sends notes that a request is under way, until the returned function is called.
func (c *client) sends(method, url string) (answered func()) {
	p := &pending{method: method, url: url, began: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[p] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pending, p)
	}
}

// waiting returns the requests that were sent before a moment and are not answered.
func (c *client) waiting(before time.Time) (all []pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.pending {
		if p.began.Before(before) {
			all = append(all, *p)
		}
	}
	return all
}

// put writes a key through an address, the monitor's or a node's.
func (c *client) put(at, key, value string) answer {
	return c.send(http.MethodPut, at+"/v1/kv/"+key, value)
}

func (c *client) get(at, key string) answer {
	return c.send(http.MethodGet, at+"/v1/kv/"+key, "")
}

// state is a whole map and its position.
type state struct {
	values   map[string]string
	position string
}

// replica reads a node's own copy, as it is.
func (c *client) replica(name string) (state, error) {
	a := c.send(http.MethodGet, address(name)+"/v1/state", "", wire.HeaderConsistency, wire.Stale)
	if a.err != nil || a.code() != "" {
		return state{}, a.failure()
	}
	s := state{position: a.header.Get(wire.HeaderPosition)}
	return s, json.Unmarshal(a.body, &s.values)
}

func (a answer) failure() error {
	if a.err != nil {
		return a.err
	}
	return problem.Parse(a.status, a.header, a.body)
}

// cluster asks the monitors for the cluster, until one names itself the leader; the
// zero value if none does.
func (c *client) cluster() wire.Cluster {
	var out wire.Cluster
	for _, at := range c.monitors {
		if out = c.clusterAt(at); len(c.monitors) == 1 || slices.ContainsFunc(out.Monitors, func(m wire.MonitorView) bool { return m.Leader && m.Address == at }) {
			return out
		}
	}
	return wire.Cluster{}
}

// clusterAt asks one monitor for the cluster; the zero value if it does not answer.
func (c *client) clusterAt(at string) wire.Cluster {
	var out wire.Cluster
	if a := c.sendWithin(100*time.Millisecond, http.MethodGet, at+"/v1/cluster", ""); a.code() == "" {
		_ = json.Unmarshal(a.body, &out) // the zero value is an answer as well
	}
	return out
}

// heartbeat asks a node what it is.
func (c *client) heartbeat(name string) (wire.Heartbeat, error) {
	var hb wire.Heartbeat
	a := c.sendWithin(time.Second, http.MethodGet, address(name)+wire.PathProbe, "")
	if a.err != nil || a.code() != "" {
		return hb, a.failure()
	}
	return hb, json.Unmarshal(a.body, &hb)
}
