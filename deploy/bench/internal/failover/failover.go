// Package failover takes the primary of a cluster away under load, again and
// again and in several ways, and judges what the cluster's clients saw: requests
// that failed, how long each client waited, acknowledged writes that were lost,
// writes applied twice, and reads of something old.
package failover

import (
	"context"
	"fmt"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/pkg/wire"
)

// Cluster is what the trials need of a cluster. Its methods may be called
// concurrently.
type Cluster interface {
	// Primary returns the node that serves as primary now.
	Primary(ctx context.Context) (name, address string, err error)
	// WaitReady waits until all wanted copies are in sync.
	WaitReady(ctx context.Context) error
	// Items returns all keys that begin with the prefix, once nobody writes any
	// more, and fails if the copies differ.
	Items(ctx context.Context, prefix string) ([]wire.Item, error)
	// Remove deletes keys.
	Remove(ctx context.Context, keys []string) error

	Kill(name string) error // as kill -9 does
	Terminate(name string) error
	Start(name string) error // again, after its end
	Stop(name string) error  // freezes it
	Cont(name string) error
}

// Options says how to try. None of them is optional but Readers and Settle,
// After, Down and Think.
type Options struct {
	Kind    Kind
	Trials  int
	Writers int
	Readers int
	Settle  time.Duration // of load before each strike; up to as much again is added at random
	Down    time.Duration // how long a freeze or a cut lasts
	After   time.Duration // of load once all is as before
	Think   time.Duration // between two requests of a worker
	Limit   time.Duration // for the takeover, and for the return of the node
	// Prefix of all keys; no other run on the same cluster may have it.
	Prefix string
	// Open returns a way to the cluster for one worker.
	Open func() call.Caller
	// Named: requests may have a key of the caller's own. Conditional: writes may
	// have conditions.
	Named, Conditional bool
}

// Trial is the outcome of one strike. Times are in milliseconds. A pause is the
// time between two successes of one worker; those that end after the strike
// count.
type Trial struct {
	Struck     string         `json:"struck"`
	Successor  string         `json:"successor"`
	Quiet      float64        `json:"quiet_pause_ms"`  // the longest pause before the strike: how noisy the machine is
	WritePause float64        `json:"write_pause_ms"`  // the longest of any writer
	ReadPause  float64        `json:"read_pause_ms"`   // the longest of any reader
	Return     float64        `json:"return_pause_ms"` // the longest of those that ended after the node came back
	Outage     float64        `json:"outage_ms"`       // the longest time in which no write of anybody succeeded
	Pauses     []float64      `json:"pauses_ms"`       // the longest of each worker
	Writes     int            `json:"writes"`          // acknowledged
	Reads      int            `json:"reads"`           // answered
	Repeats    int            `json:"repeats"`         // of acknowledged writes, with the same key, on purpose
	Failed     int            `json:"failed"`          // attempts that were no success
	Codes      map[string]int `json:"codes"`           // of those
	Examples   []string       `json:"examples"`        // the first of those of some workers
	Lost       []string       `json:"lost"`            // acknowledged writes that are not there
	Doubled    []string       `json:"doubled"`         // writes that were applied once too often
	Stale      []string       `json:"stale"`           // reads of something older than what was acknowledged before them
}

// Longest returns the longest pause of any worker.
func (t *Trial) Longest() float64 { return max(t.WritePause, t.ReadPause) }

// Broken tells whether a promise about the data was broken.
func (t *Trial) Broken() bool { return len(t.Lost)+len(t.Doubled)+len(t.Stale) > 0 }

// Run makes the trials and passes each on when it is done.
func Run(ctx context.Context, c Cluster, opts Options, done func(Trial)) error {
	for i := range opts.Trials {
		t, err := newTrial(opts, i).run(ctx, c)
		if err != nil {
			return fmt.Errorf("trial %d: %w", i+1, err)
		}
		done(t)
	}
	return nil
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
