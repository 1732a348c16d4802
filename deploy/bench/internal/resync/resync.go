// Package resync measures what it costs clients that a node with an empty
// directory is filled while they write at full speed: it fills a cluster, loads
// it, has the node join, and goes on until that is in sync and a while longer.
package resync

import (
	"context"
	"fmt"
	"sync"
	"time"

	"understudy.example/deploy/bench/internal/call"
)

// Phase is a part of the measurement.
type Phase int

// The phases. A request belongs to the one in which it is answered.
const (
	Before Phase = iota // the node is away
	During              // it is being filled
	After               // it is in sync
	phases
)

func (p Phase) String() string { return [...]string{"before", "during", "after"}[p] }

// Cluster is what is measured.
type Cluster interface {
	// Join starts the node with the empty directory.
	Join() error
	// InSync tells whether that node is in sync.
	InSync(ctx context.Context) (bool, error)
	Processes() []Process
}

// Options says what to measure.
type Options struct {
	Cluster Cluster
	Keys    *Keys
	Open    func() call.Caller // for one client
	Writers int
	Readers int
	For     time.Duration  // of the phases before and after
	Limit   time.Duration  // for the node to be in sync
	Second  func(s Second) // is told of each second
}

// Second is one second of the measurement.
type Second struct {
	Phase   Phase
	Writes  int
	Longest time.Duration // write that was answered in it
	Pause   time.Duration // the longest between two answers to writers that ended in it
	Memory  []int64       // of each process
}

const (
	// poll is how often the monitor is asked whether the node is in sync, and how
	// exactly the time to it is known.
	poll = 50 * time.Millisecond
	// sample is how often memory and disk are looked at.
	sample = time.Second
)

// Run measures. The keys must have been written.
func Run(ctx context.Context, o Options) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := newGauge(o)
	var load, watch sync.WaitGroup
	for i := range o.Writers {
		load.Go(func() { g.write(ctx, i) })
	}
	for i := range o.Readers {
		load.Go(func() { g.read(ctx, i) })
	}
	watch.Go(func() { g.sample(ctx) })
	took, err := phasesOf(ctx, o, g)
	cancel()
	load.Wait()
	watch.Wait()
	if err != nil {
		return nil, err
	}
	return g.report(took), nil
}

// phasesOf goes through the phases, and tells how long each took.
func phasesOf(ctx context.Context, o Options, g *gauge) (took [phases]time.Duration, err error) {
	began := time.Now()
	if err := wait(ctx, o.For); err != nil {
		return took, err
	}
	took[Before] = time.Since(began)
	g.enter(During)
	joined := time.Now()
	if err := o.Cluster.Join(); err != nil {
		return took, fmt.Errorf("start the node: %w", err)
	}
	for {
		ok, err := o.Cluster.InSync(ctx)
		if ok {
			break
		}
		if time.Since(joined) > o.Limit {
			return took, fmt.Errorf("the node is not in sync after %s (%w)", o.Limit, errorOr(err))
		}
		if err := wait(ctx, poll); err != nil {
			return took, err
		}
	}
	took[During] = time.Since(joined)
	g.enter(After)
	if err := wait(ctx, o.For); err != nil {
		return took, err
	}
	took[After] = time.Since(joined) - took[During]
	return took, nil
}

func errorOr(err error) error {
	if err == nil {
		return errNotThere
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
