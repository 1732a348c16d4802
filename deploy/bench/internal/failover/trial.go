package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pollPause = 5 * time.Millisecond
	// judging bounds the reading and the removal of a trial's keys.
	judging = 30 * time.Second
)

// trial is one strike and what belongs to it.
type trial struct {
	Trial
	opts    Options
	prefix  string
	workers []*worker
	writers []writer
	readers []*reader

	struck   time.Time
	returned time.Time // when the node was let come back
}

// writer is a worker that writes keys of its own.
type writer interface {
	client
	// sample returns a key, and the least and the greatest value that a read of
	// it may return; the greatest is asked after the read. -1 is no value.
	sample() (key string, least int, greatest func() int)
	// expect tells what must be there at the end.
	expect(found func(key string, value int, etag string))
}

// client does one thing after the other.
type client interface {
	step(ctx context.Context) error
}

func newTrial(opts Options, number int) *trial {
	t := &trial{opts: opts, prefix: fmt.Sprintf("%s%d/", opts.Prefix, number)}
	for i := range opts.Writers {
		w := t.worker()
		prefix := fmt.Sprintf("%sw%d/", t.prefix, i)
		if i%2 == 0 && opts.Conditional {
			t.writers = append(t.writers, &counter{worker: w, key: prefix + "counter"})
		} else {
			t.writers = append(t.writers, &scribe{worker: w, prefix: prefix})
		}
	}
	for range opts.Readers {
		t.readers = append(t.readers, &reader{worker: t.worker(), writers: t.writers})
	}
	return t
}

func (t *trial) worker() *worker {
	w := &worker{caller: t.opts.Open(), named: t.opts.Named, codes: map[string]int{}}
	t.workers = append(t.workers, w)
	return w
}

func (t *trial) run(ctx context.Context, c Cluster) (Trial, error) {
	defer func() {
		for _, w := range t.workers {
			w.caller.Close()
		}
	}()
	if prepare := t.opts.Kind.prepare; prepare != nil {
		if err := prepare(ctx, c); err != nil {
			return t.Trial, fmt.Errorf("prepare the trial: %w", err)
		}
	}
	if err := t.underLoad(ctx, c); err != nil {
		return t.Trial, err
	}
	ctx, cancel := context.WithTimeout(ctx, judging)
	defer cancel()
	items, err := c.Items(ctx, t.prefix)
	if err != nil {
		return t.Trial, fmt.Errorf("read everything back: %w", err)
	}
	t.judge(items)
	t.sum()
	keys := make([]string, len(items))
	for i, it := range items {
		keys[i] = it.Key
	}
	if err := c.Remove(ctx, keys); err != nil {
		return t.Trial, fmt.Errorf("remove the keys of the trial: %w", err)
	}
	return t.Trial, nil
}

// underLoad runs the story while all workers work, and stops them: each ends
// when its request has been answered, so that no outcome is left open.
func (t *trial) underLoad(ctx context.Context, c Cluster) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stop atomic.Bool
	var running sync.WaitGroup
	clients := make([]client, 0, len(t.workers))
	for _, w := range t.writers {
		clients = append(clients, w)
	}
	for _, r := range t.readers {
		clients = append(clients, r)
	}
	for _, one := range clients {
		running.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				if err := one.step(ctx); err != nil {
					cancel(err)
				}
				if t.opts.Think > 0 {
					_ = pause(ctx, t.opts.Think)
				}
			}
		})
	}
	err := t.story(ctx, c)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // a worker's error is the reason
	}
	if err != nil {
		cancel(err)
	}
	stop.Store(true)
	limit := time.AfterFunc(t.opts.Limit, func() { cancel(fmt.Errorf("a request was not answered within %s", t.opts.Limit)) })
	defer limit.Stop()
	running.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// story lets the load settle, strikes, and waits until all is as before.
func (t *trial) story(ctx context.Context, c Cluster) (err error) {
	if err := pause(ctx, t.opts.Settle+rand.N(t.opts.Settle+1)); err != nil {
		return err
	}
	if t.Struck, _, err = c.Primary(ctx); err != nil {
		return fmt.Errorf("find the primary: %w", err)
	}
	t.struck = time.Now()
	if err := t.opts.Kind.strike(ctx, c, t.Struck); err != nil {
		return fmt.Errorf("%s %s: %w", t.opts.Kind.Name, t.Struck, err)
	}
	if err := t.awaitSuccessor(ctx, c); err != nil {
		return err
	}
	if t.opts.Kind.Lasts {
		if err := pause(ctx, time.Until(t.struck.Add(t.opts.Down))); err != nil {
			return err
		}
	}
	t.returned = time.Now()
	if t.opts.Kind.undo != nil {
		if err := t.opts.Kind.undo(ctx, c, t.Struck); err != nil {
			return fmt.Errorf("let %s return: %w", t.Struck, err)
		}
	}
	ready, cancel := context.WithTimeout(ctx, t.opts.Limit)
	defer cancel()
	if err := c.WaitReady(ready); err != nil {
		return fmt.Errorf("after the return of %s: %w", t.Struck, err)
	}
	return pause(ctx, t.opts.After)
}

var errUnchanged = errors.New("it still is the primary")

// awaitSuccessor waits until another node is the primary and every worker has
// been served since.
func (t *trial) awaitSuccessor(ctx context.Context, c Cluster) error {
	limit, cancel := context.WithTimeout(ctx, t.opts.Limit)
	defer cancel()
	why := errUnchanged
	for {
		name, _, err := c.Primary(limit)
		if err == nil && name != t.Struck {
			t.Successor = name
			break
		}
		if limit.Err() != nil {
			return fmt.Errorf("nobody took over from %s within %s: %w", t.Struck, t.opts.Limit, why)
		}
		if why = err; err == nil {
			why = errUnchanged
		}
		_ = pause(limit, pollPause) // its end is seen above
	}
	taken := time.Now()
	for _, w := range t.workers {
		for w.lastSuccess().Before(taken) {
			if pause(limit, pollPause) != nil {
				return fmt.Errorf("a client was not served again within %s; the last that it was told: %s", t.opts.Limit, w.lastFailure())
			}
		}
	}
	return nil
}
