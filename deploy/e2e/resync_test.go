package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/forward"
)

// small makes nodes write snapshots often and trim their journals.
var small = with(nil, []string{"-snapshot-bytes", "65536", "-log-level", "debug"})

// fallBehind kills app2 and writes until app1's journal no longer reaches back
// to where app2 ends. Then app2 is started, and its snapshot stops on the way.
func (s *story) fallBehind() {
	s.t.Helper()
	require.Equal(s.t, 204, s.put(5*time.Second, s.Monitor(), "before", "old"))
	// That a record is committed is on the disk with the next one.
	require.Equal(s.t, 204, s.put(5*time.Second, s.Monitor(), "after", "old"))
	s.awaitQuiet()
	s.kill("app2")
	s.awaitInSync("app1")
	// A segment of the journal has 16 MiB; it goes with the second snapshot after
	// it was filled.
	value, n := strings.Repeat("x", 1<<20), 0
	trimmed := func() bool { return len(s.said("app1", 0, "journal trimmed")) > 0 }
	s.await("app1 trims its journal", func() bool {
		require.Equal(s.t, 204, s.put(5*time.Second, s.Monitor(), fmt.Sprintf("big-%d", n%3), value))
		if n++; n > 20 {
			time.Sleep(50 * time.Millisecond) // the snapshots come once a second
		}
		return trimmed()
	})
	s.ways[">app1"].Set(peers, forward.Cut{AnswersAfter: 100_000})
	s.start("app2")
	s.awaitFetching(1)
}

// awaitFetching waits until app2 fetches a snapshot for the n-th time.
func (s *story) awaitFetching(n int) {
	s.t.Helper()
	s.await("app2 fetches a snapshot", func() bool { return len(s.said("app2", 0, fetching)) == n })
	require.EqualValues(s.t, "catching-up", s.status("app2").State)
}

const fetching = "the primary's journal no longer reaches back, fetching a snapshot"

// hasOldCopy checks that app2 shows what it had before, and nothing of what it
// is fetching.
func (s *story) hasOldCopy() {
	s.t.Helper()
	require.True(s.t, s.has("app2", "before"))
	require.False(s.t, s.has("app2", "big-0"))
}

func TestAResynchronisationThatIsKilled(t *testing.T) {
	s := tell(t, links, small)
	s.fallBehind()
	s.hasOldCopy()
	s.kill("app2")
	s.start("app2")
	s.awaitFetching(2)
	s.hasOldCopy()
	s.kill("app1")
	s.awaitRefused("app1 is down")
	s.staysRefused()
	s.hasOldCopy()
	s.ways[">app1"].Set(peers, noCut)
	s.start("app1")
	s.settled()
	require.NotEmpty(t, s.said("app2", 0, "snapshot installed"))
	require.True(t, s.has("app2", "before"))
	require.True(t, s.has("app2", "big-0"))
}

func TestASnapshotThatStallsIsFetchedAgain(t *testing.T) {
	s := tell(t, links, small)
	s.fallBehind()
	s.ways[">app1"].Abandon(peers)
	s.ways[">app1"].Set(peers, noCut)
	s.settled()
	require.True(t, s.has("app2", "big-0"))
}
