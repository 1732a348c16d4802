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

func TestWatchIsPassedOn(t *testing.T) {
	text := hello + ": nothing new\n\n" + batches(1, 2, 4) + "id: 1.9\n\n"
	w := newWatched(t, 0, []script{{blocks: text}, {blocks: text}}, nil)
	answer := w.open("?prefix=a%2f&since=1.1", "Understudy-Consistency", "stale", "X-Own", "no")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	require.Equal(t, "app", answer.Header.Get(wire.HeaderNode))
	require.Equal(t, "1.1", answer.Header.Get(wire.HeaderPosition))
	w.expect(sse.NewReader(answer.Body, 1<<20), text)
	require.Equal(t, []string{"prefix=a%2f&since=1.1"}, w.a.requests())
	require.Equal(t, "1.9", w.proxy.newest.positions[group].String(), "a standby is not asked for less afterwards")
	require.EqualValues(t, 1, w.proxy.watches.open.Load())
}

func TestWatchGoesOnAtTheNextPrimary(t *testing.T) {
	first := hello + batches(1, 2, 4)
	for name, last := range map[string]script{
		"it breaks":         {blocks: first + "id: 1.5\nevent: batch\nda", then: breaks},
		"it ends":           {blocks: first, then: finish},
		"it says that":      {blocks: first + lastWord(problem.NoPrimary), then: finish},
		"it is only silent": {blocks: first, then: silent},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, 0, []script{last}, []script{{blocks: hello + batches(2, 5, 7)}})
			in := sse.NewReader(w.open("?since=1.1").Body, 1<<20)
			w.expect(in, first)
			w.names("app2")
			w.expect(in, hello+batches(2, 5, 7))
			require.Equal(t, []string{"since=1.1 1.4"}, w.b.requests())
			require.Equal(t, "since=1.1", w.a.requests()[0])
			require.Eventually(t, func() bool { return w.a.over() == len(w.a.requests()) }, time.Second, time.Millisecond)
		})
	}
}

// A state that was cut begins anew: only its last page has an id.
func TestACutStateBeginsAnew(t *testing.T) {
	page := string(sse.Append(nil, "", wire.EventSnapshot, []byte(`{"first":true}`)))
	whole := page + string(sse.Append(nil, "2.7", wire.EventSnapshot, []byte(`{"last":true}`)))
	w := newWatched(t, 0, []script{{blocks: page, then: breaks}}, []script{{blocks: whole, then: breaks}, {blocks: batches(2, 8, 8)}})
	in := sse.NewReader(w.open("?prefix=a").Body, 1<<20)
	w.expect(in, page)
	w.names("app2")
	w.expect(in, whole)
	w.expect(in, batches(2, 8, 8))
	require.Equal(t, []string{"prefix=a", "prefix=a 2.7"}, w.b.requests())
}

// Before the first id the caller's own word counts, at every node.
func TestTheCallersOwnIDCountsUntilThereIsAnother(t *testing.T) {
	w := newWatched(t, 0, []script{{blocks: hello, then: finish}, {blocks: hello, then: breaks}, {blocks: batches(1, 4, 4)}}, nil)
	in := sse.NewReader(w.open("?since=1.1", "Last-Event-ID", "1.3").Body, 1<<20)
	w.expect(in, hello+hello+batches(1, 4, 4))
	require.Equal(t, []string{"since=1.1 1.3", "since=1.1 1.3", "since=1.1 1.3"}, w.a.requests())
}

func TestARefusedWatch(t *testing.T) {
	for _, code := range []problem.Code{problem.Compacted, problem.HistoryLost, problem.BadRequest} {
		refusal := script{refusal: problem.Errorf(code, "so it is")}
		w := newWatched(t, 0, []script{refusal, {blocks: batches(1, 2, 2), then: finish}, refusal, {blocks: batches(1, 2, 2) + lastWord(code)}}, nil)
		w.do(t, "GET", "/v1/watch?since=1.1", nil).requireProblem(t, code, "so it is")
		for range 2 {
			in := sse.NewReader(w.open("").Body, 1<<20)
			w.expect(in, batches(1, 2, 2))
			w.expectError(in, code, "so it is")
		}
		require.Len(t, w.a.requests(), 4)
	}
}

