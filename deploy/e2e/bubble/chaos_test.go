package bubble

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	appnode "understudy.example/appnode/server"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

const (
	// runsVariable, set to a number, has TestChaos try so many seeds and not only
	// the few that every run takes.
	runsVariable = "UNDERSTUDY_CHAOS_RUNS"
	// fromVariable, set to a number, is the first of them.
	fromVariable = "UNDERSTUDY_CHAOS_FROM"
)

// TestChaos does all kinds of harm at random moments, under load, and judges
// what is left when it is over: nothing that was acknowledged is lost, nothing
// that was refused is there, and the cluster is whole again. Now and then the harm
// is undone, and then nothing may be slow any more, whatever came before.
func TestChaos(t *testing.T) {
	forSeeds(t, func(t *testing.T, seed uint64, o clusterOptions) {
		inBubble(t, o, func(t *testing.T, c *cluster) { newChaos(c, seed).run() })
	})
}

// shapes are the clusters that the seeds take in turn: 2, 3, 5 and 9 nodes, with and
// without spares, one monitor or three.
func shapes() []clusterOptions {
	return []clusterOptions{
		two(),
		three(),
		five(),
		{nodes: 9},
		{nodes: 3, copies: 2, monitors: 3},
		{nodes: 5, monitors: 3},
		{nodes: 9, copies: 5, monitors: 3},
		{nodes: 5, copies: 2},
	}
}

func forSeeds(t *testing.T, try func(t *testing.T, seed uint64, o clusterOptions)) {
	all := shapes()
	from, runs := 0, len(all)
	if n, err := strconv.Atoi(os.Getenv(runsVariable)); err == nil {
		runs = n
	}
	if n, err := strconv.Atoi(os.Getenv(fromVariable)); err == nil {
		from = n
	}
	for seed := uint64(from); seed < uint64(from+runs); seed++ {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			o := all[seed%uint64(len(all))]
			o.settings = func(s *protocol.Settings) { s.ReplaceAfter = chaosReplaceAfter }
			try(t, seed, o)
		})
	}
}

// chaosReplaceAfter is so short that spares step in all the time.
const chaosReplaceAfter = protocol.Duration(1500 * time.Millisecond)

// A run does harm for a while, undoes it, and begins again.
const (
	stretches = 2
	stretch   = 4 * time.Second
)

// chaos is one run of random harm.
type chaos struct {
	*cluster
	rng *rand.Rand
	// victim is the one node whose disk may be lost, once: two lost disks may
	// hold the only copies.
	victim string
	// monitorsLeave tells that monitors are removed in this run. Else they lose their
	// disks: both together may leave no majority.
	monitorsLeave bool
	topology      string         // that the run began with
	priorities    map[string]int // of nodes that were given one
	background    sync.WaitGroup // orders, and what ends by itself
	late          [][2]string    // links whose last bytes may be under way for seconds
	askers        *askers
	witnesses     []*witness
	calms         int
}

func newChaos(c *cluster, seed uint64) *chaos {
	x := &chaos{cluster: c, rng: rand.New(rand.NewPCG(seed, 1)), priorities: map[string]int{}}
	x.victim, x.monitorsLeave = x.anyNode(), x.rng.IntN(2) == 0
	x.topology = x.http.cluster().Settings.Topology
	x.opts.node = func(name string, o *appnode.Options) { o.Priority = cmp.Or(x.priorities[name], o.Priority) }
	return x
}

func (x *chaos) run() {
	x.plainLinks()
	x.pace = 30 * time.Millisecond
	var loads []*load
	for i := range 3 {
		x.via = monitorAt(x.monitorNames()[i%len(x.monitors)])
		loads = append(loads, x.startLoad(fmt.Sprint(witnessed, i), 1))
	}
	x.askers = x.startAskers()
	x.witnesses = x.startWitnesses()
	for range stretches {
		for end := time.Now().Add(stretch); time.Now().Before(end); {
			x.harm()
			time.Sleep(time.Duration(x.rng.Int64N(int64(800 * time.Millisecond))))
		}
		x.mend()
		if x.rng.IntN(2) == 0 {
			x.changeUnderReads()
		}
		x.calm()
		if x.rng.IntN(8) == 0 {
			x.loseRegistry()
			x.adoptWhoServes()
			x.calm()
		}
	}
	for _, l := range loads {
		l.stop()
	}
	x.askers.stop()
	x.waitWell()
	x.judgeWitnesses()
	x.judgeViews()
	x.judgeHistory()
	x.finish()
}

