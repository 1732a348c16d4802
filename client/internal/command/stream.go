package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"understudy.example/client/internal/api"
	"understudy.example/client/internal/show"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/understudy"
	"understudy.example/pkg/wire"
)

// events prints who the primary is and what happens, until it is interrupted.
func (a action) events(ctx context.Context) error {
	var last wire.PrimaryEvent
	err := a.api.Events(ctx, func(e api.Event) error {
		if a.in.json {
			return show.Line(a.Stdout, e)
		}
		if e.History != nil {
			return show.HistoryLine(a.Stdout, *e.History)
		}
		now := *e.Primary
		now.Version = last.Version // a version says nothing to people: the history tells why it grew
		if now == last {
			return nil
		}
		last = now
		return show.PrimaryLine(a.Stdout, time.Now(), now)
	})
	return untilInterrupted(ctx, err)
}

// untilInterrupted makes of Ctrl-C the end that it is of such an action.
func untilInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watch prints the keys as they are, and then every change of them, until it is
// interrupted. Only the first word of the cluster is waited for no longer than
// the timeout.
func (a action) watch(ctx context.Context) error {
	c, err := understudy.Open(understudy.Options{Monitors: a.in.monitors})
	if err != nil {
		return err
	}
	defer c.Close()
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	alarm := time.AfterFunc(a.in.timeout, func() {
		stop(problem.Errorf(problem.NoPrimary, "nothing to watch was found within %s: -status tells how things stand", a.in.timeout))
	})
	defer alarm.Stop()
	begun := false
	for event, err := range c.Watch(waiting, a.in.prefix) {
		if err != nil {
			if errors.Is(err, context.Canceled) {
				err = context.Cause(waiting)
			}
			return untilInterrupted(ctx, err)
		}
		alarm.Stop()
		if event.Reset && begun {
			fmt.Fprintln(a.Stderr, "client: the state was cut short and begins anew")
		}
		begun = true
		if err := a.showEvent(event); err != nil {
			return err
		}
	}
	return nil
}

// watched is one event of a watch as a line of JSON.
type watched struct {
	Snapshot bool             `json:"snapshot,omitempty"`
	Reset    bool             `json:"reset,omitempty"`
	Complete bool             `json:"complete,omitempty"`
	Position string           `json:"position,omitempty"`
	Changes  []wire.KeyChange `json:"changes"`
}

func (a action) showEvent(e understudy.Event) error {
	at := ""
	if e.Position != (understudy.Position{}) {
		at = e.Position.String()
	}
	if a.in.json {
		return show.Line(a.Stdout, watched{e.Snapshot, e.Reset, e.Complete, at, keyChanges(e)})
	}
	for _, c := range e.Changes {
		did, when := "set", at
		switch {
		case e.Snapshot:
			did, when = "is", unquoted(c.ETag)
		case c.Deleted:
			did = "deleted"
		}
		if err := show.ChangeLine(a.Stdout, when, did, c.Key, c.Value); err != nil {
			return err
		}
	}
	return nil
}

// unquoted returns the position that an ETag holds.
func unquoted(etag string) string {
	if len(etag) < 2 {
		return etag
	}
	return etag[1 : len(etag)-1]
}

func keyChanges(e understudy.Event) []wire.KeyChange {
	out := make([]wire.KeyChange, 0, len(e.Changes))
	for _, c := range e.Changes {
		k := wire.KeyChange{Key: c.Key, Deleted: c.Deleted}
		switch {
		case c.Deleted:
		case utf8.Valid(c.Value):
			k.Value = new(string(c.Value))
		default:
			k.Base64 = new(base64.StdEncoding.EncodeToString(c.Value))
		}
		out = append(out, k)
	}
	return out
}
