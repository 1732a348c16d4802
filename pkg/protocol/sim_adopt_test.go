package protocol_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"understudy.example/pkg/protocol"
)

// registryLoss is the day on which every monitor loses its disk, in one world of
// four. It has a source of chance of its own: other worlds are what they were.
type registryLoss struct {
	rng     *rand.Rand
	lives   int    // registries so far that were lost
	cluster string // what the nodes belong to, until they are taken in again; empty: no loss
	adopted bool
}

// planRegistryLoss decides whether and when it comes to that.
func (w *world) planRegistryLoss() {
	w.loss.rng = rand.New(rand.NewPCG(w.seed, 2))
	if w.loss.rng.IntN(4) == 0 {
		w.after(1500*time.Millisecond+time.Duration(w.loss.rng.Int64N(int64(simTrouble))), w.loseRegistry)
	}
}

// unadopted tells whether the nodes know more than the registry, which is empty.
func (w *world) unadopted() bool { return w.loss.cluster != "" && !w.loss.adopted }

// loseRegistry has all monitors start with empty disks. It waits for a moment in
// which every node has been taken in: an empty one would be free to begin anew.
func (w *world) loseRegistry() {
	if w.calm {
		return
	}
	if !w.taken() {
		w.after(100*time.Millisecond, w.loseRegistry)
		return
	}
	settings, cluster := w.reg.Settings, w.reg.Cluster
	w.tell("every monitor loses its disk")
	w.loss.lives++
	w.loss.cluster = cluster
	w.reg, _ = protocol.Registry{}.Apply(protocol.Command{Found: &protocol.Found{
		Cluster: fmt.Sprintf("%s-%d", cluster, w.loss.lives), Settings: settings,
	}})
	for i, m := range w.monitors {
		m.dead = true
		w.startMonitor(i)
	}
	w.monitor = w.monitors[0]
	w.every(100*time.Millisecond, func() bool {
		w.adopt()
		return w.unadopted()
	})
}

func (w *world) taken() bool {
	for _, e := range w.reg.Nodes {
		if e.Removed {
			return false // its machine may be set up anew, which only the registry keeps from a copy that counts
		}
	}
	if w.reg.Groups[0].Epoch == 0 {
		return false
	}
	for _, n := range w.nodes {
		if n.dir == nil || n.dir.cluster != w.reg.Cluster || n.process == nil || n.process.dead {
			return false
		}
	}
	return true
}

// adopt has an operator name any node, without force: it is refused for as long as
// anything may be lost by it.
func (w *world) adopt() {
	name := w.nodes[w.loss.rng.IntN(len(w.nodes))].name
	w.monitor.event(func() {
		if !w.monitor.well() || !w.unadopted() {
			return
		}
		c, no := w.monitor.core.Adoption(protocol.AdoptOrder{Node: name, Reason: "disks lost", By: "somebody"}, w.now)
		if no != nil {
			w.tell("%s is not adopted: %s", name, no.Detail)
			return
		}
		if _, ok := w.apply(protocol.Command{Adopt: c}); ok {
			w.loss.adopted = true
			w.check.adoptions++
			w.tell("%s is adopted", name)
		}
	})
}
