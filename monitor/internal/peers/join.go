package peers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"understudy.example/monitor/internal/registry"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// member tells whether the registry has this monitor as a voter at its address, as
// far as it knows.
func (p *Peers) member() bool {
	id := p.Registry.ID()
	return slices.ContainsFunc(p.Registry.Members(), func(m registry.Member) bool {
		return m.ID == id && m.Voter && m.Address == p.Options.Address
	})
}

// join asks the others to take this monitor in, until one has. Of several reasons why
// they do not, the leader's own is told: those of others may change with every round.
func (p *Peers) join(ctx context.Context) {
	heard := p.answers()
	var why error
	for _, o := range p.others() {
		if a := heard[o.Name]; a.err != nil || !a.self.Born {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, joinTimeout)
		err := p.call(ctx, http.MethodPost, o.Address, wire.PathMonitor, p.Self(), new(wire.MonitorSelf))
		cancel()
		if err == nil {
			p.Log.Info().Str("through", o.Name).Msg("taken in by the other monitors")
			return
		}
		if why == nil || problem.CodeOf(err) != problem.NoLeader {
			why = err
		}
	}
	if why != nil {
		p.tell(why.Error())
	}
}

// Join takes a monitor in that asks for it: one of a known name that came with a
// new data directory or moved. Only the leader can.
func (p *Peers) Join(ctx context.Context, who wire.MonitorSelf) error {
	known := slices.ContainsFunc(p.Registry.Members(), func(m registry.Member) bool { return m.Name == who.Name })
	// Between the steps of an earlier attempt, or by the command line: one that was
	// removed has a registry, and is not taken in again.
	listed := !who.Born && slices.ContainsFunc(p.Peers, func(o Peer) bool { return o.Name == who.Name })
	if !known && !listed {
		return problem.Errorf(problem.Forbidden, "%s is none of the monitors: add it with client -add-monitor %s=%s", who.Name, who.Name, who.Address)
	}
	return p.admit(ctx, who)
}

// Add takes in a monitor that an operator names.
func (p *Peers) Add(ctx context.Context, o wire.MonitorOrder) error {
	who, err := p.ask(ctx, o.Address)
	switch {
	case o.Name == "" || strings.ContainsRune(o.Name, '@') || !strings.Contains(o.Address, ":"):
		return problem.Errorf(problem.BadRequest, "a monitor is added by its name and its host:port")
	case err != nil:
		return problem.Errorf(problem.BadRequest, "no monitor answers at %s (%v): start it first, with -peers that name it and the others", o.Address, err)
	case who.Name != o.Name:
		return problem.Errorf(problem.BadRequest, "at %s answers monitor %s, not %s", o.Address, who.Name, o.Name)
	}
	who.Address = o.Address
	return p.admit(ctx, who)
}

// admit makes a monitor a voter that is there, and whose name nobody else holds.
func (p *Peers) admit(ctx context.Context, who wire.MonitorSelf) error {
	end, err := p.begins(ctx)
	if err != nil {
		return err
	}
	defer end()
	now, err := p.ask(ctx, who.Address)
	mine := p.Registry.State().Cluster
	switch {
	case err != nil || now.ID != who.ID:
		return problem.Errorf(problem.BadRequest, "%s does not answer at %s as itself: give it an address that the others reach it by", who.Name, who.Address)
	case now.Cluster != "" && now.Cluster != mine:
		return problem.Errorf(problem.WrongCluster, "monitor %s belongs to cluster %s, and these to %s: give it an empty data directory", who.Name, now.Cluster, mine)
	}
	for _, m := range p.Registry.Members() {
		if m.Name != who.Name || m.ID == who.ID || m.Address == who.Address {
			continue
		}
		if old, err := p.ask(ctx, m.Address); err == nil && old.ID == m.ID {
			return problem.Errorf(problem.DuplicateNode, "another monitor named %s is alive at %s: stop it, or give this one another name", m.Name, m.Address)
		}
	}
	return noLeader(p.Registry.Admit(ctx, registry.Member{Name: who.Name, ID: who.ID, Address: who.Address}))
}

// begins waits until no change of the monitors is under way, for one that lasts until
// end is called.
func (p *Peers) begins(ctx context.Context) (end func(), err error) {
	select {
	case p.changing <- struct{}{}:
		return func() { <-p.changing }, nil
	case <-ctx.Done():
		return nil, problem.Errorf(problem.NoLeader, "another change of the monitors is under way")
	}
}

// Remove takes a monitor out. This one, if it is named, hands the leadership over
// first, and has the next leader do it.
func (p *Peers) Remove(ctx context.Context, name string) error {
	if name == p.Name {
		if err := p.mayRemove(ctx, name); err != nil {
			return err
		}
		return p.removeSelf(ctx)
	}
	end, err := p.begins(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := p.mayRemove(ctx, name); err != nil {
		return err
	}
	return noLeader(p.Registry.Dismiss(ctx, name))
}

// mayRemove says why a monitor must not be taken out now, or returns nil.
func (p *Peers) mayRemove(ctx context.Context, name string) error {
	voters := p.Registry.Members()
	if !slices.ContainsFunc(voters, func(m registry.Member) bool { return m.Name == name }) {
		return problem.Errorf(problem.NotFound, "no monitor is named %q", name)
	}
	rest := slices.DeleteFunc(voters, func(m registry.Member) bool { return m.Name == name || !m.Voter })
	p.round(ctx)
	heard, there := p.answers(), 0
	for _, m := range rest {
		if a, asked := heard[m.Name]; m.Name == p.Name || asked && a.err == nil {
			there++
		}
	}
	if there <= len(rest)/2 {
		return problem.Errorf(problem.WouldLoseData, "without %s the registry would have %d monitors, of which %d answer: that is no majority, and nothing could be decided any more", name, len(rest), there)
	}
	return nil
}

// removeSelf has another monitor lead, and take this one out.
func (p *Peers) removeSelf(ctx context.Context) error {
	if err := p.Registry.HandOver(ctx, ""); err != nil {
		return noLeader(err)
	}
	address, ok := p.awaitOther(ctx)
	if !ok {
		return problem.Errorf(problem.NoLeader, "%s has handed the leadership over, and no other monitor leads yet: ask again", p.Name)
	}
	return p.call(ctx, http.MethodDelete, address, wire.PathMonitors+"/"+p.Name, nil, new(wire.Monitors))
}

// Yield has another monitor lead, if this one does.
func (p *Peers) Yield(ctx context.Context, to string) error { return p.Registry.HandOver(ctx, to) }

// noLeader gives the registry's errors a code.
func noLeader(err error) error {
	if err == nil {
		return nil
	}
	return problem.Errorf(problem.NoLeader, "the registry did not take it: %v", err)
}
