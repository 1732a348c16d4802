package protocol_test

import (
	"slices"
	"time"

	"understudy.example/pkg/protocol"
)

// removeNode has an operator remove a node. When nothing counts on it any more, its
// machine is set up anew, and joins with an empty directory.
func (w *world) removeNode() {
	n := w.anyNode()
	w.monitor.event(func() {
		e := w.reg.Nodes[n.name]
		if no := w.monitor.core.MayRemove(n.name, w.now); no != nil {
			w.tell("monitor does not remove %s: %s", n.name, no.Detail)
			return
		}
		if _, ok := w.apply(protocol.Command{Remove: &protocol.Remove{Node: n.name}}); ok {
			w.tell("%s is removed", n.name)
			w.every(100*time.Millisecond, func() bool { return !w.setUpAnew(n, e.UUID) })
		}
	})
}

// setUpAnew gives a removed node an empty directory, once nothing counts on the old
// one, and tells whether there is nothing left to do.
func (w *world) setUpAnew(n *node, old protocol.UUID) bool {
	rec := w.reg.Groups[0]
	switch {
	case n.dir == nil || n.dir.uuid != old:
		return true
	case rec.IsMember(old) || rec.IsInSync(old) || rec.Primary.UUID == old:
		return false
	}
	w.tell("%s is set up anew", n.name)
	w.stop(n, w.away())
	n.dir.lost, n.dir = true, nil
	return true
}

// replaced: a spare steps in for one member at a time, and never in the place of the
// last copy that counts.
func (c *checker) replaced(w *world, before, now protocol.GroupRecord) {
	c.replacements++
	gone, come := without(before.Members, now.Members), without(now.Members, before.Members)
	if len(gone) > 1 || len(come) > 1 || len(now.Members) > w.reg.Settings.WantCopies+1 {
		c.fail(w, "the members go from %v to %v, and %d copies are wanted", before.Members, now.Members, w.reg.Settings.WantCopies)
	}
	staying := slices.DeleteFunc(slices.Clone(before.InSync), func(u protocol.UUID) bool { return slices.Contains(gone, u) })
	if len(staying) == 0 && (!slices.Contains(gone, before.Primary.UUID) || len(now.Members) == 0) {
		c.fail(w, "%v leave, and nobody else of %v holds everything", gone, before.InSync)
	}
}

func without(us, others []protocol.UUID) []protocol.UUID {
	return slices.DeleteFunc(slices.Clone(us), func(u protocol.UUID) bool { return slices.Contains(others, u) })
}
