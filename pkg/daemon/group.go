package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rs/zerolog"
)

// Group runs a daemon's long-lived goroutines under one context and waits for
// them. The first that fails stops the rest. Its methods may be called
// concurrently, but Go not after Wait has returned.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc
	log    zerolog.Logger
	wait   sync.WaitGroup

	failOnce sync.Once
	failure  error // written once, before cancel; read after wait
}

// NewGroup returns an empty group whose context ends with ctx, with Stop, or
// with the first failure.
func NewGroup(ctx context.Context, log zerolog.Logger) *Group {
	g := &Group{log: log}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// Context returns the context that the group's goroutines share.
func (g *Group) Context() context.Context { return g.ctx }

// Go runs fn in a goroutine called name. An error that fn returns stops the
// group, except the context's own error once the group is stopping. Returning
// nil stops nothing. A panic is not caught: it ends the process, as a crash.
func (g *Group) Go(name string, fn func(ctx context.Context) error) {
	g.log.Debug().Str("goroutine", name).Msg("goroutine started")
	g.wait.Go(func() {
		err := fn(g.ctx)
		g.log.Debug().Str("goroutine", name).Msg("goroutine ended")
		if err == nil || (g.ctx.Err() != nil && isContextError(err)) {
			return
		}
		g.failOnce.Do(func() {
			g.failure = fmt.Errorf("%s: %w", name, err)
			g.cancel()
		})
	})
}

// Stop asks every goroutine to end, through their context. It does not wait.
func (g *Group) Stop() { g.cancel() }

// Wait blocks until every goroutine has ended, and returns the first failure.
func (g *Group) Wait() error {
	g.wait.Wait()
	g.cancel()
	return g.failure
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
