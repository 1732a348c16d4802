package proxy

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

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
