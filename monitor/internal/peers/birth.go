package peers

import (
	"fmt"
	"slices"

	"understudy.example/monitor/internal/registry"
)

// begin begins the registry, if that is this monitor's to do now, and tells
// whether it did.
//
// There are never two births. Only the lowest of the listed names begins one, and
// only when every other listed monitor has just answered that it has never had a
// part in one. So a lowest name that lost its disk, while any of the others keeps
// its own, finds somebody who is born, or somebody who does not answer.
func (p *Peers) begin() bool {
	voters, why := p.founders()
	switch why {
	case "":
	case begunAlready: // joining tells how that goes
		return false
	default:
		p.tell(why)
		return false
	}
	if err := p.Registry.Begin(voters); err != nil {
		p.tell(err.Error())
		return false
	}
	p.Log.Info().Strs("monitors", p.names()).Msg("registry begun")
	return true
}

// begunAlready is why a monitor does not begin a registry where others have one.
const begunAlready = "the others have a registry already"

// founders returns the first voters, or why this monitor does not begin with them.
func (p *Peers) founders() (voters []registry.Member, why string) {
	names := p.names()
	if len(names) == 0 {
		return nil, "it was started to be added to others"
	}
	heard := p.answers()
	for _, o := range p.Peers {
		if o.Name == p.Name {
			voters = append(voters, registry.Member{Name: p.Name, ID: p.Registry.ID(), Address: p.Options.Address})
			continue
		}
		a, asked := heard[o.Name]
		switch {
		case !asked || a.err != nil:
			return nil, fmt.Sprintf("monitor %s at %s has not answered yet", o.Name, o.Address)
		case a.self.Name != o.Name:
			return nil, fmt.Sprintf("at %s answers monitor %s, and -peers says %s", o.Address, a.self.Name, o.Name)
		case a.self.Born:
			return nil, begunAlready
		case !slices.Equal(a.self.Peers, names):
			return nil, fmt.Sprintf("monitor %s was started with -peers of %v, and this one with %v", o.Name, a.self.Peers, names)
		}
		voters = append(voters, registry.Member{Name: o.Name, ID: a.self.ID, Address: o.Address})
	}
	if names[0] != p.Name {
		return nil, "monitor " + names[0] + " is about to begin the registry"
	}
	return voters, ""
}

// tell says once why this monitor has no part in a registry yet.
func (p *Peers) tell(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said != why {
		p.Log.Info().Str("because", why).Msg("no part in the registry yet")
	}
	p.said = why
}
