package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// desk is a monitor at work: nodes that beat, probes that are answered as each
// node would, and a registry that takes what is proposed.
type desk struct {
	t   *testing.T
	m   *Monitor
	reg Registry
	now time.Time
	// nodes is what each name says of itself; silent ones say nothing, and
	// refusing ones have nobody listening.
	nodes            map[string]*NodeReport
	silent, refusing map[string]bool
	keep             bool // proposals wait in proposed

	probed   []probed
	probes   []MonitorEffect // not answered yet, all silent
	sent     []time.Time     // of each
	proposed []Command
	story    []MonitorEffect
	finished []Failover
	seals    []MonitorEffect
	ended    []MonitorEffect // orders
	asked    []string        // suspects that the other monitors were asked about
	yields   []MonitorEffect
	rules    map[string]bool
}

type probed struct {
	node string
	at   time.Time
}

// at puts a monitor to work that has learned and leads.
func at(t *testing.T, reg Registry) *desk {
	t.Helper()
	d := deskOf(t, reg)
	d.passes(400 * ms)
	d.forget()
	return d
}

func deskOf(t *testing.T, reg Registry) *desk {
	t.Helper()
	d := &desk{t: t, reg: reg, now: wall, nodes: map[string]*NodeReport{}, silent: map[string]bool{}, refusing: map[string]bool{}, rules: map[string]bool{}}
	for _, n := range reg.Nodes {
		r := reg.Groups[0]
		d.nodes[n.Name] = &NodeReport{
			Cluster: reg.Cluster, Name: n.Name, UUID: n.UUID, Boot: n.Boot, Address: n.Address, Priority: n.Priority,
			Groups: []GroupReport{{Epoch: r.Epoch, Position: Position{r.Epoch, 10}, Serving: r.Primary.UUID == n.UUID}},
		}
	}
	d.m = NewMonitor(DefaultMonitorConfig(), reg, wall)
	d.m.Lead(true, wall)
	d.carryOut()
	return d
}

func (d *desk) forget() {
	d.probed, d.proposed, d.story, d.finished, d.seals, d.ended = nil, nil, nil, nil, nil, nil
	d.asked, d.yields = nil, nil
}

func (d *desk) carryOut() {
	d.t.Helper()
	turns := 0
	for effects := d.m.Effects(); len(effects) > 0; effects = d.m.Effects() {
		turns++
		require.Less(d.t, turns, 100, "one decision leads to another without end")
		for _, e := range effects {
			switch e.Kind {
			case MonitorProbe:
				d.probed = append(d.probed, probed{e.Node, d.now})
				d.answer(e)
			case MonitorPropose:
				d.proposed = append(d.proposed, e.Command)
				if !d.keep {
					_ = d.applies(e.Command) // a refusal shows in what follows
				}
			case MonitorLog:
				d.story = append(d.story, e)
			case MonitorAnswered: // the history tells it as well
			case MonitorFailover:
				d.finished = append(d.finished, e.Report)
			case MonitorSeal:
				d.seals = append(d.seals, e)
			case MonitorOrderDone:
				d.ended = append(d.ended, e)
			case MonitorAskPeers:
				d.asked = append(d.asked, e.Node)
			case MonitorYield:
				d.yields = append(d.yields, e)
			}
		}
	}
	p := d.m.Prospect(0, d.now)
	require.NotEqual(d.t, p.Candidate == "", p.Reason == "", "a prospect is a candidate or a reason: %+v", p)
	d.rules[p.Rule] = true
}

// applies changes the registry, if it takes the command, and tells the monitor.
func (d *desk) applies(c Command) *Refusal {
	next, no := d.reg.Apply(c)
	if no == nil {
		d.reg = next
		d.m.Registry(d.reg, d.now)
	}
	return no
}

func (d *desk) answer(e MonitorEffect) {
	switch {
	case d.refusing[e.Node]:
		d.m.ProbeDone(e.Node, e.Probe, ProbeRefused, NodeReport{}, d.now)
	case d.silent[e.Node] || d.nodes[e.Node] == nil:
		d.probes, d.sent = append(d.probes, e), append(d.sent, d.now)
	default:
		d.m.ProbeDone(e.Node, e.Probe, ProbeAnswered, *d.nodes[e.Node], d.now)
	}
}

// passes lets time go by in ticks, with heartbeats every 100 ms.
func (d *desk) passes(t time.Duration) {
	d.t.Helper()
	for range t / (10 * ms) {
		d.now = d.now.Add(10 * ms)
		for len(d.sent) > 0 && d.now.Sub(d.sent[0]) >= 100*ms {
			e := d.probes[0]
			d.probes, d.sent = d.probes[1:], d.sent[1:]
			d.m.ProbeDone(e.Node, e.Probe, ProbeSilent, NodeReport{}, d.now)
		}
		if d.now.Sub(wall)%(100*ms) == 0 {
			for _, name := range sortedKeys(d.nodes) {
				d.beats(name)
			}
		}
		d.m.Tick(d.now)
		d.carryOut()
	}
}

// beats has a node send its heartbeat, unless it is silent.
func (d *desk) beats(name string) {
	d.t.Helper()
	if !d.silent[name] && !d.refusing[name] {
		_ = d.m.Heard(*d.nodes[name], d.now) // whether it is refused shows in what follows
		d.carryOut()
	}
}

// crashes closes a node's heartbeat connection, and nobody listens any more.
func (d *desk) crashes(name string) {
	d.t.Helper()
	d.refusing[name] = true
	d.m.ConnClosed(name, d.nodes[name].Boot, d.now)
	d.carryOut()
}

// returns has a node come back as another boot or directory.
func (d *desk) returns(name string, as ReplicaBoot) {
	n := d.nodes[name]
	if n.UUID != as.UUID {
		n.Groups = nil
	}
	n.UUID, n.Boot = as.UUID, as.Boot
	for i := range n.Groups {
		n.Groups[i].Serving = false
	}
	delete(d.silent, name)
	delete(d.refusing, name)
}

func (d *desk) down(name string) bool {
	i := slices.IndexFunc(d.m.Nodes(), func(n NodeState) bool { return n.Entry.Name == name })
	require.GreaterOrEqual(d.t, i, 0)
	return d.m.Nodes()[i].Down
}

func (d *desk) doubts(name string) bool {
	return slices.ContainsFunc(d.m.Nodes(), func(n NodeState) bool { return n.Entry.Name == name && n.Doubt })
}

// promotion returns the one promotion that was proposed since the last look.
func (d *desk) promotion() Promote {
	d.t.Helper()
	ps := d.promotions()
	require.Len(d.t, ps, 1, "%+v", d.story)
	return ps[0]
}

func (d *desk) promotions() []Promote {
	var out []Promote
	for _, c := range d.proposed {
		if c.Promote != nil {
			out = append(out, *c.Promote)
		}
	}
	return out
}

// serves has the primary of the record report that it serves.
func (d *desk) serves(name string) {
	d.nodes[name].Groups = []GroupReport{{Epoch: d.reg.Groups[0].Epoch, Position: Position{d.reg.Groups[0].Epoch, 11}, Serving: true}}
}

func (d *desk) told(text string) (out []MonitorEffect) {
	for _, e := range d.story {
		if e.Text == text {
			out = append(out, e)
		}
	}
	return out
}
