package failover

import (
	"context"
	"fmt"
	"slices"
)

// Kind is a way in which a primary comes to an end.
type Kind struct {
	Name string
	// Linked: the cluster must have links that can be cut.
	Linked bool
	// Signal: it needs nothing but a signal, so that any store can be tried.
	Signal bool
	// Lasts: what the strike does is undone only after [Options.Down].
	Lasts bool
	// Monitors is how many monitors the cluster must have; 0: one will do.
	Monitors int
	// prepare comes before the load of each trial; nil: nothing is to be done.
	prepare func(ctx context.Context, c Cluster) error
	// strike does it to the primary of that name, undo lets it return; nil: it
	// was never gone.
	strike, undo func(ctx context.Context, c Cluster, name string) error
}

// Linked is a cluster whose nodes can be cut off from everybody else.
type Linked interface {
	Cut(name string) error
	Heal(name string) error
}

// Switcher is a cluster that changes its primary on request.
type Switcher interface {
	Switchover(ctx context.Context) error
}

// Led is a cluster of several monitors, one of which leads.
type Led interface {
	// Follow has another monitor lead than the one that clients ask.
	Follow(ctx context.Context) error
	// KillWithLeader kills a node and the monitor that leads at once, and StartDead
	// starts them again.
	KillWithLeader(ctx context.Context, node string) error
	StartDead() error
}

var kinds = []Kind{
	{
		Name: "kill", Signal: true,
		strike: func(_ context.Context, c Cluster, name string) error { return c.Kill(name) },
		undo:   start,
	},
	{
		Name: "stop", Signal: true, Lasts: true,
		strike: func(_ context.Context, c Cluster, name string) error { return c.Stop(name) },
		undo:   func(_ context.Context, c Cluster, name string) error { return c.Cont(name) },
	},
	{
		Name: "cut", Lasts: true, Linked: true,
		strike: func(_ context.Context, c Cluster, name string) error { return cut(c, name, Linked.Cut) },
		undo:   func(_ context.Context, c Cluster, name string) error { return cut(c, name, Linked.Heal) },
	},
	{
		Name: "term", Signal: true,
		strike: func(_ context.Context, c Cluster, name string) error { return c.Terminate(name) },
		undo:   start,
	},
	{
		Name: "switchover",
		strike: func(ctx context.Context, c Cluster, _ string) error {
			if s, ok := c.(Switcher); ok {
				return s.Switchover(ctx)
			}
			return fmt.Errorf("%T knows no switchover", c)
		},
	},
	{
		Name: "both", Monitors: 3,
		prepare: func(ctx context.Context, c Cluster) error { return led(c, func(l Led) error { return l.Follow(ctx) }) },
		strike: func(ctx context.Context, c Cluster, name string) error {
			return led(c, func(l Led) error { return l.KillWithLeader(ctx, name) })
		},
		undo: func(_ context.Context, c Cluster, _ string) error { return led(c, Led.StartDead) },
	},
}

func led(c Cluster, do func(Led) error) error {
	if l, ok := c.(Led); ok {
		return do(l)
	}
	return fmt.Errorf("%T has no several monitors", c)
}

func start(_ context.Context, c Cluster, name string) error { return c.Start(name) }

func cut(c Cluster, name string, do func(Linked, string) error) error {
	if l, ok := c.(Linked); ok {
		return do(l, name)
	}
	return fmt.Errorf("%T has no links that can be cut", c)
}

// KindNames lists the names of all kinds.
func KindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return names
}

// KindOf returns the kind of that name, which must be one of [KindNames].
func KindOf(name string) Kind {
	return kinds[slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })]
}
