package httpapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
)

// fakeFeed is what a fake replica has committed, for its watchers.
type fakeFeed struct {
	mu       sync.Mutex // guards the fields below
	changes  []store.Change
	end      protocol.Position
	more     chan struct{} // closed and replaced when end moves or err is set
	err      error         // ends every watch
	refusal  error         // of Watch
	since    []protocol.Position
	watching int
	piece    int // changes returned at a time; 0: all
	asleep   bool
}

// Watch implements Replica.
func (f *fakeReplica) Watch(_ context.Context, since protocol.Position, prefix string) (Watcher, error) {
	feed := &f.feed
	feed.mu.Lock()
	defer feed.mu.Unlock()
	if feed.refusal != nil {
		return nil, feed.refusal
	}
	feed.since = append(feed.since, since)
	feed.watching++
	return &fakeWatcher{feed: feed, prefix: prefix, at: since}, nil
}

// commit commits ops as one record, also one that does nothing.
func (f *fakeReplica) commit(ops ...store.Op) protocol.Position {
	f.mu.Lock()
	f.apply(ops...)
	at := f.m.Position()
	f.mu.Unlock()
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	f.feed.changes = append(f.feed.changes, store.Change{Position: at, Ops: ops})
	f.feed.end = at
	f.feed.stir()
	return at
}

// fail ends every watch.
func (f *fakeFeed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.stir()
}

// stir wakes the watchers. mu is held.
func (f *fakeFeed) stir() {
	if f.more != nil && !f.asleep {
		close(f.more)
		f.more = nil
	}
}

// sleep has watchers that wait go on waiting, whatever is committed.
func (f *fakeFeed) sleep(asleep bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asleep = asleep
	f.stir()
}

// watchers returns how many watches are open.
func (f *fakeFeed) watchers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watching
}

type fakeWatcher struct {
	feed   *fakeFeed
	prefix string
	at     protocol.Position
}

// Next implements Watcher.
func (w *fakeWatcher) Next(ctx context.Context, quiet time.Duration) ([]store.Change, protocol.Position, bool, error) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		w.feed.mu.Lock()
		if w.feed.err != nil || w.feed.end.Seq > w.at.Seq {
			defer w.feed.mu.Unlock()
			out, more := w.take()
			return out, w.at, more, w.feed.err
		}
		if w.feed.more == nil {
			w.feed.more = make(chan struct{})
		}
		more := w.feed.more
		w.feed.mu.Unlock()
		select {
		case <-more:
		case <-timer.C:
			return nil, w.at, false, nil
		case <-ctx.Done():
			return nil, w.at, false, ctx.Err()
		}
	}
}

func (w *fakeWatcher) take() (out []store.Change, more bool) {
	for _, c := range w.feed.changes {
		if c.Position.Seq <= w.at.Seq {
			continue
		}
		if len(out) == w.feed.piece && w.feed.piece > 0 {
			return out, true
		}
		w.at = c.Position
		if c, ok := c.Under(w.prefix); ok {
			out = append(out, c)
		}
	}
	w.at = w.feed.end
	return out, false
}

// Newest implements Watcher.
func (w *fakeWatcher) Newest() protocol.Position {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	return w.feed.end
}

// Close implements Watcher.
func (w *fakeWatcher) Close() {
	w.feed.mu.Lock()
	w.feed.watching--
	w.feed.mu.Unlock()
}

// watchScene is a node on a network in memory, in a bubble.
type watchScene struct {
	*node
	host *memnet.Host
}

func inWatch(t *testing.T, ops []store.Op, test func(t *testing.T, s *watchScene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		for _, op := range ops {
			n.commit(op)
		}
		net := memnet.New(1)
		ln, err := net.Host("app1").Listen(t.Context(), "app1:1")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := daemon.Serve(ctx, ln, daemon.HTTPOptions{Handler: n.router, Log: zerolog.Nop(), Grace: time.Second}); err != nil {
				t.Error(err)
			}
		})
		test(t, &watchScene{n, net.Host("reader")})
		stop()
		wait.Wait()
		require.Zero(t, n.feed.watchers(), "every watch is closed")
		net.Close()
	})
}

// reading is an open watch as its reader sees it.
type reading struct {
	*sse.Reader
	t      *testing.T
	answer *http.Response
	close  func()
}

func (s *watchScene) open(query string, headers ...string) *reading {
	s.t.Helper()
	transport := &http.Transport{DialContext: s.host.Dial, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://app1:1/v1/watch"+query, nil)
	require.NoError(s.t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	answer, err := transport.RoundTrip(r)
	require.NoError(s.t, err)
	end := sync.OnceFunc(func() {
		_ = answer.Body.Close()
		transport.CloseIdleConnections()
		synctest.Wait()
	})
	return &reading{sse.NewReader(answer.Body, 64<<20), s.t, answer, end}
}

// event returns the next block as "id name data", without empty parts.
func (r *reading) event() string {
	r.t.Helper()
	e, err := r.Next()
	require.NoError(r.t, err)
	if strings.HasPrefix(string(e.Raw), ":") {
		return strings.TrimSpace(string(e.Raw))
	}
	return strings.TrimSpace(e.ID + " " + e.Name + " " + string(e.Data))
}
