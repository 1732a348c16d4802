package protocol

import (
	"fmt"
	"time"
)

// Command is one change asked of the registry. Exactly one field beside At is
// set. Commands are pure and deterministic: everything they need is in them.
type Command struct {
	At            time.Time       `json:"at"` // for the history only
	Found         *Found          `json:"found,omitempty"`
	Register      *Register       `json:"register,omitempty"`
	Promote       *Promote        `json:"promote,omitempty"`
	ChangeInSync  *ChangeInSync   `json:"change_in_sync,omitempty"`
	SetMembers    *SetMembers     `json:"set_members,omitempty"`
	SetMaintained *SetMaintenance `json:"set_maintenance,omitempty"`
	Leave         *Leave          `json:"leave,omitempty"`
	Override      *Override       `json:"override,omitempty"`
	Remove        *Remove         `json:"remove,omitempty"`
	Forget        *Forget         `json:"forget,omitempty"`
	Adopt         *Adopt          `json:"adopt,omitempty"`
	SetConfig     *SetConfig      `json:"set_config,omitempty"`
	Note          *HistoryEvent   `json:"note,omitempty"`
}

// Found gives an empty registry its random cluster id and its settings. It is
// refused on a registry that has them.
type Found struct {
	Cluster  string   `json:"cluster"`
	Settings Settings `json:"settings"`
}

// Register enters a node, or a new boot, uuid or address of a known name.
type Register struct {
	Node NodeEntry `json:"node"`
	// Epoch is the highest epoch that the node has accepted in any group, and
	// Empty tells whether its journals hold nothing.
	Epoch Epoch `json:"epoch"`
	Empty bool  `json:"empty"`
	// Over is the boot that the name was registered with when this was decided,
	// the zero one for none; a nil Over takes the place of any. A late copy must
	// not put a dead boot over a living one that registered meanwhile.
	Over *ReplicaBoot `json:"over,omitempty"`
	// Cluster is the one that the node's directory is of, empty before it has joined
	// one, and Journal the epoch of the newest record in it.
	Cluster string `json:"cluster,omitempty"`
	Journal Epoch  `json:"journal,omitempty"`
}

// Promote makes a replica the primary of the next epoch. The replica must be
// in the in-sync set when the command is applied; the set stays as it is.
type Promote struct {
	Group   GroupID     `json:"group"`
	Version Version     `json:"version"`
	Primary ReplicaBoot `json:"primary"`
	Down    []UUID      `json:"down,omitempty"`
	// Unfit names the others that cannot be promoted, though they are not down: a
	// leaving replica is taken only where nobody else is left.
	Unfit  []UUID `json:"unfit,omitempty"`
	Reason string `json:"reason"`
}

// ChangeInSync replaces the in-sync set. Only the primary of the record asks
// for it, and the set always holds the primary itself.
type ChangeInSync struct {
	Group   GroupID     `json:"group"`
	Version Version     `json:"version"`
	Epoch   Epoch       `json:"epoch"`
	Primary ReplicaBoot `json:"primary"`
	InSync  []UUID      `json:"in_sync"`
	Reason  string      `json:"reason"`
}

// SetMembers replaces the members of a group. A former member that is in sync
// is marked as leaving.
type SetMembers struct {
	Group   GroupID `json:"group"`
	Version Version `json:"version"`
	Members []UUID  `json:"members"`
	Reason  string  `json:"reason"`
	// Kind is that of the line in the history; empty: KindMembers.
	Kind string `json:"kind,omitempty"`
}

// The kinds of a change of the members, in the history.
const (
	KindMembers  = "members"
	KindReplaced = "member-replaced" // a member leaves, and a spare takes its place
)

// SetMaintenance marks a node as kept out of the in-sync sets, or ends that.
type SetMaintenance struct {
	Node string `json:"node"`
	On   bool   `json:"on"`
}

// Leave marks a node that is stopping as leaving wherever it is in sync and not
// the primary. The mark ends with its removal, or with its next boot. Asked again
// it changes nothing.
type Leave struct {
	Node string `json:"node"`
	UUID UUID   `json:"uuid"`
	Boot Boot   `json:"boot"`
}

// Remove marks a node that is to leave the cluster for good. It is refused for a
// primary, and for the only copy of a group.
type Remove struct {
	Node string `json:"node"`
	By   string `json:"by,omitempty"` // who asked, for the history
}

// Forget drops a removed node that is in no group any more, and is gone.
type Forget struct {
	Node string `json:"node"`
	UUID UUID   `json:"uuid"`
	Boot Boot   `json:"boot"`
}

// Override makes a replica outside the in-sync set the primary of the next epoch,
// alone in the set: what it does not hold is lost. Only an operator decides that,
// by name, and it stays in the history.
type Override struct {
	Group   GroupID     `json:"group"`
	Version Version     `json:"version"`
	Primary ReplicaBoot `json:"primary"`
	Reason  string      `json:"reason"`
	By      string      `json:"by"`
	// LossExpected says what is lost as far as it is known, and LastHeard when the
	// old primary was last heard, by the deciding monitor's wall clock: zero if it
	// never was. Both are for people.
	LossExpected string    `json:"loss_expected"`
	LastHeard    time.Time `json:"last_heard,omitzero"`
}

// SetConfig replaces the settings.
type SetConfig struct {
	Settings Settings `json:"settings"`
	// Over is what the settings were when this was decided; nil: whatever they are.
	Over *Settings `json:"over,omitempty"`
}

// Refusal is why the registry did not apply a command: a code from a closed
// list and a sentence for people.
type Refusal struct {
	Code   RefusalCode
	Detail string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

// RefusalCode is one of the closed list of reasons for a refusal. Each is also
// a code of the HTTP interface.
type RefusalCode string

// The reasons for a refusal.
const (
	RefuseStaleVersion   RefusalCode = "stale_version"
	RefuseWrongCluster   RefusalCode = "wrong_cluster"
	RefuseDuplicateNode  RefusalCode = "duplicate_node"
	RefuseRegistryBehind RefusalCode = "registry_behind"
	RefuseWouldLoseData  RefusalCode = "would_lose_data"
	RefuseNotPrimary     RefusalCode = "not_primary"
	RefuseBadRequest     RefusalCode = "bad_request"
	RefuseForbidden      RefusalCode = "forbidden"
	RefuseNotFound       RefusalCode = "not_found"
	RefuseNoLeader       RefusalCode = "no_leader" // nobody decides for the moment: ask again
)

// RefusalCodes lists every reason for a refusal.
func RefusalCodes() []RefusalCode {
	return []RefusalCode{
		RefuseStaleVersion, RefuseWrongCluster, RefuseDuplicateNode, RefuseRegistryBehind,
		RefuseWouldLoseData, RefuseNotPrimary, RefuseBadRequest, RefuseForbidden,
		RefuseNotFound, RefuseNoLeader,
	}
}

func refuse(code RefusalCode, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}