func (x *chaos) anyNode() string { return x.names()[x.rng.IntN(len(x.names()))] }

func (x *chaos) harm() {
	name := x.anyNode()
	running := x.nodes[name].running()
	switch x.rng.IntN(20) {
	case 0:
		if running {
			x.crash(name)
		}
	case 1:
		if running {
			x.powerCut(name)
		}
	case 2, 3, 4:
		x.revive(name)
	case 5:
		if running {
			x.freeze(name)
		}
	case 6, 7:
		x.harmLink()
	case 8:
		x.story.note("all links are mended")
		x.net.HealAll()
		x.plainLinks()
	case 9:
		x.harmMonitor()
	case 10:
		x.loseDisk()
	case 11:
		x.story.note("everybody is revived")
		for _, name := range x.names() {
			x.revive(name)
		}
	case 12, 13, 14:
		x.operate()
	case 15:
		x.harmDisk(name)
	case 16:
		x.restart(name)
	case 17:
		x.changeMonitors()
	case 18, 19: // let it be
	}
}

// powerCut is powerOff with a disk that has lost what was not synced.
func (c *cluster) powerCut(name string, rng *rand.Rand) {
	c.story.note(name + " and its disk lose their power")
	c.net.PowerOff(name)
	n := c.nodes[name]
	n.mem = n.mem.PowerCut(rng)
	_ = n.end() // how a crash ends does not matter
	n.disk = disk.NewFaulty(n.mem)
}

func (x *chaos) powerCut(name string) { x.cluster.powerCut(name, x.rng) }

func (x *chaos) harmLink() {
	hosts := append(x.names(), x.monitorNames()...)
	a, b := hosts[x.rng.IntN(len(hosts))], hosts[x.rng.IntN(len(hosts))]
	switch x.rng.IntN(5) {
	case 0:
		x.story.note("cut both " + a + " and " + b)
		x.net.CutBoth(a, b)
	case 1:
		x.story.note("cut " + a + " to " + b)
		x.net.Cut(a, b)
	case 2:
		x.story.note("lossy " + a + " and " + b)
		x.late = append(x.late, [2]string{a, b})
		x.link(a, b, memnet.Link{Delay: time.Millisecond, Jitter: 50 * time.Millisecond, Loss: 0.3})
	case 3:
		x.story.note("reset " + a + " and " + b)
		x.net.Reset(a, b)
	case 4:
		x.late = append(x.late, [2]string{a, b})
		x.story.note("starved " + a + " to " + b)
		x.net.SetLink(a, b, memnet.Link{Rate: 4 << 10 << x.rng.IntN(8)})
	}
}

func (x *chaos) anyMonitor() string {
	names := x.monitorNames()
	return names[x.rng.IntN(len(names))]
}

func (x *chaos) harmMonitor() {
	name := x.anyMonitor()
	switch {
	case !x.monitors[name].running():
		x.story.note(name + " starts")
		x.startMonitorOf(name)
	case x.opts.monitors > 1 && x.rng.IntN(3) == 0:
		x.freeze(name)
		time.Sleep(time.Duration(x.rng.Int64N(int64(time.Second))))
		x.unfreeze(name)
	default:
		x.crashMonitorOf(name)
	}
}

// loseDisk gives the victim an empty disk, if another replica is in sync while
// it is dead: then nobody can have acknowledged anything that is only there.
func (x *chaos) loseDisk() {
	if x.victim == "" || x.leader() == "" {
		return
	}
	if x.nodes[x.victim].running() {
		x.crash(x.victim)
	}
	time.Sleep(time.Second) // a wish of its own may be under way, for a set of itself alone
	if g := x.group(); slices.ContainsFunc(g.InSync, func(name string) bool { return name != x.victim }) {
		x.story.note(x.victim + " loses its disk")
		x.wipe(x.victim)
		x.victim = ""
	}
}

// mend undoes all harm.
func (x *chaos) mend() {
	x.story.note("the harm is over")
	x.net.HealAll()
	x.plainLinks()
	for _, pair := range x.late {
		x.net.Reset(pair[0], pair[1])
	}
	x.late = nil
	x.background.Wait()
	for _, name := range x.monitorNames() {
		x.unfreeze(name)
		if !x.monitors[name].running() {
			x.startMonitorOf(name)
		}
	}
	for _, name := range x.names() {
		x.nodes[name].disk.Heal(roomOperation)
		x.revive(name)
	}
	x.takeMonitorsIn()
	x.endOrders()
	x.rejoin()
}
