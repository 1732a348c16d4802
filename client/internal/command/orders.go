package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"understudy.example/client/internal/show"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// changePrimary orders another primary, and tells how long it took.
func (a action) changePrimary(ctx context.Context, order func(context.Context, wire.ChangeOrder) (wire.PrimaryChanged, error)) error {
	changed, err := order(ctx, a.in.order)
	if err != nil {
		return err
	}
	if a.in.json {
		return show.JSON(a.Stdout, changed)
	}
	return show.PrimaryChanged(a.Stdout, changed)
}

func (a action) maintenance(ctx context.Context) error {
	name, on, err := a.in.maintenance()
	if err != nil {
		return err
	}
	set, err := a.api.SetMaintenance(ctx, name, on)
	if err != nil {
		return err
	}
	text := set.Node + " is back from maintenance"
	if set.On {
		text = set.Node + " is in maintenance: it holds no copy that counts until -maintenance " + set.Node + "=off"
	}
	return a.say(set, text)
}

func (a action) remove(ctx context.Context) error {
	removed, err := a.api.Remove(ctx, a.in.operand)
	if err != nil {
		return err
	}
	return a.say(removed, removed.Node+" is removed: "+removed.Why)
}

func (a action) addMonitor(ctx context.Context) error {
	name, address, err := a.in.newMonitor()
	if err != nil {
		return err
	}
	return a.monitors(a.api.AddMonitor(ctx, wire.MonitorOrder{Name: name, Address: address}))
}

// monitors tells which monitors there are now.
func (a action) monitors(now wire.Monitors, err error) error {
	if err != nil {
		return err
	}
	names := make([]string, 0, len(now.Monitors))
	for _, m := range now.Monitors {
		names = append(names, m.Name)
	}
	return a.say(now, "the monitors are "+strings.Join(names, ", "))
}

func (a action) pause(ctx context.Context, on bool) error {
	settings, err := a.api.Configure(ctx, map[string]any{"paused": on})
	if err != nil {
		return err
	}
	text := "automatic failover is on"
	if settings.Paused {
		text = "automatic failover is paused: nobody takes over from a dead primary until -resume"
	}
	return a.say(settings, text)
}

func (a action) freeze(ctx context.Context) error {
	frozen, err := a.api.Freeze(ctx, a.in.operand, protocol.Duration(a.in.freeze))
	if err != nil {
		return err
	}
	return a.say(frozen, fmt.Sprintf("%s stands still for %s", frozen.Node, time.Duration(frozen.For)))
}

// say prints what came of an order, as JSON where that is wanted.
func (a action) say(v any, text string) error {
	if a.in.json {
		return show.JSON(a.Stdout, v)
	}
	_, err := fmt.Fprintln(a.Stdout, text)
	return err
}