// What another node may do better is tried there, and not told.
func TestAWatchIsHeld(t *testing.T) {
	notHere := script{refusal: problem.Errorf(problem.NotPrimary, "it is not")}
	w := newWatched(t, 0, []script{notHere, notHere, {refusal: problem.Errorf(problem.Overloaded, "too many")}, {blocks: batches(1, 2, 3)}}, nil)
	in := sse.NewReader(w.open("").Body, 1<<20)
	w.expect(in, batches(1, 2, 3))
	require.Len(t, w.a.requests(), 4)
}

func TestAWatchIsHeldNoLongerThanTheHold(t *testing.T) {
	const hold = 200 * time.Millisecond
	w := newWatched(t, hold, []script{{blocks: batches(1, 2, 3), then: finish}}, nil)
	in := sse.NewReader(w.open("").Body, 1<<20)
	w.expect(in, batches(1, 2, 3))
	began := time.Now()
	w.expectError(in, problem.NoPrimary, "waited for 200ms: app1: nothing more to say")
	require.Greater(t, time.Since(began), hold/2)
	require.Less(t, len(w.a.requests()), 20, "and it is paced")

	began = time.Now()
	w.do(t, "GET", "/v1/watch", nil).requireProblem(t, problem.NoPrimary, "nothing more to say")
	require.GreaterOrEqual(t, time.Since(began), hold)
	w.names("")
	w.do(t, "GET", "/v1/watch", nil).requireProblem(t, problem.NoPrimary, "primary") // who it was is no longer, or there is none
}

// A node that takes every watch and says nothing is not asked without a pause.
func TestStreamsThatBringNothingArePaced(t *testing.T) {
	var scripts []script
	for range 1000 {
		scripts = append(scripts, script{blocks: hello, then: finish})
	}
	w := newWatched(t, 0, scripts, []script{{blocks: batches(2, 5, 5)}})
	in := sse.NewReader(w.open("").Body, 1<<20)
	time.Sleep(300 * time.Millisecond)
	w.names("app2")
	for {
		e, err := in.Next()
		require.NoError(t, err)
		if e.HasID {
			break
		}
	}
	require.Less(t, len(w.a.requests()), 20)
}

func TestHeadOfAWatch(t *testing.T) {
	w := newWatched(t, 0, []script{{then: finish}}, nil)
	a := w.do(t, "HEAD", "/v1/watch", nil)
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "text/event-stream", a.header.Get("Content-Type"))
	require.Zero(t, w.proxy.watches.open.Load())
	w.do(t, "PUT", "/v1/watch", nil).requireProblem(t, problem.BadRequest, "GET")
}

func TestWatchesAreBounded(t *testing.T) {
	w := newWatched(t, 0, []script{{blocks: batches(1, 2, 2)}}, nil)
	w.proxy.watches.open.Store(maxWatches)
	w.do(t, "GET", "/v1/watch", nil).requireProblem(t, problem.Overloaded, "5000 watches are open")
	w.proxy.watches.open.Store(maxWatches - 1)
	w.expect(sse.NewReader(w.open("").Body, 1<<20), batches(1, 2, 2))
}

func TestACallerThatGoesEndsItsWatch(t *testing.T) {
	w := newWatched(t, 0, []script{{blocks: batches(1, 2, 2)}}, nil)
	answer := w.open("")
	w.expect(sse.NewReader(answer.Body, 1<<20), batches(1, 2, 2))
	require.NoError(t, answer.Body.Close())
	require.Eventually(t, func() bool { return w.a.over() == 1 && w.proxy.watches.open.Load() == 0 }, 5*time.Second, time.Millisecond)
	require.Len(t, w.a.requests(), 1)
}

// A monitor that stops ends its watches: their callers go to another one.
func TestDrainEndsWatches(t *testing.T) {
	w := newWatched(t, 0, []script{{blocks: batches(1, 2, 2)}}, nil)
	in := sse.NewReader(w.open("").Body, 1<<20)
	w.expect(in, batches(1, 2, 2))
	w.proxy.Drain()
	_, err := in.Next()
	require.Equal(t, io.EOF, err)
	w.do(t, "GET", "/v1/watch", nil).requireProblem(t, problem.NoPrimary, "this monitor is stopping")
	require.Zero(t, w.proxy.watches.open.Load())
}
