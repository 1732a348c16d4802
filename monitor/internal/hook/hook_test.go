package hook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// news is a history that grows.
type news struct {
	mu      sync.Mutex // guards the fields below
	history []protocol.HistoryEvent
	changed chan struct{}
	ended   bool
}

func newNews(kinds ...string) *news {
	n := &news{changed: make(chan struct{})}
	for _, k := range kinds {
		n.history = append(n.history, protocol.HistoryEvent{ID: uint64(len(n.history) + 1), Kind: k, Node: "app1"})
	}
	return n
}

func (n *news) happens(kind, node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.history = append(n.history, protocol.HistoryEvent{ID: uint64(len(n.history) + 1), At: time.Now(), Kind: kind, Node: node, Epoch: 3, Detail: "as it was"})
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *news) ends() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	close(n.changed)
}

func (n *news) now() (string, []protocol.HistoryEvent, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return "c-1", n.history, nil
	}
	return "c-1", n.history, n.changed
}

func yes() bool { return true }

func options(t *testing.T, n *news) Options {
	t.Helper()
	return Options{News: n.now, Leads: yes, Dial: new(net.Dialer).DialContext, Metrics: measures(t), Log: zerolog.Nop()}
}

func measures(t *testing.T) *Metrics {
	t.Helper()
	m, err := NewMetrics(prometheus.NewRegistry(), true, true)
	require.NoError(t, err)
	return m
}

// start runs a hook until the test ends.
func start(t *testing.T, o Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, New(o).Run(ctx)) })
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
}

func TestTheWebhookIsTold(t *testing.T) {
	got := make(chan Event, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e Event
		if err == nil && r.Header.Get(HeaderSignature) == Sign([]byte("secret"), body) && json.Unmarshal(body, &e) == nil {
			got <- e
		}
	}))
	defer srv.Close()
	n := newNews(protocol.KindFailover) // before this monitor began
	o := options(t, n)
	o.URL, o.Secret = srv.URL, []byte("secret")
	start(t, o)
	n.happens("joined", "app9")
	n.happens(protocol.KindNoSpare, "app2")
	n.happens(protocol.KindFailover, "app3")
	next := func() (e Event) {
		select {
		case e = <-got:
		case <-time.After(10 * time.Second):
			require.FailNow(t, "nobody was told")
		}
		return e
	}
	first := next()
	require.WithinDuration(t, time.Now(), first.At, time.Minute)
	first.At = time.Time{}
	require.Equal(t, Event{V: 1, ID: 3, Event: "no-spare", Cluster: "c-1", Epoch: 3, Node: "app2", Detail: "as it was"}, first)
	require.Equal(t, "app3", next().Node)
	require.Empty(t, got)
}

func TestSignature(t *testing.T) {
	// The example of RFC 4231, case 2.
	require.Equal(t, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", Sign([]byte("Jefe"), []byte("what do ya want for nothing?")))
}

func TestTheCommandIsRun(t *testing.T) {
	dir := t.TempDir()
	n := newNews()
	o := options(t, n)
	o.Command = `cat > "` + dir + `/new" && echo "$UNDERSTUDY_EVENT of $UNDERSTUDY_NODE" >> "` + dir + `/new" && mv "` + dir + `/new" "` + dir + `/told"`
	start(t, o)
	n.happens(protocol.KindNoSpare, "app2")
	var text []byte
	require.Eventually(t, func() (there bool) {
		var err error
		text, err = os.ReadFile(filepath.Join(dir, "told"))
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	require.Contains(t, string(text), `"event":"no-spare"`)
	require.Contains(t, string(text), "no-spare of app2\n")
}

func TestACommandThatFailsSaysWhy(t *testing.T) {
	h := New(Options{Command: "echo it is broken >&2; exit 3"})
	err := h.run(t.Context(), Event{}, nil)
	require.ErrorContains(t, err, "exit status 3: it is broken")
	h.opts.Command = "sleep 60"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, h.run(ctx, Event{}, nil), context.DeadlineExceeded)
}

func TestOutputIsBounded(t *testing.T) {
	var out tail
	for range 1000 {
		n, err := out.Write([]byte("0123456789"))
		require.NoError(t, err)
		require.Equal(t, 10, n)
	}
	require.Len(t, out.text, 500)
}

func TestOnlyTheLeaderTells(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer srv.Close()
	n := newNews()
	o := options(t, n)
	o.URL = srv.URL
	o.Leads = func() bool { return false }
	n.happens(protocol.KindFailover, "app2")
	n.ends()
	require.NoError(t, New(o).Run(t.Context()), "it ends with the news")
	require.Zero(t, asked.Load())
	o.URL = ""
	require.NoError(t, New(o).Run(t.Context()), "nobody is to be told")
}

// Three more tries, after 1, 2 and 4 s; then it is given up, and the next is told.
func TestTriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Metrics: measures(t), Log: zerolog.Nop()})
		counted := func(ok, failed, retries float64) {
			require.InDelta(t, ok, testutil.ToFloat64(h.opts.Metrics.events.WithLabelValues("test", resultOK)), 0)
			require.InDelta(t, failed, testutil.ToFloat64(h.opts.Metrics.events.WithLabelValues("test", resultFailed)), 0)
			require.InDelta(t, retries, testutil.ToFloat64(h.opts.Metrics.retries.WithLabelValues("test")), 0)
		}
		var at []time.Duration
		began := time.Now()
		h.try(t.Context(), Event{}, "test", func(ctx context.Context) error {
			at = append(at, time.Since(began))
			<-ctx.Done()
			return ctx.Err()
		})
		require.Equal(t, []time.Duration{0, 6 * time.Second, 13 * time.Second, 22 * time.Second}, at)
		counted(0, 1, 3)
		n := 0
		h.try(t.Context(), Event{}, "test", func(context.Context) error {
			if n++; n < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		require.Equal(t, 3, n)
		counted(1, 1, 5)
		stopped, stop := context.WithCancel(t.Context())
		h.try(stopped, Event{}, "test", func(context.Context) error {
			stop()
			return errors.New("the monitor stops")
		})
		counted(1, 1, 5)
	})
}

// A hook has its counters from the beginning, and one that there is not has none.
func TestOnlyHooksThatThereAreAreCounted(t *testing.T) {
	for hooks, series := range map[[2]bool]int{{}: 0, {true, false}: 3, {false, true}: 3, {true, true}: 6} {
		reg := prometheus.NewRegistry()
		_, err := NewMetrics(reg, hooks[0], hooks[1])
		require.NoError(t, err)
		n, err := testutil.GatherAndCount(reg)
		require.NoError(t, err)
		require.Equal(t, series, n, hooks)
	}
}

func TestAWebhookThatRefuses(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	h := New(Options{URL: srv.URL, Dial: new(net.Dialer).DialContext})
	require.ErrorContains(t, h.post(t.Context(), nil), "404")
	h.opts.URL = "http://127.0.0.1:1"
	require.Error(t, h.post(t.Context(), nil))
	h.opts.URL = ":"
	require.Error(t, h.post(t.Context(), nil))
}
