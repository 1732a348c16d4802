package protocol_test

import (
	"slices"
	"time"

	"understudy.example/pkg/protocol"
)

// faultMix says what goes wrong in a world. Each seed draws its own mix: all kinds
// at once would hide what needs a quiet stretch of one.
type faultMix struct {
	slowNet, lossy, copies, slowDisk, trouble bool

	kinds []func(*world)
	every time.Duration
}

func (w *world) drawFaults() faultMix {
	some := func() bool { return w.rng.IntN(2) == 0 }
	f := faultMix{
		slowNet: some(), lossy: some(), copies: some(), slowDisk: some(), trouble: some(),
		every: 100*time.Millisecond + w.upTo(900*time.Millisecond),
	}
	for _, kind := range []func(*world){
		(*world).crash, (*world).loseDisk, (*world).freeze, (*world).cutLink, (*world).isolate,
		(*world).breakStream, (*world).killMonitor, (*world).freezeMonitor, (*world).yield, (*world).operate, (*world).powerCut,
		(*world).switchOver, (*world).failOver, (*world).pauseAwhile, (*world).handOff, (*world).removeNode,
	} {
		if some() {
			f.kinds = append(f.kinds, kind)
		}
	}
	return f
}

// harm has something go wrong now and then.
func (w *world) harm() {
	w.after(w.upTo(2*w.faults.every), func() {
		if w.calm || len(w.faults.kinds) == 0 {
			return
		}
		if w.unadopted() && w.loss.rng.IntN(4) > 0 {
			w.harm() // the nodes are to know each other for a while
			return
		}
		kind := w.faults.kinds[w.rng.IntN(len(w.faults.kinds))]
		if w.harms++; !slices.Contains(w.skip, w.harms) {
			kind(w)
		}
		w.harm()
	})
}

func (w *world) anyNode() *node { return w.nodes[w.rng.IntN(len(w.nodes))] }

// stop ends a node's process, if it runs, and starts it again after a while.
func (w *world) stop(n *node, away time.Duration) {
	p := n.process
	if p == nil || p.dead {
		return
	}
	p.die()
	if w.rng.IntN(2) == 0 { // the monitors see the connection close
		for _, m := range w.monitors {
			w.send(n.name, m.name, func() {
				m.event(func() { m.core.ConnClosed(n.name, p.me.Boot, w.now) })
			})
		}
	}
	w.after(away, func() { w.startProcess(n) })
}

func (w *world) away() time.Duration {
	if w.rng.IntN(2) == 0 {
		return w.upTo(100 * time.Millisecond)
	}
	return w.upTo(3 * time.Second)
}

func (w *world) crash() { w.stop(w.anyNode(), w.away()) }

func (w *world) powerCut() {
	for _, n := range w.nodes {
		w.stop(n, w.away())
	}
}

// loseDisk takes a node's directory away, unless it is the last one of the in-sync
// set: then nothing could be promised.
func (w *world) loseDisk() {
	n := w.anyNode()
	if n.dir == nil || n.process == nil || n.process.dead {
		return
	}
	for _, u := range w.reg.Groups[0].InSync {
		if u != n.dir.uuid && w.directory(u) != nil {
			w.stop(n, w.away())
			w.tell("%s loses %s", n.name, n.dir.uuid)
			n.dir.lost = true
			n.dir = nil
			return
		}
	}
}

func (w *world) freeze() {
	if p := w.anyNode().process; p != nil {
		w.tell("%s is frozen", p.n.name)
		p.frozen = w.now.Add(w.away())
	}
}

func (w *world) cut(a, b string, d time.Duration) {
	w.tell("%s to %s is cut for %s", a, b, d)
	w.cuts[[2]string{a, b}] = w.now.Add(d)
}

func (w *world) cutLink() {
	var ends []string
	for _, m := range w.monitors {
		ends = append(ends, m.name)
	}
	for _, n := range w.nodes {
		ends = append(ends, n.name)
	}
	a, b := ends[w.rng.IntN(len(ends))], ends[w.rng.IntN(len(ends))]
	d := w.away()
	w.cut(a, b, d)
	if w.rng.IntN(3) > 0 {
		w.cut(b, a, d)
	}
}

func (w *world) isolate() {
	n, d := w.anyNode(), w.away()
	for _, m := range w.monitors {
		w.cut(n.name, m.name, d)
		w.cut(m.name, n.name, d)
	}
	for _, o := range w.nodes {
		w.cut(n.name, o.name, d)
		w.cut(o.name, n.name, d)
	}
}

func (w *world) breakStream() {
	if p := w.anyNode().process; p != nil && !p.dead && p.in != nil {
		w.tell("the stream of %s breaks", p.n.name)
		p.in.broken()
	}
}

func (w *world) killMonitor() {
	m := w.monitors[w.rng.IntN(len(w.monitors))]
	if m.dead {
		return
	}
	w.tell("%s dies", m.name)
	m.dead = true
	w.after(w.away(), func() {
		if w.monitors[m.number] == m {
			w.startMonitor(m.number)
		}
	})
}

func (w *world) freezeMonitor() {
	m := w.monitors[w.rng.IntN(len(w.monitors))]
	w.tell("%s is frozen", m.name)
	m.frozen = w.now.Add(w.away())
}

// operate is what people do: maintenance, and other members.
func (w *world) operate() {
	if w.rng.IntN(2) == 0 {
		w.apply(protocol.Command{SetMaintained: &protocol.SetMaintenance{Node: w.anyNode().name, On: w.rng.IntN(2) == 0}})
		return
	}
	rec := w.reg.Groups[0]
	var members []protocol.UUID
	for _, i := range w.rng.Perm(len(w.nodes))[:w.reg.Settings.WantCopies] {
		if n, ok := w.reg.Nodes[w.nodes[i].name]; ok {
			members = append(members, n.UUID)
		}
	}
	if rec.Epoch > 0 && len(members) > 0 {
		w.apply(protocol.Command{SetMembers: &protocol.SetMembers{Version: rec.Version, Members: members}})
	}
}

// heal ends every fault.
func (w *world) heal() {
	w.tell("everything is healed")
	w.calm = true
	w.cuts = map[[2]string]time.Time{}
	for i, m := range w.monitors {
		m.frozen = w.now
		if m.dead {
			w.startMonitor(i)
		}
	}
	w.pause(false)
	for _, n := range w.nodes {
		if n.process != nil {
			n.process.frozen = w.now
		}
		if _, ok := w.reg.Nodes[n.name]; ok {
			w.apply(protocol.Command{SetMaintained: &protocol.SetMaintenance{Node: n.name}})
		}
	}
}
