package protocol

import (
	"slices"
	"time"
)

// MonitorConfig holds the monitor's bounds that are no cluster settings.
type MonitorConfig struct {
	// FastInterval is the pause between retries after a refused or closed
	// connection.
	FastInterval time.Duration
	// BirthWait is how long the first node of an empty registry is waited with.
	BirthWait time.Duration
	// DiskStall is how long a primary's disk may leave an append unanswered
	// while a healthy standby is in sync.
	DiskStall time.Duration
	// TakeOver is how long a new primary that says that its disk keeps it may
	// take before another is tried.
	TakeOver time.Duration
	// ProposeAgain is how long a command may stay without an outcome before it
	// is decided on anew.
	ProposeAgain time.Duration
	// SleptAfter is the gap between two events or ticks after which the monitor
	// counts as having slept, and re-learns before it judges. With an interval of
	// heartbeats it is no more than an expiry: a shorter sleep makes nobody expired.
	SleptAfter time.Duration
	// SwitchoverWithin bounds a planned change of the primary: afterwards it is
	// given up, and the sealed primary reopens by itself.
	SwitchoverWithin time.Duration
	// SwitchoverAgain to SwitchoverAgainMax is the pause after a switchover that
	// failed and that nobody ordered, doubling each time.
	SwitchoverAgain, SwitchoverAgainMax time.Duration
	// OverrideGuard is for how long the old primary must not have been heard before
	// an override does without the word that it is stopped.
	OverrideGuard time.Duration
	// YieldAgain is how soon after one the leadership is handed over again because
	// another monitor hears the primary.
	YieldAgain time.Duration
}

// DefaultMonitorConfig returns the bounds that the promises are stated for.
func DefaultMonitorConfig() MonitorConfig {
	return MonitorConfig{
		FastInterval: 20 * time.Millisecond,
		BirthWait:    time.Second,
		DiskStall:    2 * time.Second,
		TakeOver:     2 * time.Second,
		ProposeAgain: 500 * time.Millisecond,
		SleptAfter:   200 * time.Millisecond,

		SwitchoverWithin: 3 * time.Second,
		SwitchoverAgain:  time.Second, SwitchoverAgainMax: time.Minute,
		OverrideGuard: time.Minute,
		YieldAgain:    10 * time.Second,
	}
}

// NodeReport is what a node says of itself, in a heartbeat or in the answer to
// a probe.
type NodeReport struct {
	Cluster    string // empty before the node has joined one
	Name       string
	UUID       UUID
	Boot       Boot
	Address    string
	Priority   int
	State      State
	Stopping   bool // it hands over what it has, and exits
	DiskFull   bool
	DiskFailed string        // why the node gave its disk up
	DiskAge    time.Duration // age of its oldest append that the disk has not answered
	Groups     []GroupReport
	// Seen says of each node that it has heard how long ago that was.
	Seen map[string]time.Duration
	// Knows gives the other data directories of which the registry has told it, by
	// the name of the node.
	Knows map[string]UUID
}

// GroupReport is one replica as it sees itself.
type GroupReport struct {
	Group    GroupID
	Epoch    Epoch   // the highest accepted
	Version  Version // of the newest record taken in this boot
	Position Position
	Serving  bool
}

func (n NodeReport) group(id GroupID) GroupReport {
	for _, g := range n.Groups {
		if g.Group == id {
			return g
		}
	}
	return GroupReport{Group: id}
}

func (n NodeReport) epoch() Epoch {
	var e Epoch
	for _, g := range n.Groups {
		e = max(e, g.Epoch)
	}
	return e
}

// empty tells whether the node brings no journal. An epoch that it has accepted
// says nothing: whoever asks is told the records, and accepts their epoch, before
// it is registered.
func (n NodeReport) empty() bool {
	return !slices.ContainsFunc(n.Groups, func(g GroupReport) bool { return g.Position.Seq > 0 })
}

// MonitorEffectKind says what the monitor's shell is to do.
type MonitorEffectKind uint8

// The monitor's effects.
const (
	// MonitorProbe asks Node at Address for its heartbeat on a fresh
	// connection, and reports by Heard and ProbeDone.
	MonitorProbe MonitorEffectKind = iota + 1
	// MonitorPropose applies Command to the registry.
	MonitorPropose
	// MonitorLog tells the story: Text, about Node.
	MonitorLog
	// MonitorFailover tells that a change of the primary is complete: Report.
	MonitorFailover
	// MonitorAnswered tells that the new primary has answered its first request:
	// Report, which MonitorFailover told before.
	MonitorAnswered
	// MonitorSeal asks the primary Node at Address to seal Epoch for replica To, and
	// reports by SealAnswered with the same Order.
	MonitorSeal
	// MonitorOrderDone tells how Order ended: by Report, or, given up, by Text.
	MonitorOrderDone
	// MonitorAskPeers asks the other monitors whether they hear Node, and reports by
	// PeerHears.
	MonitorAskPeers
	// MonitorYield applies Command, a note, and has the monitor Peer lead.
	MonitorYield
)

