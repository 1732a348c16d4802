package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// watchNode is a fake node that is watched. Each watch is given the next of its
// scripts: blocks to send, and what happens then.
type watchNode struct {
	mu      sync.Mutex // guards the fields below
	scripts []script
	asked   []string // query and Last-Event-ID of each watch
	ended   int      // watches that are over
}

type script struct {
	refusal error
	blocks  string
	then    end
}

// end is how a script ends.
type end uint8

const (
	silent end = iota // until the reader goes
	finish            // in order
	breaks            // in the middle of a word
)

func (n *watchNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.asked = append(n.asked, strings.TrimSpace(r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID")))
	s := script{refusal: problem.Errorf(problem.NoPrimary, "nothing more to say")}
	if len(n.scripts) > 0 {
		s, n.scripts = n.scripts[0], n.scripts[1:]
	}
	n.mu.Unlock()
	defer func() { n.mu.Lock(); n.ended++; n.mu.Unlock() }()
	if s.refusal != nil {
		problem.Write(w, s.refusal)
		return
	}
	w.Header().Set("Content-Type", sse.ContentType)
	w.Header().Set(wire.HeaderNode, "app")
	w.Header().Set(wire.HeaderPosition, "1.1")
	_, _ = io.WriteString(w, s.blocks)
	_ = http.NewResponseController(w).Flush()
	switch s.then {
	case silent:
		<-r.Context().Done()
	case breaks:
		panic(http.ErrAbortHandler)
	case finish:
	}
}

func (n *watchNode) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

func (n *watchNode) over() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended
}

// batches writes batches with the positions epoch.from to epoch.last.
func batches(epoch, from, last int) string {
	var b []byte
	for seq := from; seq <= last; seq++ {
		b = sse.Append(b, fmt.Sprintf("%d.%d", epoch, seq), wire.EventBatch, []byte(`{"n":1}`))
	}
	return string(b)
}

func lastWord(code problem.Code) string {
	text, _ := json.Marshal(problem.BodyOf(problem.Errorf(code, "so it is")))
	return string(sse.Append(nil, "", wire.EventError, text))
}

// watched is a proxy in front of two nodes, and a caller that watches.
type watched struct {
	*setup
	t    *testing.T
	a, b *watchNode
}

func newWatched(t *testing.T, hold time.Duration, a, b []script) *watched {
	w := &watched{t: t, a: &watchNode{scripts: a}, b: &watchNode{scripts: b}}
	w.setup = newSetup(t, hold, serve(t, w.a), serve(t, w.b))
	return w
}

// serve starts a node that says over its links that it is the primary.
func serve(t *testing.T, n *watchNode) string {
	links := link.NewServer(asPrimary(n.ServeHTTP), link.ServerOptions{})
	mux := http.NewServeMux()
	mux.Handle("/v1/watch", n)
	mux.Handle("/", links)
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		links.Close()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// open begins a watch through the proxy.
func (w *watched) open(query string, header ...string) *http.Response {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/v1/watch"+query, nil)
	require.NoError(w.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	answer, err := w.client.Do(r)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// expect reads blocks and compares their text.
func (w *watched) expect(in *sse.Reader, blocks string) {
	w.t.Helper()
	var got []byte
	for len(got) < len(blocks) {
		e, err := in.Next()
		require.NoError(w.t, err, "after %q", got)
		got = append(got, e.Raw...)
	}
	require.Equal(w.t, blocks, string(got))
}

func (w *watched) expectError(in *sse.Reader, code problem.Code, words string) {
	w.t.Helper()
	e, err := in.Next()
	require.NoError(w.t, err)
	require.Equal(w.t, wire.EventError, e.Name)
	var body problem.Body
	require.NoError(w.t, json.Unmarshal(e.Data, &body))
	require.Equal(w.t, code, body.Code)
	require.Contains(w.t, body.Detail, words)
	_, err = in.Next()
	require.Equal(w.t, io.EOF, err, "it ends in order")
}

const hello = "retry: 100\n\n"
