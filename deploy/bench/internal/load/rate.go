package load

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"understudy.example/deploy/bench/internal/histogram"
)

// callersOfRate is how many requests of one rate may be under way at a time. What
// is due while as many are waits, and its time runs.
const callersOfRate = 64

// Rate is an operation that is done so many times a second, whatever becomes of
// the requests before: an open loop.
type Rate struct {
	Op     string
	PerSec int
}

// Flow is what became of the requests of a rate. Times are in microseconds, from
// the moment at which a request was due.
type Flow struct {
	Op       string         `json:"op"`
	Rate     int            `json:"per_second"`
	Requests int            `json:"requests"` // that were answered with success
	Failed   int            `json:"failed"`
	Example  string         `json:"example,omitempty"` // of a failure
	P50      float64        `json:"p50_us"`
	P99      float64        `json:"p99_us"`
	P999     float64        `json:"p999_us"`
	Max      float64        `json:"max_us"`
	Nodes    map[string]int `json:"nodes"` // how many each has answered
}

// Uneven tells by which part of its share the node differs most whose share
// differs most from the others'; 0: all have answered the same number.
func (f Flow) Uneven() float64 {
	if f.Requests == 0 {
		return 0
	}
	worst, share := 0.0, float64(f.Requests)/float64(len(f.Nodes))
	for _, n := range f.Nodes {
		worst = max(worst, math.Abs(float64(n)/share-1))
	}
	return worst
}

// RunRates sends requests at all rates at the same time, and tells what became of
// each. Of the options it goes by the first target, the times, keys and values.
func RunRates(ctx context.Context, opts Options, rates []Rate) ([]Flow, error) {
	if err := prepare(ctx, opts); err != nil {
		return nil, err
	}
	begin := time.Now()
	flows := make([]Flow, len(rates))
	var running sync.WaitGroup
	for i, r := range rates {
		running.Go(func() { flows[i] = newPacer(opts, r, begin).run(ctx) })
	}
	running.Wait()
	return flows, ctx.Err()
}

// pacer sends the requests of one rate.
type pacer struct {
	opts  Options
	rate  Rate
	begin time.Time
	next  atomic.Int64 // request

	mu    sync.Mutex // guards flow and times
	flow  Flow
	times histogram.Histogram
}

func newPacer(opts Options, r Rate, begin time.Time) *pacer {
	return &pacer{opts: opts, rate: r, begin: begin, flow: Flow{Op: r.Op, Rate: r.PerSec, Nodes: map[string]int{}}}
}

func (p *pacer) run(ctx context.Context) Flow {
	var callers sync.WaitGroup
	for i := range callersOfRate {
		w := &worker{
			caller: p.opts.Targets[0].Open(), op: p.rate.Op, keys: p.opts.Keys,
			value: make([]byte, p.opts.Value), random: rand.New(rand.NewPCG(uint64(i), 2)),
		}
		callers.Go(func() {
			defer w.caller.Close()
			p.send(ctx, w)
		})
	}
	callers.Wait()
	f, t := &p.flow, &p.times
	f.P50, f.P99, f.P999, f.Max = micros(t.Quantile(0.5)), micros(t.Quantile(0.99)), micros(t.Quantile(0.999)), micros(t.Max())
	return p.flow
}

// send takes one request after the other, each when it is due, until the end.
func (p *pacer) send(ctx context.Context, w *worker) {
	for {
		due := time.Duration(p.next.Add(1)-1) * time.Second / time.Duration(p.rate.PerSec)
		if due >= p.opts.WarmUp+p.opts.For {
			return
		}
		at := p.begin.Add(due)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(at)):
		}
		node, err := w.once(ctx)
		p.note(due >= p.opts.WarmUp, node, time.Since(at), err)
	}
}

// note counts an outcome; a failure also where it is not measured.
func (p *pacer) note(measured bool, node string, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.flow.Failed++
		p.flow.Example = fmt.Sprintf("after %s: %v", took.Round(time.Millisecond), err)
	case measured:
		p.flow.Requests++
		p.flow.Nodes[node]++
		p.times.Record(took)
	}
}
