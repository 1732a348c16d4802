package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	leaderWithin = 15 * time.Second
	leaderPoll   = 10 * time.Millisecond
)

// KillWithLeader kills a node and the monitor that leads at once. Clients ask the
// first monitor, which is not to be that one: see [subject.Follow].
func (s subject) KillWithLeader(ctx context.Context, node string) error {
	view, err := s.View(ctx)
	if err != nil {
		return err
	}
	if view.Leader == "" || view.Leader == s.first() {
		return fmt.Errorf("the monitor %q leads, and another than %s was to", view.Leader, s.first())
	}
	return errors.Join(s.Kill(view.Leader), s.Kill(node))
}

// StartDead starts every process again that has ended.
func (s subject) StartDead() error {
	var errs []error
	for _, p := range s.Processes() {
		if p.PID == 0 {
			errs = append(errs, s.Start(p.Name))
		}
	}
	return errors.Join(errs...)
}

// Follow has another monitor lead than the first, which clients ask.
func (s subject) Follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaderWithin)
	defer cancel()
	killed := false
	for {
		view, err := s.View(ctx)
		switch {
		case err == nil && view.Leader != "" && view.Leader != s.first():
			if killed {
				err = s.Start(s.first())
			}
			if err != nil {
				return err
			}
			return errors.Join(s.WaitReady(ctx), s.awaitFirst(ctx))
		case err == nil && view.Leader == s.first() && !killed:
			if err := s.Kill(s.first()); err != nil {
				return err
			}
			killed = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no other monitor than %s leads (%w)", s.first(), ctx.Err())
		case <-time.After(leaderPoll):
		}
	}
}

// awaitFirst waits until the monitor that clients ask can do its work.
func (s subject) awaitFirst(ctx context.Context) error {
	for {
		err := s.call(ctx, http.MethodGet, "/readyz", nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", s.first(), err)
		case <-time.After(leaderPoll):
		}
	}
}

// first is the name of the monitor that clients ask.
func (s subject) first() string { return s.Processes()[0].Name }