// MonitorEffect is one thing for the monitor's shell to do.
type MonitorEffect struct {
	Kind    MonitorEffectKind
	Node    string
	Address string
	Probe   uint64 // number of the probe
	Command Command
	Level   LogLevel
	Group   GroupID
	Text    string
	Detail  string
	Retry   int // of Retries, for the retry messages
	Retries int
	Report  Failover
	Order   uint64
	Epoch   Epoch
	To      UUID
	Peer    string // the name of another monitor
}

// LogLevel grades what the monitor tells.
type LogLevel uint8

// The levels of MonitorLog.
const (
	LogInfo LogLevel = iota
	LogWarn
	LogError
)

// Monitor is the state machine of one monitor: it watches nodes and decides,
// by the rules of [Rules], what is asked of the registry. It is not safe for
// concurrent use; one goroutine owns it.
type Monitor struct {
	cfg    MonitorConfig
	reg    Registry
	leader bool
	awake  time.Time // nobody is judged before one expiry after it
	nodes  map[string]*watch
	groups map[GroupID]*groupWatch
	// firstHeard is when this monitor first heard a node.
	firstHeard time.Time
	strangers  map[UUID]stranger
	probes     uint64
	orders     uint64
	ticked     time.Time // the last tick
	awakeAt    time.Time // when the process was last seen to run
	stirred    bool      // see Stirred
	yielded    time.Time // when the leadership was last handed over
	out        []MonitorEffect
}

// groupWatch is what the monitor remembers of a group beside its record.
type groupWatch struct {
	rule     string // that applied last
	refusal  string // why the last wish to promote was refused
	failover *Failover
	untold   *Failover // complete on version untoldOn, and not in the history yet
	untoldOn Version
	plan     *plan
	retry    retry
	wanting  string // why a wanted switchover waits, as told last
	// proposed and proposedOn: a command that was decided on a version waits
	// for its outcome.
	proposed   time.Time
	proposedOn Version
	// idle is since when the primary has been in its epoch without serving; zero:
	// it serves.
	idle time.Time
}

// NewMonitor returns the machine of a monitor that has just started.
func NewMonitor(cfg MonitorConfig, reg Registry, now time.Time) *Monitor {
	m := &Monitor{
		cfg: cfg, awake: now, ticked: now, awakeAt: now,
		nodes: map[string]*watch{}, groups: map[GroupID]*groupWatch{}, strangers: map[UUID]stranger{},
	}
	m.adopt(reg, now)
	return m
}

// Effects returns what is to be done, in order, and forgets it. The slice is
// valid until the next event.
func (m *Monitor) Effects() []MonitorEffect {
	out := m.out
	m.out = nil
	return out
}

func (m *Monitor) emit(e MonitorEffect) { m.out = append(m.out, e) }

func (m *Monitor) log(level LogLevel, node, text, detail string) {
	m.emit(MonitorEffect{Kind: MonitorLog, Level: level, Node: node, Text: text, Detail: detail})
}

// Lead tells whether this monitor leads the registry. Only the leader decides.
func (m *Monitor) Lead(leader bool, now time.Time) {
	m.leader = leader
	m.judge(now)
}

// Registry hands the monitor the registry's newest state.
func (m *Monitor) Registry(reg Registry, now time.Time) {
	m.adopt(reg, now)
	m.judge(now)
}

func (m *Monitor) adopt(reg Registry, now time.Time) {
	for id, rec := range reg.Groups {
		g := m.group(id)
		m.takeUpStory(g, rec)
		g.commitStory(reg, rec, now)
	}
	m.reg = reg
	for name, w := range m.nodes {
		if _, ok := reg.Nodes[name]; !ok && w.entry.Name != "" {
			delete(m.nodes, name) // forgotten
		}
	}
	for name, entry := range reg.Nodes {
		w := m.watch(name)
		w.adoptEntry(entry)
	}
	m.welcome(reg)
}

func (m *Monitor) group(id GroupID) *groupWatch {
	g := m.groups[id]
	if g == nil {
		g = &groupWatch{}
		m.groups[id] = g
	}
	return g
}

// Tick lets time pass. The shell calls it when [Monitor.NextTick] says; more often
// changes nothing.
func (m *Monitor) Tick(now time.Time) {
	m.Awake(now)
	m.ticked = now
	before := len(m.out)
	for _, name := range sortedKeys(m.nodes) {
		m.tickNode(m.nodes[name], now)
	}
	for _, id := range sortedKeys(m.groups) {
		m.tell(m.groups[id], now)
	}
	m.judge(now)
	m.askForSpares(now)
	m.stirred = len(m.out) > before
}

// Learning tells whether the monitor has just started or slept, and judges
// nobody yet.
func (m *Monitor) Learning(now time.Time) bool {
	return now.Sub(m.awake) < time.Duration(m.reg.Settings.HeartbeatExpiry)
}

// judge applies the first rule that fits to every group.
func (m *Monitor) judge(now time.Time) {
	for id := range max(1, m.reg.Settings.Groups) {
		m.judgeGroup(GroupID(id), now)
	}
	m.forgetRemoved(now)
	m.stirred = true
}
