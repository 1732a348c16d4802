package protocol

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair is one world that two monitors watch: one ticks each millisecond, the other
// when it says that it must.
type pair struct {
	t             *testing.T
	rng           *rand.Rand
	often, seldom *Monitor
	reg           Registry
	now           time.Time
	nodes         map[string]*NodeReport
	away, refuses map[string]bool
	later         []happening
	ticks         int // of the seldom one
	effects       int
	promoted      int
}

// happening is something that happens in the world, to both monitors.
type happening struct {
	at time.Time
	do func()
}

func pairOf(t *testing.T, seed uint64) *pair {
	t.Helper()
	reg := born(t, "A", "B").reg
	p := &pair{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), now: wall, nodes: map[string]*NodeReport{},
		away: map[string]bool{}, refuses: map[string]bool{},
	}
	reg.Settings.WantCopies = 1 + p.rng.IntN(3)
	reg.Settings.ReplaceAfter = []Duration{0, Duration(700 * ms), Duration(2 * time.Second)}[p.rng.IntN(3)]
	p.reg = reg
	for _, name := range sortedKeys(reg.Nodes) {
		n := reg.Nodes[name]
		p.nodes[name] = &NodeReport{Cluster: reg.Cluster, Name: name, UUID: n.UUID, Boot: n.Boot, Address: n.Address, Priority: n.Priority, Groups: []GroupReport{{Epoch: 1}}}
		p.beats(name)
	}
	cfg := DefaultMonitorConfig()
	p.often, p.seldom = NewMonitor(cfg, reg, wall), NewMonitor(cfg, reg, wall)
	p.tell(func(m *Monitor) { m.Lead(true, p.now) })
	p.in(p.upTo(400), p.mishap)
	return p
}

func (p *pair) upTo(millis int) time.Duration { return ms/2 + ms*time.Duration(p.rng.IntN(millis)) }

func (p *pair) in(d time.Duration, do func()) {
	p.later = append(p.later, happening{p.now.Add(d), do})
	slices.SortStableFunc(p.later, func(a, b happening) int { return a.at.Compare(b.at) })
}

// tell tells both monitors of an event. Both know that they are awake.
func (p *pair) tell(event func(m *Monitor)) {
	for _, m := range []*Monitor{p.often, p.seldom} {
		m.Awake(p.now)
		event(m)
	}
	p.carryOut()
}

// runs lets time pass.
func (p *pair) runs(long time.Duration) {
	for end := p.now.Add(long); p.now.Before(end); {
		tick := p.now.Truncate(ms).Add(ms)
		for len(p.later) > 0 && p.later[0].at.Before(tick) {
			h := p.later[0]
			p.later = p.later[1:]
			if h.at.After(p.now) { // not in the past of one that slept
				p.now = h.at
			}
			h.do()
			tick = p.now.Truncate(ms).Add(ms)
		}
		p.now = tick
		p.often.Tick(p.now)
		if !p.seldom.NextTick().After(p.now) {
			p.seldom.Tick(p.now)
			p.ticks++
		}
		p.carryOut()
	}
}

// carryOut requires that both ask for the same, and does it.
func (p *pair) carryOut() {
	often, seldom := slept(p.often.Effects()), slept(p.seldom.Effects())
	require.Equal(p.t, brief(often), brief(seldom), "at %s", p.now.Sub(wall))
	require.Equal(p.t, often, seldom, "at %s", p.now.Sub(wall))
	p.effects += len(often)
	for _, e := range often {
		switch e.Kind {
		case MonitorProbe:
			p.in(p.upTo(100), func() { p.answers(e) })
		case MonitorPropose:
			if p.rng.IntN(20) > 0 {
				p.in(p.upTo(30), func() { p.applies(e.Command) })
			}
		case MonitorSeal:
			a := SealAnswer{Group: e.Group, Order: e.Order}
			if p.rng.IntN(3) == 0 {
				a.Err = "it does not want to"
			}
			p.in(p.upTo(200), func() { p.tell(func(m *Monitor) { m.SealAnswered(a, p.now) }) })
		case MonitorAskPeers:
			if p.rng.IntN(3) == 0 {
				p.in(p.upTo(50), func() { p.tell(func(m *Monitor) { m.PeerHears("m2", e.Node, 10*ms, p.now) }) })
			}
		case MonitorFailover:
			p.promoted++
			if p.rng.IntN(2) == 0 {
				p.in(p.upTo(100), func() {
					p.tell(func(m *Monitor) { m.Answered(0, e.Report.Epoch, p.now, 1, p.now) })
				})
			}
		case MonitorLog, MonitorAnswered, MonitorOrderDone, MonitorYield:
		}
	}
}

// slept leaves out for how long: it is counted from the last sign of being awake.
func slept(effects []MonitorEffect) []MonitorEffect {
	for i := range effects {
		if strings.HasPrefix(effects[i].Text, "monitor slept") {
			effects[i].Detail = ""
		}
	}
	return effects
}

// brief says what effects are, in words: the first difference is then easy to see.
func brief(effects []MonitorEffect) (out []string) {
	for _, e := range effects {
		out = append(out, fmt.Sprint(e.Kind, " ", e.Node, " ", e.Text, " ", e.Detail))
	}
	return out
}

func (p *pair) answers(e MonitorEffect) {
	outcome, report := ProbeSilent, NodeReport{}
	switch {
	case p.refuses[e.Node] || p.nodes[e.Node] == nil:
		outcome = ProbeRefused
	case !p.away[e.Node]:
		outcome, report = ProbeAnswered, p.says(e.Node)
	}
	p.tell(func(m *Monitor) { m.ProbeDone(e.Node, e.Probe, outcome, report, p.now) })
}

