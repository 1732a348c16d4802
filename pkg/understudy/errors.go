package understudy

import (
	"context"
	"errors"

	"understudy.example/pkg/problem"
)

// What [errors.Is] finds in the errors of a [Client].
var (
	// ErrNotFound: there is no such key.
	ErrNotFound = errors.New("there is no such key")
	// ErrPrecondition: the condition of the write does not hold.
	ErrPrecondition = errors.New("the condition does not hold")
	// ErrNotModified: the entry still is the one that IfNoneMatch named.
	ErrNotModified = errors.New("the entry is not modified")
	// ErrOutcomeUnknown: the write may or may not have been applied; RetryKey
	// returns the key to ask again.
	ErrOutcomeUnknown = errors.New("whether the write was applied is not known")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client is closed")
)

// sentinels are the codes that have an error of their own.
var sentinels = map[problem.Code]error{
	problem.NotFound:           ErrNotFound,
	problem.PreconditionFailed: ErrPrecondition,
	problem.OutcomeUnknown:     ErrOutcomeUnknown,
}

// RetryKey returns the key by which a write whose outcome is unknown is asked
// for again, with [IdempotencyKey]; "" for any other error.
func RetryKey(err error) string {
	if e, ok := errors.AsType[*problem.Error](err); ok {
		return e.Key
	}
	return ""
}

// failure is an error with a code, and what else is true of it.
type failure struct {
	problem *problem.Error
	also    []error
}

// Error implements error.
func (f *failure) Error() string { return f.problem.Error() }

// Unwrap lets errors.Is and errors.As find all of it.
func (f *failure) Unwrap() []error { return append([]error{f.problem}, f.also...) }

func failed(e *problem.Error) *failure {
	f := &failure{problem: e}
	if s := sentinels[e.Code]; s != nil {
		f.also = append(f.also, s)
	}
	return f
}

// unanswered makes the error of a request that was given up. ctx is the
// caller's.
func (c *Client) unanswered(ctx context.Context, err error) error {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return err
	}
	said := *e
	if trouble := c.directory.trouble(); trouble != nil && said.Code == problem.NoPrimary {
		said.Detail += "; and no monitor can be asked: " + trouble.Error()
	}
	return c.because(ctx, failed(&said))
}

// because adds who ended the request, if it was the caller.
func (c *Client) because(ctx context.Context, f *failure) *failure {
	switch {
	case c.ctx.Err() != nil:
		f.also = append(f.also, ErrClosed)
	case ctx.Err() != nil:
		f.also = append(f.also, ctx.Err())
	}
	return f
}
