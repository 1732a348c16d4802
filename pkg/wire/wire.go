// Package wire holds the typed messages that the roles exchange over HTTP. Each
// carries the version of its format; their JSON is pinned by golden files.
package wire

import (
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// Format is the version of the messages of this package.
const Format = 1

// CheckFormat refuses a message of another format.
func CheckFormat(v int) error {
	if v != Format {
		return problem.Errorf(problem.UnsupportedVersion, "the message has format %d, and this process speaks format %d: run the same release everywhere", v, Format)
	}
	return nil
}

// Paths of the internal interface.
const (
	PathHeartbeat  = "/v1/heartbeat"       // POST at a monitor: Heartbeat → Assignment
	PathHeartbeats = "/internal/heartbeat" // Upgrade at a monitor: the same, again and again
	PathProbe      = "/heartbeat"          // GET at a node: → Heartbeat
	PathAssign     = "/internal/assign"    // POST at a node: Assignment → Heartbeat
	PathGroup      = "/internal/group"     // POST at a monitor: Proposal → ProposalAnswer
	PathStream     = "/internal/stream"    // Upgrade at a node
	PathSnapshot   = "/internal/snapshot"  // GET at a node
)

// Request and answer headers of the client API.
const (
	HeaderNode        = "Understudy-Node"        // name of the node that answered
	HeaderPosition    = "Understudy-Position"    // position of the answered state; on a request: the least wanted
	HeaderCopies      = "Understudy-Copies"      // replicas that hold the write durably
	HeaderConsistency = "Understudy-Consistency" // linearizable, session or stale
	HeaderGroup       = "Understudy-Group"       // the group, where it is not 0
	HeaderRequest     = "Understudy-Request"     // on a write: the id that its first hop gave it
	HeaderKey         = "Idempotency-Key"        // on a write: the id that the caller gave it
	HeaderRepeated    = "Understudy-Repeated"    // "true" on an answer that was first given to an earlier copy of the write
)

// Levels of HeaderConsistency.
const (
	Linearizable = "linearizable"
	Session      = "session"
	Stale        = "stale"
)

// Heartbeat is what a node says of itself, every heartbeat interval to every
// monitor and to whoever asks for it.
type Heartbeat struct {
	V        int               `json:"v"`
	Cluster  string            `json:"cluster"` // empty before the node has joined one
	Name     string            `json:"name"`
	UUID     protocol.UUID     `json:"uuid"`
	Boot     protocol.Boot     `json:"boot"`
	Address  string            `json:"address"`
	Priority int               `json:"priority"`
	Sent     time.Time         `json:"sent"` // the node's wall clock: shown, never trusted
	State    protocol.State    `json:"state"`
	Stopping bool              `json:"stopping,omitempty"` // it hands over what it has, and exits
	Disk     Disk              `json:"disk"`
	Groups   []GroupStatus     `json:"groups"`
	Sees     map[string]string `json:"sees,omitempty"` // NAME: up or down
	// SeenMS gives, of each node that it has heard, how long ago that was.
	SeenMS map[string]int64 `json:"seen_ms,omitempty"`
	// Knows gives the other data directories that the registry has told it of, by
	// the name of the node.
	Knows map[string]protocol.UUID `json:"knows,omitempty"`
}

// Disk is the condition of a node's disk.
type Disk struct {
	// OldestUnsyncedMS is the age of the oldest append or write probe that the
	// disk has not answered yet.
	OldestUnsyncedMS int64  `json:"oldest_unsynced_ms"`
	Full             bool   `json:"full,omitempty"`
	Failed           string `json:"failed,omitempty"` // why the node gave the disk up
}

// GroupStatus is one replica as it sees itself.
type GroupStatus struct {
	Group    protocol.GroupID  `json:"group"`
	Role     protocol.Role     `json:"role"`
	State    protocol.State    `json:"state"`
	Epoch    protocol.Epoch    `json:"epoch"`    // the highest accepted
	Version  protocol.Version  `json:"version"`  // of the record it goes by
	Position protocol.Position `json:"position"` // end of its journal
	Durable  protocol.Seq      `json:"durable"`
	Commit   protocol.Seq      `json:"commit"`
	Serving  bool              `json:"serving"` // a primary whose epoch-start is committed
	// Upstream is, at a standby, the replica that its stream comes from: the
	// primary, or in a chain another standby. Empty: it has no stream.
	Upstream protocol.UUID `json:"upstream,omitempty"`
	// Peers is, at a primary, what it knows of each standby's stream.
	Peers []PeerStatus `json:"peers,omitempty"`
}

// PeerStatus is a standby as its primary sees it.
type PeerStatus struct {
	UUID      protocol.UUID `json:"uuid"`
	Connected bool          `json:"connected"`
	InView    bool          `json:"in_view"`
	Durable   protocol.Seq  `json:"durable"`
	BehindMS  int64         `json:"behind_ms"` // age of the oldest record it has not acknowledged
}

// NodeInfo is how members find each other.
type NodeInfo struct {
	Name    string        `json:"name"`
	UUID    protocol.UUID `json:"uuid"`
	Boot    protocol.Boot `json:"boot"`
	Address string        `json:"address"`
}

// Assignment is the registry's word to a node: the answer to a heartbeat, and
// pushed at once when a record changes.
type Assignment struct {
	V int `json:"v"`
	// Leads tells that the monitor decides: another passes on what it knows, which
	// may be a moment old.
	Leads   bool   `json:"leads,omitempty"`
	Cluster string `json:"cluster"`
	// Event is the id of the registry's newest event: of two words whose records have
	// the same versions, the one with the higher is the newer.
	Event    uint64                 `json:"event"`
	Groups   []protocol.GroupRecord `json:"groups"`
	Nodes    []NodeInfo             `json:"nodes"`
	Settings protocol.Settings      `json:"settings"`
}

// Proposal is a primary's wish to change the in-sync set.
type Proposal struct {
	V       int                   `json:"v"`
	Cluster string                `json:"cluster"`
	Change  protocol.ChangeInSync `json:"change"`
}

// ProposalAnswer carries the record after the proposal was judged. The primary
// learns the outcome from records alone, of which this is one.
type ProposalAnswer struct {
	V      int                  `json:"v"`
	Record protocol.GroupRecord `json:"record"`
}

// Cluster is the answer of GET /v1/cluster at a monitor.
type Cluster struct {
	Cluster  string        `json:"cluster"`
	Leader   string        `json:"leader"`
	Term     uint64        `json:"term"`
	Monitors []MonitorView `json:"monitors"`
	Groups   []GroupView   `json:"groups"`
	Nodes    []NodeView    `json:"nodes"`
	// Refused are the nodes that are heard and are no part of the cluster.
	Refused  []Witness         `json:"refused,omitempty"`
	Settings protocol.Settings `json:"settings"`
}

// MonitorView is one monitor.
type MonitorView struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Leader    bool   `json:"leader"`
	Reachable bool   `json:"reachable"`
}