func (p *pair) applies(c Command) {
	c.At = p.now
	if next, no := p.reg.Apply(c); no == nil {
		p.reg = next
		p.tell(func(m *Monitor) { m.Registry(p.reg, p.now) })
	}
}

// says is a node's report: a primary that has just been promoted serves after a
// while, and its standbys come back in sync.
func (p *pair) says(name string) NodeReport {
	n := p.nodes[name]
	rec := p.reg.Groups[0]
	g := &n.Groups[0]
	g.Position.Seq += Seq(p.rng.IntN(3))
	if g.Serving = rec.Primary == (ReplicaBoot{n.UUID, n.Boot}) && g.Epoch == rec.Epoch && p.rng.IntN(10) > 0; g.Serving && p.rng.IntN(5) == 0 {
		p.in(p.upTo(20), func() { p.regroups(n) })
	}
	g.Epoch, g.Version = rec.Epoch, rec.Version
	out := *n
	out.Groups = slices.Clone(n.Groups)
	return out
}

// regroups has a primary ask for the set of all members that are there.
func (p *pair) regroups(n *NodeReport) {
	rec := p.reg.Groups[0]
	set := []UUID{n.UUID}
	for _, name := range sortedKeys(p.nodes) {
		if o := p.nodes[name]; o != n && rec.IsMember(o.UUID) && !p.away[name] && !p.refuses[name] {
			set = append(set, o.UUID)
		}
	}
	if !sameSet(set, rec.InSync) {
		p.applies(Command{ChangeInSync: &ChangeInSync{Version: rec.Version, Epoch: rec.Epoch, Primary: ReplicaBoot{n.UUID, n.Boot}, InSync: set}})
	}
}

func (p *pair) beats(name string) {
	p.in(99*ms+p.upTo(2), func() {
		if !p.away[name] && !p.refuses[name] {
			report := p.says(name)
			p.tell(func(m *Monitor) { _ = m.Heard(report, p.now) })
		}
		p.beats(name)
	})
}

// heals has a node be well again.
func (p *pair) heals(name string) {
	n := p.nodes[name]
	if p.refuses[name] && p.rng.IntN(2) > 0 {
		n.Boot.Count++
	}
	p.away[name], p.refuses[name] = false, false
	n.DiskAge, n.DiskFull, n.Stopping, n.State = 0, false, false, StateStandby
	p.applies(Command{SetMaintained: &SetMaintenance{Node: name}})
	p.tell(func(m *Monitor) { m.Lead(true, p.now) })
}

// mishap is something that goes wrong, or that somebody orders.
func (p *pair) mishap() {
	p.in(p.upTo(900), p.mishap)
	names := sortedKeys(p.nodes)
	name := names[p.rng.IntN(len(names))]
	n := p.nodes[name]
	p.in(p.upTo(1500), func() { p.heals(name) })
	switch p.rng.IntN(15) {
	case 0, 1:
		p.away[name] = !p.away[name]
	case 2, 3:
		if p.refuses[name] = !p.refuses[name]; p.refuses[name] {
			p.tell(func(m *Monitor) { m.ConnClosed(name, n.Boot, p.now) })
		}
	case 4:
		n.DiskAge = []time.Duration{0, 30 * ms, 3 * time.Second}[p.rng.IntN(3)]
	case 5:
		n.DiskFull = !n.DiskFull
	case 6:
		n.Stopping = !n.Stopping
	case 7:
		p.applies(Command{SetMaintained: &SetMaintenance{Node: name, On: p.rng.IntN(2) == 0}})
	case 8:
		s := p.reg.Settings
		s.Paused = !s.Paused
		p.applies(Command{SetConfig: &SetConfig{Settings: s, Over: &p.reg.Settings}})
	case 9:
		p.tell(func(m *Monitor) { _, _ = m.Switchover(Order{To: name}, p.now) })
	case 10:
		p.tell(func(m *Monitor) { _, _ = m.FailOver(Order{}, p.now) })
	case 11:
		leads := p.rng.IntN(3) > 0
		p.tell(func(m *Monitor) { m.Lead(leads, p.now) })
	case 12:
		p.now = p.now.Add(210*ms + p.upTo(400)) // it stands still
	case 13:
		if p.rng.IntN(5) == 0 {
			p.applies(Command{Remove: &Remove{Node: name}})
		}
	case 14:
		if n.State = StateStandby; p.rng.IntN(3) == 0 {
			n.State = StateCorrupt
		}
	}
}

func TestTickingAtTheDeadlinesDecidesTheSame(t *testing.T) {
	ticks, effects, promoted := 0, 0, 0
	const worlds, each = 24, 10 * time.Second
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := pairOf(t, seed)
			p.runs(each)
			ticks, effects, promoted = ticks+p.ticks, effects+p.effects, promoted+p.promoted
		})
	}
	require.Greater(t, promoted, worlds, "the worlds are too quiet to tell anything")
	require.Less(t, ticks, worlds*int(each/ms)/10, "it ticks about as often as without deadlines")
	t.Logf("%d effects, %d promotions, %d of %d ticks", effects, promoted, ticks, worlds*int(each/ms))
}

func TestAMonitorAtRestSeldomTicks(t *testing.T) {
	p := pairOf(t, 1)
	p.later = slices.DeleteFunc(p.later, func(h happening) bool { return h.at.Sub(wall) > 110*ms || h.at.Sub(wall) < 90*ms })
	p.runs(2 * time.Second)
	require.False(t, p.seldom.Stirred())
	p.ticks = 0
	p.runs(10 * time.Second)
	require.LessOrEqual(t, p.ticks, 10*15, "at most as often as the bound of sleep asks for")
}
