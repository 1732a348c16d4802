package bubble

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

// runsVariable, set to a number, has TestChaos try so many seeds and not only
// the few that every run takes.
const runsVariable = "UNDERSTUDY_CHAOS_RUNS"

// TestChaos does all kinds of harm at random moments, under load, and judges
// what is left when it is over: nothing that was acknowledged is lost, nothing
// that was refused is there, and the cluster is whole again.
func TestChaos(t *testing.T) {
	forSeeds(t, func(t *testing.T, seed uint64, o clusterOptions) {
		inBubble(t, o, func(t *testing.T, c *cluster) { newChaos(c, seed).run(15 * time.Second) })
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
	runs := len(all)
	if n, err := strconv.Atoi(os.Getenv(runsVariable)); err == nil {
		runs = n
	}
	for seed := range uint64(runs) {
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

// chaos is one run of random harm.
type chaos struct {
	*cluster
	rng *rand.Rand
	// victim is the one node whose disk may be lost, once: two lost disks may
	// hold the only copies.
	victim string
	orders sync.WaitGroup
}

func newChaos(c *cluster, seed uint64) *chaos {
	x := &chaos{cluster: c, rng: rand.New(rand.NewPCG(seed, 1))}
	x.victim = x.anyNode()
	return x
}

func (x *chaos) run(length time.Duration) {
	x.plainLinks()
	var loads []*load
	for i := range 3 {
		x.via = monitorAt(x.monitorNames()[i%len(x.monitors)])
		loads = append(loads, x.startLoad(fmt.Sprint("load-", i), 1))
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		x.harm()
		time.Sleep(time.Duration(x.rng.Int64N(int64(800 * time.Millisecond))))
	}
	x.mend()
	for _, l := range loads {
		l.stop()
	}
	x.waitWell()
	x.finish()
}

func (x *chaos) anyNode() string { return x.names()[x.rng.IntN(len(x.names()))] }

func (x *chaos) harm() {
	name := x.anyNode()
	running := x.nodes[name].running()
	switch x.rng.IntN(14) {
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
	case 6:
		x.harmLink()
	case 7:
		x.story.note("all links are mended")
		x.net.HealAll()
		x.plainLinks()
	case 8:
		x.harmMonitor()
	case 9:
		x.loseDisk()
	case 10:
		x.story.note("everybody is revived")
		for _, name := range x.names() {
			x.revive(name)
		}
	case 11, 12:
		x.operate()
	case 13: // let it be
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
	switch x.rng.IntN(4) {
	case 0:
		x.story.note("cut both " + a + " and " + b)
		x.net.CutBoth(a, b)
	case 1:
		x.story.note("cut " + a + " to " + b)
		x.net.Cut(a, b)
	case 2:
		x.story.note("lossy " + a + " and " + b)
		x.link(a, b, memnet.Link{Delay: time.Millisecond, Jitter: 50 * time.Millisecond, Loss: 0.3})
	case 3:
		x.story.note("reset " + a + " and " + b)
		x.net.Reset(a, b)
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

// operate gives an order, whatever becomes of it.
func (x *chaos) operate() {
	method, path, body := x.anyOrder()
	at := monitorAt(x.anyMonitor())
	x.story.note("an operator orders " + path + " " + body)
	x.orders.Go(func() { x.http.send(method, at+path, body) })
}

func (x *chaos) anyOrder() (method, path, body string) {
	on := x.rng.IntN(3) == 0 // more often off: what is out does not matter any more
	switch x.rng.IntN(4) {
	case 0:
		return http.MethodPatch, "/v1/config", fmt.Sprintf(`{"paused":%t}`, on)
	case 1:
		return http.MethodPut, "/v1/nodes/" + x.anyNode() + "/maintenance", fmt.Sprintf(`{"on":%t}`, on)
	case 2:
		return http.MethodPost, "/v1/failover", fmt.Sprintf(`{"to":%q}`, x.anyNode())
	}
	return http.MethodPost, "/v1/switchover", fmt.Sprintf(`{"to":%q}`, x.anyNode())
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

func (x *chaos) mend() {
	x.story.note("the harm is over")
	x.net.HealAll()
	for _, name := range x.monitorNames() {
		x.unfreeze(name)
		if !x.monitors[name].running() {
			x.startMonitorOf(name)
		}
	}
	for _, name := range x.names() {
		x.revive(name)
	}
	x.orders.Wait()
	x.endOrders()
}

// endOrders ends whatever operators have begun.
func (c *cluster) endOrders() {
	c.eventually("orders are taken", func() bool {
		paused := c.order(http.MethodPatch, "/v1/config", `{"paused":false}`)
		ok := paused.code() == ""
		for _, name := range c.names() {
			ok = ok && c.order(http.MethodPut, "/v1/nodes/"+name+"/maintenance", `{"on":false}`).code() == ""
		}
		return ok
	})
}
