package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// fakeReplica is a replica alone. Each field may be set before a request.
type fakeReplica struct {
	mu        sync.Mutex // guards m, reads and writes
	m         *store.Map
	reads     []fakeRead
	writes    int // requests that reached Write
	readErr   func(level store.Level) error
	writeErr  error
	primary   string
	heartbeat wire.Heartbeat
	peers     []wire.Peer
	feed      fakeFeed
}

type fakeRead struct {
	level store.Level
	at    protocol.Position
}

func (f *fakeReplica) Read(_ context.Context, level store.Level, at protocol.Position) (*store.View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, fakeRead{level, at})
	if f.readErr != nil {
		if err := f.readErr(level); err != nil {
			return nil, err
		}
	}
	return f.m.View(), nil
}

func (f *fakeReplica) Write(_ context.Context, req *store.Request) (store.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.writeErr != nil {
		return store.Outcome{}, f.writeErr
	}
	v := f.m.JudgeOnce(req, 0)
	pos := v.Position
	if v.Recorded {
		pos = protocol.Position{Epoch: 3, Seq: f.m.Position().Seq + 1}
		if err := f.m.ApplyBatch(pos, store.AppendAnswered(nil, req, v.Status), store.AppendBatch(nil, 0, v.Effects)); err != nil {
			panic(err)
		}
	}
	return store.Outcome{View: f.m.View(), Position: pos, Copies: 2, Missing: v.Missing, Repeated: v.Repeated}, v.Err
}

func (f *fakeReplica) Status() wire.Heartbeat { return f.heartbeat }

func (f *fakeReplica) PrimaryAddress() string { return f.primary }

// apply applies ops as the next record of epoch 3.
func (f *fakeReplica) apply(ops ...store.Op) {
	pos := protocol.Position{Epoch: 3, Seq: f.m.Position().Seq + 1}
	if err := f.m.ApplyBatch(pos, nil, store.AppendBatch(nil, 0, ops)); err != nil {
		panic(err)
	}
}

func set(key, value string) store.Op { return store.Op{Key: key, Value: []byte(value)} }

// node is a node's interface under test, a primary named app1.
type node struct {
	*fakeReplica
	t      *testing.T
	router http.Handler
	killed bool
	alive  error
	opts   Options
}

func newNode(t *testing.T, ops ...store.Op) *node {
	f := &fakeReplica{m: store.NewMap(), primary: "10.0.0.1:8081"}
	f.heartbeat = wire.Heartbeat{V: wire.Format, Name: "app1", Address: "10.0.0.1:8081", State: protocol.StatePrimary}
	f.heartbeat.Groups = []wire.GroupStatus{{Role: protocol.RolePrimary, State: protocol.StatePrimary, Serving: true, Version: 7}}
	for _, op := range ops {
		f.apply(op)
	}
	n := &node{fakeReplica: f, t: t}
	n.opts = Options{
		Replica: f, Name: "app1", AllowKill: true, Log: zerolog.Nop(),
		Kill:    func() { n.killed = true },
		Alive:   func() error { return n.alive },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) }),
	}
	n.router = New(n.opts)
	return n
}

// becomeStandby makes the node an in-sync standby of 10.0.0.2.
func (n *node) becomeStandby() {
	n.primary = "10.0.0.2:8082"
	n.heartbeat.State = protocol.StateStandby
	n.heartbeat.Groups = []wire.GroupStatus{{Role: protocol.RoleStandby, State: protocol.StateStandby}}
	err := problem.Errorf(problem.NotPrimary, "app1 is a standby")
	n.writeErr = err
	n.readErr = func(level store.Level) error {
		if level == store.Linearizable {
			return err
		}
		return nil
	}
}

// do sends a request; headers are "Name: value".
func (n *node) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	n.t.Helper()
	r := httptest.NewRequestWithContext(n.t.Context(), method, target, strings.NewReader(body))
	for _, line := range headers {
		name, value, ok := strings.Cut(line, ": ")
		require.True(n.t, ok, line)
		r.Header.Add(name, value)
	}
	return n.send(r)
}

func (n *node) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	n.router.ServeHTTP(w, r)
	return w
}

// refused checks an error answer.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code problem.Code, sentence string) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
	require.Equal(t, "app1", w.Header().Get(wire.HeaderNode))
	err := problem.Parse(w.Code, w.Header(), w.Body.Bytes())
	require.Equal(t, code, err.Code)
	require.ErrorContains(t, err, sentence)
}

func (f *fakeReplica) Peers() []wire.Peer { return f.peers }
