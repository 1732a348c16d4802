package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/forward"
	"understudy.example/deploy/internal/ledger"
	"understudy.example/deploy/internal/netns"
	"understudy.example/deploy/internal/witness"
)

// soon bounds every wait for what must come. It is long, for the machine may be
// busy; what must come quickly is measured.
const soon = 20 * time.Second

// story is a cluster and what happens to it.
type story struct {
	t *testing.T
	*cluster.Cluster
	ledger *ledger.Ledger
	watch  *witness.Witness
	ways   map[string]*forward.Forwarder // by "from>to"
	net    *netns.Network                // nil: all are on this machine
	hosts  map[string]*netns.Host        // of net, by process
	stop   func()                        // ends the load; nil: there is none
}

// tell starts a story beside others: most of a story is waiting.
func tell(t *testing.T, change ...func(*story, *cluster.Options)) *story {
	t.Helper()
	t.Parallel()
	return tellAlone(t, change...)
}

// tellAlone starts a cluster of two nodes and waits until both are in sync, with
// app1 as primary. A change of the options comes before the start.
func tellAlone(t *testing.T, change ...func(*story, *cluster.Options)) *story {
	t.Helper()
	s := &story{t: t, watch: witness.New(), ways: map[string]*forward.Forwarder{}}
	dir, err := os.MkdirTemp("", "understudy-e2e-") //nolint:usetesting // it is kept after a failure
	require.NoError(t, err)
	opts := cluster.Options{
		Binaries: binaries, Nodes: 2, Monitors: 1, Dir: dir, Log: zerolog.Nop(),
		MonitorFlags: []string{"-log-format", "json", "-log-level", "debug"},
		NodeFlags:    []string{"-log-format", "json"},
	}
	t.Cleanup(func() { keepAfterFailure(t, dir) })
	for _, c := range change {
		c(s, &opts)
	}
	s.Cluster, err = cluster.Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	s.ledger = ledger.New(ledger.Options{Target: s.Monitor(), Writers: 4, Prefix: "load/", Pause: 2 * time.Millisecond, Padding: 50})
	s.awaitQuiet()
	if opts.WantCopies == 0 { // else it is born of whoever is heard first
		require.Equal(t, "app1", s.group().Primary)
	}
	s.watchFromNowOn()
	return s
}

func keepAfterFailure(t *testing.T, dir string) {
	if t.Failed() {
		t.Logf("data and logs are in %s", dir)
		return
	}
	require.NoError(t, os.RemoveAll(dir))
}

// with adds to the command lines.
func with(monitor, nodes []string) func(*story, *cluster.Options) {
	return func(_ *story, o *cluster.Options) {
		o.MonitorFlags = append(o.MonitorFlags, monitor...)
		o.NodeFlags = append(o.NodeFlags, nodes...)
	}
}

func (s *story) watchFromNowOn() {
	ctx, cancel := context.WithCancel(s.t.Context())
	var watching sync.WaitGroup
	var nodes []string
	for _, n := range s.Nodes() {
		nodes = append(nodes, s.Node(n))
	}
	watching.Go(func() { s.watch.Watch(ctx, 20*time.Millisecond, s.Monitor(), nodes) })
	s.t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
}

// write has four writers write through the monitor until rest. When it returns
// all nodes are in sync: on a busy machine one may have been left out meanwhile.
func (s *story) write() {
	s.t.Helper()
	require.Nil(s.t, s.stop)
	ctx, cancel := context.WithCancel(s.t.Context())
	var writing sync.WaitGroup
	writing.Go(func() { s.ledger.Run(ctx) })
	s.stop = func() {
		cancel()
		writing.Wait()
		s.stop = nil
	}
	s.t.Cleanup(func() { // a test that has failed
		if s.stop != nil {
			s.stop()
		}
	})
	s.moreAcknowledged(20)
	s.awaitInSync(s.Nodes()...)
}

// moreAcknowledged waits until so many more writes have been acknowledged.
func (s *story) moreAcknowledged(n int) {
	s.t.Helper()
	n += s.ledger.Counts().Acknowledged
	s.await("more writes are acknowledged", func() bool { return s.ledger.Counts().Acknowledged >= n })
}

// rest ends the load.
func (s *story) rest() {
	s.t.Helper()
	require.NotNil(s.t, s.stop)
	s.stop()
}

// settled waits until the cluster is whole and quiet, and judges everything.
func (s *story) settled() {
	s.t.Helper()
	s.awaitQuiet()
	items, err := s.Agreed(s.t.Context())
	require.NoError(s.t, err)
	s.ledger.Check(items)
	require.Empty(s.t, s.ledger.Violations())
	require.Empty(s.t, s.watch.Violations())
}

func (s *story) kill(names ...string) {
	s.t.Helper()
	for _, n := range names {
		require.NoError(s.t, s.Kill(n))
	}
}

func (s *story) start(names ...string) {
	s.t.Helper()
	for _, n := range names {
		require.NoError(s.t, s.Start(n))
	}
}

// freeze stops a process, and waits until it does nothing more: on a busy
// machine its threads run on for a while after the signal.
func (s *story) freeze(name string) {
	s.t.Helper()
	require.NoError(s.t, s.Stop(name))
	s.await(name+" stops", func() bool { return !s.runs(name) })
}

// runs tells whether a thread of the process is not stopped. Where the system
// does not tell, none is.
func (s *story) runs(name string) bool {
	s.t.Helper()
	var pid int
	for _, p := range s.Processes() {
		if p.Name == name {
			pid = p.PID
		}
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	require.NoError(s.t, err)
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		_, state, found := strings.Cut(string(stat), ") ")
		if err == nil && found && !strings.HasPrefix(state, "T") {
			return true
		}
	}
	return false
}

func (s *story) thaw(name string) {
	s.t.Helper()
	require.NoError(s.t, s.Cont(name))
}

// wipe empties the data directory of a process that is dead.
func (s *story) wipe(name string) {
	s.t.Helper()
	require.NoError(s.t, os.RemoveAll(s.Data(name)))
}

// copyDir copies the files of a data directory.
func (s *story) copyDir(from, to string) {
	s.t.Helper()
	require.NoError(s.t, os.RemoveAll(to))
	require.NoError(s.t, os.CopyFS(to, os.DirFS(from)))
}

// call makes one request, without following redirects; 0: it was not answered.
func (s *story) call(timeout time.Duration, method, url, body string) (status int, answer string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(s.t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// put writes one key at a node or the monitor.
func (s *story) put(timeout time.Duration, at, key, value string) int {
	s.t.Helper()
	status, _ := s.call(timeout, http.MethodPut, at+"/v1/kv/"+key, value)
	return status
}

// has tells whether a node's own copy holds the key.
func (s *story) has(node, key string) bool {
	s.t.Helper()
	return len(s.lacks(node, key)) == 0
}

// lacks returns those of the keys that a node's own copy does not hold.
func (s *story) lacks(node string, keys ...string) (missing []string) {
	s.t.Helper()
	items, err := s.Items(s.t.Context(), node)
	require.NoError(s.t, err)
	held := map[string]bool{}
	for _, it := range items {
		held[it.Key] = true
	}
	for _, k := range keys {
		if !held[k] {
			missing = append(missing, k)
		}
	}
	return missing
}

func (s *story) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