// GroupView is one group, with names where people read.
type GroupView struct {
	Group    protocol.GroupID `json:"group"`
	Epoch    protocol.Epoch   `json:"epoch"`
	Version  protocol.Version `json:"version"`
	Primary  string           `json:"primary"`
	Serving  bool             `json:"serving"`
	InSync   []string         `json:"in_sync"`
	Leaving  []string         `json:"leaving,omitempty"`
	Members  []string         `json:"members"`
	Spares   []string         `json:"spares"` // who could take the place of a member
	Failover FailoverView     `json:"failover"`
}

// FailoverView says whether a failover is possible now, and if not, why.
type FailoverView struct {
	Possible  bool   `json:"possible"`
	Candidate string `json:"candidate"`
	Reason    string `json:"reason"`
}

// NodeView is one node as the monitor sees it.
type NodeView struct {
	Name           string            `json:"name"`
	UUID           protocol.UUID     `json:"uuid"`
	Boot           protocol.Boot     `json:"boot"`
	Address        string            `json:"address"`
	State          protocol.State    `json:"state"`
	Maintenance    bool              `json:"maintenance"`
	Removed        bool              `json:"removed,omitempty"` // it leaves the cluster for good
	Groups         []NodeGroupView   `json:"groups"`
	HeartbeatAgeMS int64             `json:"heartbeat_age_ms"` // -1: not heard yet
	ClockSkewMS    int64             `json:"clock_skew_ms"`
	Disk           Disk              `json:"disk"`
	Sees           map[string]string `json:"sees"`
}

// NodeGroupView is one replica as the monitor sees it.
type NodeGroupView struct {
	Group          protocol.GroupID  `json:"group"`
	Role           protocol.Role     `json:"role"`
	State          protocol.State    `json:"state"`
	Position       protocol.Position `json:"position"`
	LagRecords     int64             `json:"lag_records"`
	CopiesBehindMS int64             `json:"copies_behind_ms"`
	// Upstream is the name of the node that a standby's stream comes from.
	Upstream string `json:"upstream,omitempty"`
}

// History is the answer of GET /v1/history at a monitor.
type History struct {
	Cluster string                  `json:"cluster"`
	Events  []protocol.HistoryEvent `json:"events"`
}

// Killed is the answer of POST /v1/nodes/{name}/kill at a monitor.
type Killed struct {
	Node string `json:"node"`
}

// Page is the answer of GET /v1/kv.
type Page struct {
	Items []Item `json:"items"`
	Next  string `json:"next,omitempty"` // pass as after= for the next page; empty: there is none
}

// Item is one key of a page. Exactly one of Value and Base64 is set.
type Item struct {
	Key    string  `json:"key"`
	Value  *string `json:"value,omitempty"`
	Base64 *string `json:"base64,omitempty"`
	ETag   string  `json:"etag"`
}

// Explain is the answer of GET /v1/explain at a monitor.
type Explain struct {
	Cluster string        `json:"cluster"`
	Leads   bool          `json:"leads"`  // this monitor decides; another only watches
	Paused  bool          `json:"paused"` // no automatic failover
	Groups  []Explanation `json:"groups"`
}

// Explanation says who could take over a group.
type Explanation struct {
	Group   protocol.GroupID `json:"group"`
	Primary string           `json:"primary"`
	// Rule is the monitor's rule that applies now; When and Does say what it
	// waits for and what it does.
	Rule          string         `json:"rule"`
	When          string         `json:"when"`
	Does          string         `json:"does"`
	IfPrimaryDied IfPrimaryDied  `json:"if_primary_died"`
	Nodes         []NodeProspect `json:"nodes"`
}

// IfPrimaryDied says what would happen if the primary died now.
type IfPrimaryDied struct {
	Candidate string `json:"candidate"` // empty: nobody could take over
	Reason    string `json:"reason"`    // why nobody could, and what would end that
	Loss      string `json:"loss"`
	CrashedMS int64  `json:"crashed_ms"` // until it is promoted, after a crash
	SilentMS  int64  `json:"silent_ms"`  // after a silence: power, cable, freeze
}

// NodeProspect says whether a node could be promoted now.
type NodeProspect struct {
	Name          string `json:"name"`
	InSync        bool   `json:"in_sync"`
	CanBePromoted bool   `json:"can_be_promoted"`
	Why           string `json:"why"` // why not, and what would end that
}
