package e2e

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/ledger"
)

func threeMonitors(_ *story, o *cluster.Options) { o.Monitors = 3 }

// leader returns the monitor that leads, and the URLs of the others.
func (s *story) leader() (name string, others []string) {
	s.t.Helper()
	s.await("a monitor leads", func() bool {
		view, err := s.View(s.t.Context())
		name = view.Leader
		return err == nil && name != ""
	})
	for _, p := range s.Processes() {
		if p.Role == cluster.RoleMonitor && p.Name != name {
			others = append(others, p.URL)
		}
	}
	require.Len(s.t, others, 2)
	return name, others
}

// loads is a load through each of several monitors.
type loads struct {
	s       *story
	ledgers []*ledger.Ledger
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (s *story) loadThrough(urls []string, prefix string) *loads {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	l := &loads{s: s, cancel: cancel}
	for i, url := range urls {
		one := ledger.New(ledger.Options{Target: url, Writers: 4, Prefix: prefix + string(rune('a'+i)) + "/", Pause: 5 * time.Millisecond, Padding: 50})
		l.ledgers = append(l.ledgers, one)
		l.running.Go(func() { one.Run(ctx) })
	}
	s.t.Cleanup(l.end) // a test that has failed
	l.more(20)
	return l
}

func (l *loads) end() {
	l.cancel()
	l.running.Wait()
}

// more waits for further acknowledged writes through each monitor.
func (l *loads) more(n int) {
	l.s.t.Helper()
	for _, one := range l.ledgers {
		n := n + one.Counts().Acknowledged
		l.s.await("writes are acknowledged", func() bool { return one.Counts().Acknowledged >= n })
	}
}

// judge requires that no request failed, and that everything is there once.
func (l *loads) judge() (longest time.Duration) {
	l.s.t.Helper()
	l.end()
	l.s.awaitQuiet()
	items, err := l.s.Agreed(l.s.t.Context())
	require.NoError(l.s.t, err)
	for _, one := range l.ledgers {
		one.Check(items)
		require.Empty(l.s.t, one.Violations())
		counts := one.Counts()
		require.Zero(l.s.t, counts.Refused, "requests that were told that nothing was applied")
		require.Zero(l.s.t, counts.Unknown, "requests that were told nothing")
		longest = max(longest, counts.LongestGap)
	}
	return longest
}

// The monitor that leads is killed under load through the others.
func TestTheLeaderDiesUnderLoad(t *testing.T) {
	s := tell(t, threeMonitors)
	for _, prefix := range []string{"one/", "two/"} {
		leader, others := s.leader()
		l := s.loadThrough(others, prefix)
		s.kill(leader)
		s.await("another leads", func() bool { next, _ := s.leader(); return next != leader })
		l.more(100)
		s.start(leader)
		l.more(20)
		t.Logf("%s killed: the longest time without an acknowledgement through another was %s", leader, l.judge())
	}
	require.EqualValues(t, 1, s.group().Epoch)
}

// The monitor that leads and the primary are killed at once.
func TestTheLeaderAndThePrimaryDie(t *testing.T) {
	s := tell(t, threeMonitors)
	for _, prefix := range []string{"one/", "two/", "three/"} {
		leader, others := s.leader()
		before := s.group()
		l := s.loadThrough(others, prefix)
		s.kill(leader, before.Primary)
		s.await("another primary serves", func() bool { g := s.group(); return g.Epoch > before.Epoch && g.Serving })
		l.more(50)
		s.start(leader, before.Primary)
		s.awaitInSync("app1", "app2")
		t.Logf("%s and %s killed: the longest time without an acknowledgement was %s", leader, before.Primary, l.judge())
	}
}

// Three monitors that start at once soon have a leader. How soon is measured by
// soak -starts; here the machine is busy.
func TestThreeMonitorsStartAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		began := time.Now()
		c, err := cluster.Start(t.Context(), cluster.Options{Binaries: binaries, Nodes: 1, Monitors: 3, Dir: t.TempDir(), Log: zerolog.Nop()})
		require.NoError(t, err)
		s := &story{t: t, Cluster: c}
		s.leader()
		t.Logf("a leader after %s", time.Since(began))
		c.Close()
	}
}

// The client asks the next monitor when the first stands still.
func TestAFrozenMonitorDoesNotKeepTheClient(t *testing.T) {
	s := tell(t, threeMonitors)
	var all []string
	for _, url := range s.Monitors() {
		all = append(all, strings.TrimPrefix(url, "http://"))
	}
	s.freeze("m1")
	defer s.thaw("m1")
	for _, args := range [][]string{{"-put", "k=v"}, {"-get", "k"}, {"-get-state", "standby"}, {"-status"}} {
		began := time.Now()
		o := s.run(binaries.Client, append([]string{"-monitor", strings.Join(all, ",")}, args...)...)
		require.Zero(t, o.code, o.stderr)
		t.Logf("%v took %s", args, time.Since(began))
	}
}

// The monitor loses its disk. Its client says what there is and what to do, and
// rebuilds the registry, while those who reach the nodes go on.
func TestALostRegistryIsAdopted(t *testing.T) {
	s := tell(t)
	s.ledger = ledger.New(ledger.Options{Target: s.Node("app1"), Writers: 4, Prefix: "load/", Pause: 5 * time.Millisecond, Padding: 50})
	s.write()
	s.kill("m1")
	s.wipe("m1")
	s.start("m1")
	s.await("the nodes knock", func() bool {
		o := s.client("-status")
		return o.code == 0 && strings.Contains(o.stdout, "app1") && strings.Contains(o.stdout, "app2")
	})
	o := s.client("-status")
	require.Contains(t, o.stdout, "-adopt NODE -reason TEXT")
	o = s.client("-adopt", "app2", "-reason", "the disk is lost")
	require.Equal(t, 4, o.code)
	require.Contains(t, o.stderr, "app1 is the primary and serves")
	require.Contains(t, o.stderr, "POSITION")
	o = s.client("-adopt", "app9", "-reason", "the disk is lost")
	require.Equal(t, 1, o.code, "there is no such node")
	o = s.client("-adopt", "app1", "-reason", "the disk is lost")
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "nothing acknowledged is lost")
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(50)
	s.rest()
	require.Contains(t, s.client("-history").stdout, "the registry was rebuilt from the nodes")
	s.awaitQuiet()
	items, err := s.Agreed(t.Context())
	require.NoError(t, err)
	s.ledger.Check(items)
	require.Empty(t, s.ledger.Violations())
	for _, seen := range s.watch.Violations() {
		require.Contains(t, seen, "the registry was of cluster", "that is what it is about")
	}
	require.EqualValues(t, 1002, s.group().Epoch, "no epoch is used twice")

	s.ledger = ledger.New(ledger.Options{Target: s.Monitor(), Writers: 4, Prefix: "after/", Pause: 5 * time.Millisecond, Padding: 50})
	s.write()
	s.kill("app1")
	s.awaitPrimary("app2")
	s.moreAcknowledged(50)
	s.start("app1")
	s.rest()
	s.awaitQuiet()
	items, err = s.Agreed(t.Context())
	require.NoError(t, err)
	s.ledger.Check(items)
	require.Empty(t, s.ledger.Violations())
	require.True(t, slices.Contains(s.group().InSync, "app1"))
}
