package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/isolate"
)

// A small disk has room for a few files of the journal, of 16 MiB each; with the
// filler on it, for one and a half.
const (
	smallDisk = 64 << 20
	filler    = 40 << 20
)

// smallDisks puts the data directories of nodes on small disks with a filler.
func smallDisks(nodes ...string) func(*story, *cluster.Options) {
	return func(s *story, o *cluster.Options) {
		if unisolated != nil {
			s.t.Skipf("there can be no small disks for this test: %v", unisolated)
		}
		for _, n := range nodes {
			dir := filepath.Join(o.Dir, n)
			require.NoError(s.t, os.MkdirAll(dir, 0o755))
			require.NoError(s.t, isolate.Mount(dir, smallDisk))
			s.t.Cleanup(func() { require.NoError(s.t, isolate.Unmount(dir)) })
			require.NoError(s.t, os.WriteFile(filepath.Join(dir, "filler"), make([]byte, filler), 0o600))
		}
	}
}

// makeRoom takes the filler away.
func (s *story) makeRoom(nodes ...string) {
	s.t.Helper()
	for _, n := range nodes {
		require.NoError(s.t, os.Remove(filepath.Join(s.Data(n), "filler")))
	}
}

// overwrite writes large values over each other at the node until something
// holds, or a write is not acknowledged, whose answer it returns.
func (s *story) overwrite(node string, size int, until func() bool) (status int, answer string) {
	s.t.Helper()
	value := strings.Repeat("x", size)
	for n := range 10_000 {
		if until() {
			return http.StatusNoContent, ""
		}
		status, answer = s.call(soon, http.MethodPut, fmt.Sprintf("%s/v1/kv/big-%d", s.Node(node), n%3), value)
		if status != http.StatusNoContent {
			return status, answer
		}
	}
	require.FailNow(s.t, "the disk does not get full")
	return 0, ""
}

// fillUp writes at the primary until nothing more can be written.
func (s *story) fillUp(node string) {
	s.t.Helper()
	for _, size := range []int{1 << 20, 64 << 10, 4 << 10, 256, 1} {
		status, answer := s.overwrite(node, size, func() bool { return false })
		require.Equal(s.t, http.StatusInsufficientStorage, status, answer)
		require.Contains(s.t, answer, `"code":"disk_full"`)
	}
}

// isFull tells what the node says of its disk.
func (s *story) isFull(node string) bool {
	s.t.Helper()
	hb, err := s.Heartbeat(s.t.Context(), node)
	return err == nil && hb.Disk.Full
}

func TestAStandbyWithAFullDiskIsLeftOut(t *testing.T) {
	s := tell(t, smallDisks("app2"))
	s.write()
	status, answer := s.overwrite("app1", 1<<20, func() bool { return len(s.group().InSync) == 1 })
	require.Equal(t, http.StatusNoContent, status, answer)
	require.Equal(t, []string{"app1"}, s.group().InSync)
	require.True(t, s.isFull("app2"), "it says so")
	require.NotEmpty(t, s.said("app2", 0, "the disk is full, nothing can be written"))
	require.False(t, s.group().Failover.Possible)
	s.moreAcknowledged(20)
	s.kill("app1")
	s.awaitRefused("app1 is down")
	s.staysRefused()
	s.start("app1")
	s.awaitPrimary("app1")
	s.moreAcknowledged(20)
	s.makeRoom("app2")
	s.awaitInSync("app1", "app2")
	require.False(t, s.isFull("app2"))
	s.rest()
	s.settled()
}

func TestAPrimaryWithAFullDiskRefusesWritesAndReads(t *testing.T) {
	s := tell(t, smallDisks("app1"))
	s.write()
	s.rest()
	s.fillUp("app1")
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		status, answer := s.call(time.Second, http.MethodGet, s.Monitor()+"/v1/kv/name", "")
		require.Equal(t, http.StatusOK, status, answer)
	}
	require.True(t, s.isFull("app1"))
	require.EqualValues(t, 1, s.group().Epoch, "it is not replaced")
	s.makeRoom("app1")
	s.await("app1 sees the room", func() bool { return !s.isFull("app1") })
	s.write()
	s.rest()
	s.settled()
	require.EqualValues(t, 1, s.group().Epoch)
}

// Whoever is promoted has no room for its first record, or just for that.
func TestWithEveryDiskFullNobodyTakesTurns(t *testing.T) {
	s := tell(t, smallDisks("app1", "app2"))
	s.write()
	s.rest()
	s.fillUp("app1")
	for range 2 {
		before := s.group()
		s.kill(before.Primary)
		s.start(before.Primary)
		s.await("the next epoch begins", func() bool { return s.group().Epoch > before.Epoch })
	}
	s.await("nothing more can be written", func() bool {
		return s.put(time.Second, s.Monitor(), "small", "x") != http.StatusNoContent && (s.isFull("app1") || s.isFull("app2"))
	})
	s.awaitNoMoreEpochs()
	s.makeRoom("app1", "app2")
	s.awaitInSync("app1", "app2")
	s.write()
	s.rest()
	s.settled()
}

// awaitNoMoreEpochs waits until nobody has been promoted for longer than a new
// primary is waited for, and each node has been at most once.
func (s *story) awaitNoMoreEpochs() {
	s.t.Helper()
	first := s.group().Epoch
	last, since := first, time.Now()
	for time.Since(since) < 2500*time.Millisecond {
		time.Sleep(20 * time.Millisecond)
		if now := s.group().Epoch; now != last {
			last, since = now, time.Now()
		}
		require.LessOrEqual(s.t, last, first+2)
	}
}
