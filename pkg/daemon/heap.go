package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// leastHeap is the size, in bytes, below which the heap is not collected. The
// collector's own pace, at twice what is alive, has a process with a small heap and
// much traffic collect 25 times a second; above half of this size that pace holds.
const leastHeap = 16 << 20

// runtimeLeastHeap is the runtime's own, at its own pace. It grows with the pace.
const runtimeLeastHeap = 4 << 20

// paceHeap keeps the collector at leastHeap until stop is called, unless the
// environment (GOGC) has set its pace.
func paceHeap() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	was := debug.SetGCPercent(100)
	p := &heapPacer{percent: 100}
	p.look()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stopped = true
		debug.SetGCPercent(was)
	}
}

// heapPacer sets the collector's pace after each collection.
type heapPacer struct {
	mu      sync.Mutex // guards the fields below, and the pace
	percent int
	stopped bool
}

// heapMark is garbage at once: its end tells of a collection. The pointer keeps it
// apart from the small values that are freed together.
type heapMark struct{ _ *byte }

func (p *heapPacer) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	if next := heapPercent(liveHeap()); next != p.percent {
		p.percent = next
		debug.SetGCPercent(next)
	}
	runtime.AddCleanup(&heapMark{}, (*heapPacer).look, p)
}

func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return leastHeap // unknown to this runtime: its own pace
	}
	return s[0].Value.Uint64()
}

// heapPercent returns the pace, as in GOGC, for what was alive at the last collection.
func heapPercent(live uint64) int {
	if live >= leastHeap/2 {
		return 100
	}
	return min(100*leastHeap/runtimeLeastHeap, int(100*(leastHeap-live)/max(live, 1)))
}
