package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"understudy.example/pkg/protocol"
)

// Apply has the registry carry out c and returns the state right after it. A
// zero c.At is filled in. It waits at most [ApplyTimeout].
//
// The error is a [*protocol.Refusal] where the registry refused the command; it
// then comes with the state that c was judged on. Otherwise it wraps
// [ErrNotLeader], [ErrClosed] or, after a loss of leadership and together with
// the context's error, [ErrOutcomeUnknown].
func (r *Registry) Apply(ctx context.Context, c protocol.Command) (protocol.Registry, error) {
	if c.At.IsZero() {
		c.At = time.Now()
	}
	data, err := encodeCommand(c)
	if err != nil {
		return r.State(), fmt.Errorf("apply command: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ApplyTimeout)
	defer cancel()
	var answer any
	err = r.await(ctx, func(timeout time.Duration) raft.Future {
		return r.raft.Apply(data, timeout)
	}, func(f raft.Future) {
		answer = f.(raft.ApplyFuture).Response()
	})
	if err != nil {
		return r.State(), fmt.Errorf("apply command: %w", err)
	}
	out := answer.(outcome)
	switch {
	case out.err != nil:
		return out.state, fmt.Errorf("apply command: %w", out.err)
	case out.refusal != nil:
		return out.state, out.refusal
	}
	return out.state, nil
}

// await starts a request to Raft and waits for its answer as long as ctx
// allows. Use sees the answered future before await returns; not at all after
// an error.
func (r *Registry) await(ctx context.Context, ask func(time.Duration) raft.Future, use func(raft.Future)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !r.begin() {
		return ErrClosed
	}
	timeout := ApplyTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Nanosecond) // 0 would wait for ever
	}
	type answered struct {
		future raft.Future
		err    error
	}
	done := make(chan answered, 1)
	go func() {
		defer r.pending.Done()
		f := ask(timeout)
		done <- answered{f, f.Error()}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return translate(a.err)
		}
		use(a.future)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

// begin enters a request among the pending ones, unless the registry is closed.
func (r *Registry) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.pending.Add(1)
	return true
}

// translate names Raft's errors by what they mean for the command.
func translate(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: it took no command in time", ErrNotLeader)
	case errors.Is(err, raft.ErrRaftShutdown):
		return ErrClosed
	}
	// The leadership was lost, or the disk failed, with the command under way.
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}
