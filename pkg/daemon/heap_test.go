package daemon

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHeapPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 1: 400, 1 << 20: 400, 3 << 20: 400, 4 << 20: 300, 6 << 20: 166, 8 << 20: 100, 9 << 20: 100, 1 << 40: 100,
	} {
		require.Equal(t, want, heapPercent(live), "%d bytes are alive", live)
	}
}

// The pace follows what is alive, there and back.
func TestThePaceFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	was := debug.SetGCPercent(77)
	defer debug.SetGCPercent(was)
	stop := paceHeap()
	pace := func() int {
		runtime.GC()
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	small := heapPercent(liveHeap())
	require.Greater(t, small, 100, "the test itself holds %d bytes", liveHeap())
	require.Eventually(t, func() bool { return pace() > 100 }, 10*time.Second, time.Millisecond)
	much := make([]byte, leastHeap)
	require.Eventually(t, func() bool { return pace() == 100 }, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(much)
	much = nil
	require.Eventually(t, func() bool { return pace() > 100 }, 10*time.Second, time.Millisecond)
	require.Empty(t, much)
	stop()
	require.Equal(t, 77, pace())
}

func TestThePaceOfTheEnvironmentHolds(t *testing.T) {
	t.Setenv("GOGC", "50")
	was := debug.SetGCPercent(50)
	defer debug.SetGCPercent(was)
	defer paceHeap()()
	runtime.GC()
	require.Equal(t, 50, debug.SetGCPercent(50))
}
