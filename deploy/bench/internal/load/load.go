// Package load measures a cluster's throughput and latency, in a closed loop, where
// each of a number of clients sends its next request when the last is answered, or
// at fixed rates.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/histogram"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// afterError keeps a client from spinning while the cluster refuses.
const afterError = 10 * time.Millisecond

// The operations.
const (
	Read      = "read"       // linearizable
	StaleRead = "stale-read" // of the state as it is, without a confirm
	Write     = "write"
	HopWrite  = "hop-write" // with the id that a first hop gives it
	KeyWrite  = "key-write" // with a key of the client's own
)

// Target is where requests go.
type Target struct {
	Through string             // its name in the results
	Open    func() call.Caller // for one client
}

// Options says what to measure. Every combination of a target, an operation and
// a number of clients is one cell.
type Options struct {
	Targets []Target
	Ops     []string
	Clients []int
	For     time.Duration // of each cell
	WarmUp  time.Duration // before each cell, not counted
	Value   int           // size of a value in bytes
	Keys    int           // how many different keys
}

// Cell is one measurement. Times are in microseconds.
type Cell struct {
	Through string  `json:"through"`
	Op      string  `json:"op"`
	Clients int     `json:"clients"`
	PerSec  float64 `json:"ops_per_second"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	P999    float64 `json:"p999_us"`
	Max     float64 `json:"max_us"`
	Errors  int     `json:"errors"`
}

// Run measures every cell and passes each on when it is done. The keys are
// written first, so that reads find them.
func Run(ctx context.Context, opts Options, done func(Cell)) error {
	if err := prepare(ctx, opts); err != nil {
		return err
	}
	for _, target := range opts.Targets {
		for _, op := range opts.Ops {
			for _, clients := range opts.Clients {
				cell, err := measure(ctx, opts, target, op, clients)
				if err != nil {
					return err
				}
				done(cell)
			}
		}
	}
	return nil
}

func key(i int) string { return "bench/" + strconv.Itoa(i) }

// prepare writes every key once.
func prepare(ctx context.Context, opts Options) error {
	c := opts.Targets[0].Open()
	defer c.Close()
	for i := range opts.Keys {
		res := c.Call(ctx, call.Request{Method: http.MethodPut, Key: key(i), Body: make([]byte, opts.Value)})
		if !res.Success() {
			return fmt.Errorf("prepare key %d: %s", i, res.Detail)
		}
	}
	return nil
}

// begin learns a position, from which a session of ids has its birth.
func begin(ctx context.Context, ids *requestid.Source, opts Options, target Target) error {
	c := target.Open()
	defer c.Close()
	res := c.Call(ctx, call.Request{Method: http.MethodPut, Key: key(0), Body: make([]byte, opts.Value)})
	at, err := protocol.ParsePosition(strings.Trim(res.ETag, `"`))
	if err != nil {
		return fmt.Errorf("learn a position: %s: %w", res.Detail, err)
	}
	ids.Saw(at.Seq)
	return nil
}

// measure runs one cell.
func measure(ctx context.Context, opts Options, target Target, op string, clients int) (Cell, error) {
	ids := requestid.NewSource()
	if op == HopWrite {
		if err := begin(ctx, ids, opts, target); err != nil {
			return Cell{}, err
		}
	}
	from := time.Now().Add(opts.WarmUp)
	until := from.Add(opts.For)
	workers := make([]*worker, clients)
	var running sync.WaitGroup
	for i := range workers {
		w := &worker{
			caller: target.Open(), op: op, keys: opts.Keys, value: make([]byte, opts.Value),
			ids: ids, random: rand.New(rand.NewPCG(uint64(i), 1)), from: from, until: until,
		}
		workers[i] = w
		running.Go(func() { w.run(ctx) })
	}
	running.Wait()
	if ctx.Err() != nil {
		return Cell{}, ctx.Err()
	}
	var all histogram.Histogram
	errs := 0
	for _, w := range workers {
		all.Merge(&w.times)
		errs += w.errors
	}
	if all.Count() == 0 && workers[0].last == nil {
		return Cell{}, fmt.Errorf("%s %s with %d clients: no request was answered within %s: measure for longer", op, target.Through, clients, opts.For)
	}
	if all.Count() == 0 {
		return Cell{}, fmt.Errorf("%s %s with %d clients: no request succeeded: %w", op, target.Through, clients, workers[0].last)
	}
	return Cell{
		Through: target.Through, Op: op, Clients: clients,
		PerSec: float64(all.Count()) / opts.For.Seconds(),
		P50:    micros(all.Quantile(0.5)), P99: micros(all.Quantile(0.99)), P999: micros(all.Quantile(0.999)), Max: micros(all.Max()),
		Errors: errs,
	}, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
