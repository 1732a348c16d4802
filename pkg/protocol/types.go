// Package protocol is the pure core of Understudy: epochs, positions and group
// records, how a record may change, what the monitor decides and what a replica
// accepts. It knows no clock, disk, socket or goroutine: time and identities are
// arguments, and every decision comes back as a value for the caller to carry out.
package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Epoch is the number of a primary's reign in a group. Zero means none yet.
type Epoch uint64

// Seq numbers the records of a group's journal, contiguously from 1. Zero is
// the position before the first record.
type Seq uint64

// Version counts the changes of one group record. It only grows.
type Version uint64

// GroupID names a group. A cluster starts with group 0.
type GroupID uint32

// UUID names a replica's data directory: 32 lower-case hexadecimal digits.
type UUID string

// Position is a place in a group's history, written "epoch.seq".
type Position struct {
	Epoch Epoch
	Seq   Seq
}

// String returns the position as "epoch.seq".
func (p Position) String() string {
	return strconv.FormatUint(uint64(p.Epoch), 10) + "." + strconv.FormatUint(uint64(p.Seq), 10)
}

// Compare orders positions by epoch, then by seq.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Seq, q.Seq))
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}

// ParsePosition reads "epoch.seq".
func ParsePosition(s string) (Position, error) {
	e, q, ok := strings.Cut(s, ".")
	if ok {
		epoch, err1 := strconv.ParseUint(e, 10, 64)
		seq, err2 := strconv.ParseUint(q, 10, 64)
		if err1 == nil && err2 == nil {
			return Position{Epoch(epoch), Seq(seq)}, nil
		}
	}
	return Position{}, fmt.Errorf("position %q is not of the form epoch.seq, for example 3.1042", s)
}

// Boot names one start of a node: a count kept in its data directory and a
// random part. A higher count of the same directory is a later start.
type Boot struct {
	Count uint64
	Nonce string
}

// String returns the boot as "count-nonce".
func (b Boot) String() string { return strconv.FormatUint(b.Count, 10) + "-" + b.Nonce }

// MarshalText implements [encoding.TextMarshaler]. The zero boot is empty text.
func (b Boot) MarshalText() ([]byte, error) {
	if b == (Boot{}) {
		return nil, nil
	}
	return []byte(b.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *Boot) UnmarshalText(t []byte) error {
	if len(t) == 0 {
		*b = Boot{}
		return nil
	}
	c, n, ok := strings.Cut(string(t), "-")
	count, err := strconv.ParseUint(c, 10, 64)
	if !ok || err != nil || n == "" {
		return fmt.Errorf("boot %q is not of the form count-nonce, for example 4-91c2f07a", t)
	}
	*b = Boot{count, n}
	return nil
}

// ReplicaBoot is one boot of one replica: what an epoch belongs to.
type ReplicaBoot struct {
	UUID UUID `json:"uuid"`
	Boot Boot `json:"boot"`
}

// Boundary says at which seq an epoch's records begin in a journal.
type Boundary struct {
	Epoch Epoch `json:"epoch"`
	First Seq   `json:"first"`
}

// GroupRecord is what the registry holds of one group. It is immutable once
// made; changes make a new one with a higher version.
type GroupRecord struct {
	Group   GroupID     `json:"group"`
	Version Version     `json:"version"`
	Epoch   Epoch       `json:"epoch"`
	Primary ReplicaBoot `json:"primary"`
	// InSync holds the replicas that must hold a record durably before it is
	// acknowledged, the primary included: the only candidates for promotion.
	InSync []UUID `json:"in_sync"`
	// Leaving marks members that the primary is to remove from InSync.
	Leaving []UUID `json:"leaving,omitempty"`
	// Down names the replicas that the monitor held for dead at the last
	// promotion, so that the new primary need not wait for them.
	Down []UUID `json:"down,omitempty"`
	// HeldOut names the replicas whose nodes are in maintenance: they may follow,
	// and are not added to InSync.
	HeldOut []UUID `json:"held_out,omitempty"`
	// OverrideEpoch is the newest epoch that began by an override, 0 for none: a
	// history that ends in an earlier epoch may hold committed records that are lost.
	OverrideEpoch Epoch `json:"override_epoch,omitempty"`
	// Members are the replicas that belong to the group, in sync or not.
	Members []UUID `json:"members"`
}

// IsInSync tells whether u is in the in-sync set.
func (r GroupRecord) IsInSync(u UUID) bool { return slices.Contains(r.InSync, u) }

// IsMember tells whether u is a member of the group.
func (r GroupRecord) IsMember(u UUID) bool { return slices.Contains(r.Members, u) }

// IsLeaving tells whether u is marked to be removed from the in-sync set.
func (r GroupRecord) IsLeaving(u UUID) bool { return slices.Contains(r.Leaving, u) }

// IsDown tells whether u was held for dead at the last promotion.
func (r GroupRecord) IsDown(u UUID) bool { return slices.Contains(r.Down, u) }

// IsHeldOut tells whether u is kept out of the in-sync set for maintenance.
func (r GroupRecord) IsHeldOut(u UUID) bool { return slices.Contains(r.HeldOut, u) }

// MayAdd tells whether u may be added to the in-sync set.
func (r GroupRecord) MayAdd(u UUID) bool {
	return r.IsMember(u) && !r.IsLeaving(u) && !r.IsHeldOut(u)
}

func (r GroupRecord) clone() GroupRecord {
	r.InSync = slices.Clone(r.InSync)
	r.Leaving = slices.Clone(r.Leaving)
	r.Down = slices.Clone(r.Down)
	r.HeldOut = slices.Clone(r.HeldOut)
	r.Members = slices.Clone(r.Members)
	return r
}

// State is a node's condition as shown to people.
type State string

// The states shown to people.
const (
	StateStarting     State = "starting"
	StateStandby      State = "standby"
	StateCatchingUp   State = "catching-up"
	StatePrimary      State = "primary"
	StatePrimaryAlone State = "primary-alone"
	StateDraining     State = "draining"
	StateFenced       State = "fenced"
	StateSpare        State = "spare"
	StateMaintenance  State = "maintenance"
	StateCorrupt      State = "corrupt"
	StateUnreachable  State = "unreachable"
)

// States lists every state, in the order in which documents name them.
func States() []State {
	return []State{
		StateStarting, StateStandby, StateCatchingUp, StatePrimary, StatePrimaryAlone,
		StateDraining, StateFenced, StateSpare, StateMaintenance, StateCorrupt, StateUnreachable,
	}
}

// Role is what a replica does in its group, as it sees itself.
type Role string

// The roles of a replica.
const (
	RoleNone    Role = "none"    // has no record yet, or is no member
	RoleStandby Role = "standby" // follows the primary of its record
	RolePrimary Role = "primary" // the record names this very boot
)
