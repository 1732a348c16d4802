// Package failover kills the primary of a cluster under load, again and again,
// and judges what its clients saw: how long no write was acknowledged, and
// whether an acknowledged write was lost or one was applied twice.
package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Cluster is what the trials need of a cluster. Its methods may be called
// concurrently.
type Cluster interface {
	// Primary returns the node that serves as primary now.
	Primary(ctx context.Context) (name, address string, err error)
	// Kill ends a node as kill -9 does.
	Kill(name string) error
	// Start starts a dead node again.
	Start(name string) error
	// WaitReady waits until all wanted copies are in sync.
	WaitReady(ctx context.Context) error
}

// Options says how to try. Target returns the host:port that writers use now.
type Options struct {
	Trials  int
	Writers int
	Settle  time.Duration // of load before each kill; up to as much again is added at random
	After   time.Duration // of load once every writer is served again
	Limit   time.Duration // for the takeover, and for the return of the killed node
	Target  func(ctx context.Context) (address string, err error)
}

// Trial is the outcome of one kill. Outages are in milliseconds.
type Trial struct {
	Killed       string   `json:"killed"`
	Successor    string   `json:"successor"`
	Outage       float64  `json:"outage_ms"`               // from the last to the first acknowledged write of anybody
	WriterMax    float64  `json:"writer_outage_max_ms"`    // the same of the writer that waited longest
	WriterMedian float64  `json:"writer_outage_median_ms"` // and of the middle one
	Acknowledged int      `json:"acknowledged"`            // writes
	Refused      int      `json:"refused"`                 // answers that say that nothing was done
	Broken       int      `json:"broken"`                  // requests without an answer, or of unknown outcome
	Lost         []string `json:"lost"`                    // acknowledged writes that are not there
	Doubled      []string `json:"doubled"`                 // writes applied that must not be
}

// Run makes the trials and passes each on when it is done.
func Run(ctx context.Context, c Cluster, opts Options, done func(Trial)) error {
	for i := range opts.Trials {
		t, err := trial(ctx, c, opts, i)
		if err != nil {
			return fmt.Errorf("trial %d: %w", i+1, err)
		}
		done(t)
		if err := recoverNode(ctx, c, t.Killed, opts.Limit); err != nil {
			return fmt.Errorf("after trial %d: %w", i+1, err)
		}
	}
	return nil
}

func recoverNode(ctx context.Context, c Cluster, name string, limit time.Duration) error {
	if err := c.Start(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.WaitReady(ctx)
}

func trial(ctx context.Context, c Cluster, opts Options, number int) (t Trial, err error) {
	writers := make([]*writer, opts.Writers)
	for i := range writers {
		writers[i] = newWriter(fmt.Sprintf("bench/%d/%d/", number, i), opts.Target)
	}
	killedAt, err := underLoad(ctx, writers, func(ctx context.Context) (time.Time, error) {
		return killPrimary(ctx, c, opts, writers, &t)
	})
	if err != nil {
		return t, err
	}
	if err := verify(ctx, opts, writers); err != nil {
		return t, fmt.Errorf("verify: %w", err)
	}
	t.sum(writers, killedAt)
	return t, nil
}

// underLoad runs act while all writers write, and stops them.
func underLoad(ctx context.Context, writers []*writer, act func(context.Context) (time.Time, error)) (time.Time, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	for _, w := range writers {
		running.Go(func() {
			defer w.hangUp()
			if err := w.run(ctx); err != nil {
				stop(err)
			}
		})
	}
	at, err := act(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // a writer's error is the reason
	}
	stop(nil)
	running.Wait()
	return at, err
}

// killPrimary lets the load settle, kills the primary, and waits until every
// writer is served by another.
func killPrimary(ctx context.Context, c Cluster, opts Options, writers []*writer, t *Trial) (at time.Time, err error) {
	if err := pause(ctx, opts.Settle+rand.N(opts.Settle+1)); err != nil {
		return at, err
	}
	if t.Killed, _, err = c.Primary(ctx); err != nil {
		return at, fmt.Errorf("find the primary: %w", err)
	}
	at = time.Now()
	if err := c.Kill(t.Killed); err != nil {
		return at, err
	}
	limit, cancel := context.WithTimeout(ctx, opts.Limit)
	defer cancel()
	for {
		t.Successor, _, err = c.Primary(limit)
		if err == nil && t.Successor != t.Killed {
			break
		}
		if pause(limit, retryPause) != nil {
			return at, fmt.Errorf("nobody took over from %s within %s", t.Killed, opts.Limit)
		}
	}
	taken := time.Now()
	for _, w := range writers {
		for w.lastAck().Before(taken) {
			if pause(limit, retryPause) != nil {
				return at, fmt.Errorf("a writer was not served again within %s", opts.Limit)
			}
		}
	}
	return at, pause(ctx, opts.After)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
