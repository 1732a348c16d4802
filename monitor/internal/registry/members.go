package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"understudy.example/pkg/protocol"
)

// Member is one of the monitors that keep the registry.
type Member struct {
	Name    string
	ID      string // name and uuid of its data directory
	Address string // host:port
	Voter   bool   // it is not, while it is being taken in
}

// handOverWithin bounds the wait for another monitor to take the leadership.
const handOverWithin = time.Second

func voterAddress(m Member) raft.ServerAddress {
	return raft.ServerAddress(m.ID + "@" + m.Address)
}

func memberOf(s raft.Server) Member {
	address := string(s.Address)
	return Member{
		Name: monitorName(s.ID), ID: string(s.ID), Address: address[strings.LastIndexByte(address, '@')+1:],
		Voter: s.Suffrage == raft.Voter,
	}
}

// ID returns the id of this voter.
func (r *Registry) ID() string { return string(r.identity.raftID()) }

// Members returns the monitors that keep the registry, by name. It is empty
// before the birth.
func (r *Registry) Members() []Member {
	f := r.raft.GetConfiguration() // answered at once
	if f.Error() != nil {
		return nil
	}
	var out []Member
	for _, s := range f.Configuration().Servers {
		out = append(out, memberOf(s))
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// LeaderAddress returns the host:port of the monitor that leads, or "" while none
// is known.
func (r *Registry) LeaderAddress() string {
	address, _ := r.raft.LeaderWithID()
	return string(address[strings.LastIndexByte(string(address), '@')+1:])
}

// Informed tells that this monitor follows a leader that it hears, and has applied
// all that it has been told is acknowledged.
func (r *Registry) Informed() bool {
	_, leader := r.raft.LeaderWithID()
	told := r.raft.CommitIndex()
	return r.raft.State() == raft.Follower && leader != "" && told > 0 && r.raft.AppliedIndex() >= told
}

// Admit makes m a voter, in the place of every other of its name: a monitor that
// lost its disk comes with another id. Each step is committed before the next, and
// whoever leads then goes on from any of them. Only the leader can.
func (r *Registry) Admit(ctx context.Context, m Member) error {
	have := r.Members()
	at := slices.IndexFunc(have, func(h Member) bool { return h.ID == m.ID })
	others := slices.DeleteFunc(slices.Clone(have), func(h Member) bool { return h.Name != m.Name || h.ID == m.ID })
	if at >= 0 && have[at].Voter && have[at].Address == m.Address && len(others) == 0 {
		return nil
	}
	id := raft.ServerID(m.ID)
	if at < 0 {
		// A voter that may not answer would count against the majority: the old one
		// goes first, and meanwhile this entry keeps the name known.
		if err := r.change(ctx, "take in "+m.Name, func(d time.Duration) raft.Future { return r.raft.AddNonvoter(id, voterAddress(m), 0, d) }); err != nil {
			return err
		}
	}
	for _, old := range others {
		if err := r.change(ctx, "remove the earlier "+m.Name, func(d time.Duration) raft.Future { return r.raft.RemoveServer(raft.ServerID(old.ID), 0, d) }); err != nil {
			return err
		}
	}
	err := r.change(ctx, "make "+m.Name+" a voter", func(d time.Duration) raft.Future { return r.raft.AddVoter(id, voterAddress(m), 0, d) })
	if err != nil {
		return err
	}
	return r.remember(ctx, "monitor-added", fmt.Sprintf("monitor %s is a voter at %s", m.Name, m.Address))
}

// Dismiss removes every voter of a name. Only the leader can, and not itself.
func (r *Registry) Dismiss(ctx context.Context, name string) error {
	for _, m := range r.Members() {
		if m.Name != name {
			continue
		}
		if err := r.change(ctx, "remove "+name, func(d time.Duration) raft.Future { return r.raft.RemoveServer(raft.ServerID(m.ID), 0, d) }); err != nil {
			return err
		}
	}
	return r.remember(ctx, "monitor-removed", "monitor "+name+" was removed")
}

func (r *Registry) change(ctx context.Context, what string, ask func(time.Duration) raft.Future) error {
	ctx, cancel := context.WithTimeout(ctx, ApplyTimeout)
	defer cancel()
	if err := r.await(ctx, ask, func(raft.Future) {}); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	r.opt.Log.Info().Str("change", what).Msg("monitors changed")
	return nil
}

func (r *Registry) remember(ctx context.Context, kind, detail string) error {
	_, err := r.Apply(ctx, protocol.Command{Note: &protocol.HistoryEvent{Kind: kind, Detail: detail}})
	return err
}

// HandOver has another voter lead, the most advanced one if to is "", and waits
// until this monitor does not any more. It is no error where it did not lead.
func (r *Registry) HandOver(ctx context.Context, to string) error {
	if r.raft.State() != raft.Leader {
		return nil
	}
	voters := slices.DeleteFunc(r.Members(), func(m Member) bool { return !m.Voter || m.ID == r.ID() || to != "" && m.Name != to })
	if len(voters) == 0 {
		return errors.New("there is no other voter that could lead")
	}
	ctx, cancel := context.WithTimeout(ctx, handOverWithin)
	defer cancel()
	err := r.await(ctx, func(time.Duration) raft.Future {
		if to == "" {
			return r.raft.LeadershipTransfer()
		}
		return r.raft.LeadershipTransferToServer(raft.ServerID(voters[0].ID), voterAddress(voters[0]))
	}, func(raft.Future) {})
	if err != nil {
		return fmt.Errorf("hand the leadership over: %w", err)
	}
	return nil
}

// correctAddress tells the others, as the leader, where this voter is now.
func (r *Registry) correctAddress(ctx context.Context) error {
	self, address := r.identity.raftID(), r.transport.LocalAddr()
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if s.ID == self && s.Address != address {
			return r.change(ctx, "correct the address of this monitor", func(d time.Duration) raft.Future { return r.raft.AddVoter(self, address, 0, d) })
		}
	}
	return nil
}
