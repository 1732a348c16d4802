package wire

// Paths between monitors.
const (
	// PathMonitor at a monitor: GET answers a [MonitorSelf]; POST takes the one of a
	// monitor that is to be a voter, or has moved.
	PathMonitor = "/internal/monitor"
	// PathRaft is where the registry's stream is upgraded to.
	PathRaft = "/internal/raft"
	// PathMonitors is where an operator adds a monitor: POST, and below it by name
	// removes it: DELETE.
	PathMonitors = "/v1/monitors"
)

// HeaderForwarded names the monitor that passed a request on to the leader, which
// is done once.
const HeaderForwarded = "Understudy-Forwarded"

// MonitorSelf is what a monitor says of itself.
type MonitorSelf struct {
	V       int    `json:"v"`
	Name    string `json:"name"`
	ID      string `json:"id"` // name and uuid of its data directory: it is a voter by this
	Address string `json:"address"`
	// Born tells that its registry has begun, empty or not; before, Peers are the
	// names that it was told to begin one with.
	Born    bool     `json:"born"`
	Peers   []string `json:"peers,omitempty"`
	Cluster string   `json:"cluster"`
	Leader  string   `json:"leader"` // the name of the one that it holds for the leader
	Term    uint64   `json:"term"`
	// Hears gives, for each node that it hears, the milliseconds since it last did.
	Hears map[string]int64 `json:"hears,omitempty"`
}

// MonitorOrder asks for a monitor to be added: the body of POST /v1/monitors.
type MonitorOrder struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Monitors answers what changed the monitors: those that there are now.
type Monitors struct {
	Monitors []MonitorView `json:"monitors"`
}
