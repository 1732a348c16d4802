package resync

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/histogram"
)

// afterError keeps a client from spinning while the cluster refuses.
const afterError = 10 * time.Millisecond

// gauge takes the measurements.
type gauge struct {
	o     Options
	began time.Time

	mu      sync.Mutex // guards the fields below
	phase   Phase
	writes  [phases]histogram.Histogram
	reads   [phases]histogram.Histogram
	pause   [phases]time.Duration // the longest between two answers to writers
	last    time.Time             // the last of these
	failed  int
	failure string // the first
	second  Second // so far
	memory  [phases][]int64
	disk    [phases][]int64
}

func newGauge(o Options) *gauge { return &gauge{o: o, began: time.Now()} }

func (g *gauge) enter(p Phase) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = p
}

// answered notes the answer to a request that began at the given moment.
func (g *gauge) answered(ofWriter bool, began time.Time, a call.Answer) {
	now := time.Now()
	took := now.Sub(began)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !a.Success() {
		g.failed++
		if g.failure == "" {
			g.failure = a.Code + ": " + a.Detail
		}
		return
	}
	if !ofWriter {
		g.reads[g.phase].Record(took)
		return
	}
	g.writes[g.phase].Record(took)
	g.second.Writes++
	g.second.Longest = max(g.second.Longest, took)
	if !g.last.IsZero() {
		pause := now.Sub(g.last)
		g.pause[g.phase] = max(g.pause[g.phase], pause)
		g.second.Pause = max(g.second.Pause, pause)
	}
	g.last = now
}

// write is one writer: it writes the keys that are its own, in no order, each
// time with the next version.
func (g *gauge) write(ctx context.Context, id int) {
	k := g.o.Keys
	own := (k.Len() - id + g.o.Writers - 1) / g.o.Writers
	if own <= 0 {
		return
	}
	c := g.o.Open()
	defer c.Close()
	random := rand.New(rand.NewPCG(uint64(id), 1))
	buf := make([]byte, len(k.value))
	for ctx.Err() == nil {
		i := id + random.IntN(own)*g.o.Writers
		k.tried[i]++
		k.put(buf, i, k.tried[i])
		began := time.Now()
		// What was begun is waited for: it must not look lost.
		a := c.Call(context.WithoutCancel(ctx), call.Request{Method: http.MethodPut, Key: name(i), Body: buf})
		g.answered(true, began, a)
		if a.Success() {
			k.version[i] = k.tried[i]
		} else {
			_ = wait(ctx, afterError) // the loop sees the end of ctx
		}
	}
}

// read is one reader.
func (g *gauge) read(ctx context.Context, id int) {
	c := g.o.Open()
	defer c.Close()
	random := rand.New(rand.NewPCG(uint64(id), 2))
	for ctx.Err() == nil {
		began := time.Now()
		a := c.Call(context.WithoutCancel(ctx), call.Request{Method: http.MethodGet, Key: name(random.IntN(g.o.Keys.Len()))})
		if g.answered(false, began, a); !a.Success() {
			_ = wait(ctx, afterError) // the loop sees the end of ctx
		}
	}
}

// sample looks at the processes from time to time, and tells of each second.
func (g *gauge) sample(ctx context.Context) {
	for wait(ctx, sample) == nil {
		var memory, disk []int64
		for _, p := range g.o.Cluster.Processes() {
			memory = append(memory, p.Memory())
			disk = append(disk, p.Disk())
		}
		g.mu.Lock()
		s := g.second
		s.Phase, s.Memory = g.phase, memory
		g.second = Second{}
		g.memory[g.phase] = highest(g.memory[g.phase], memory)
		g.disk[g.phase] = highest(g.disk[g.phase], disk)
		g.mu.Unlock()
		g.o.Second(s)
	}
}

// highest keeps the higher one of each pair.
func highest(a, b []int64) []int64 {
	if a == nil {
		return b
	}
	for i := range a {
		a[i] = max(a[i], b[i])
	}
	return a
}
