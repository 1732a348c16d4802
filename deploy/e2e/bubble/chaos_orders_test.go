package bubble

import (
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"time"

	"understudy.example/pkg/wire"
)

// roomOperation is what a disk without room cannot do.
const roomOperation = "journal prepare"

// operate gives an order, or asks, whatever becomes of it.
func (x *chaos) operate() {
	method, path, body := x.anyOrder()
	x.orderAt(x.anyMonitor(), method, path, body)
}

// orderAt gives an order in the background.
func (x *chaos) orderAt(name, method, path, body string) {
	x.story.note("an operator orders " + path + " " + body)
	x.background.Go(func() { x.http.send(method, monitorAt(name)+path, body) })
}

func (x *chaos) anyOrder() (method, path, body string) {
	on := x.rng.IntN(3) == 0 // more often off: what is out does not matter any more
	switch x.rng.IntN(9) {
	case 0:
		return http.MethodPatch, "/v1/config", fmt.Sprintf(`{"paused":%t}`, on)
	case 1:
		return http.MethodPut, "/v1/nodes/" + x.anyNode() + "/maintenance", fmt.Sprintf(`{"on":%t}`, on)
	case 2:
		return http.MethodPost, "/v1/failover", fmt.Sprintf(`{"to":%q}`, x.anyNode())
	case 3:
		return http.MethodPatch, "/v1/config", fmt.Sprintf(`{"topology":%q}`, x.one("star", "chain"))
	case 4:
		return http.MethodPatch, "/v1/config", fmt.Sprintf(`{"reads":%q}`, x.one("primary", "spread"))
	case 5:
		return http.MethodPatch, "/v1/config", fmt.Sprintf(`{"min_copies":%d}`, 1+x.rng.IntN(2))
	case 6:
		return http.MethodDelete, "/v1/nodes/" + x.anyNode(), ""
	case 7:
		return http.MethodGet, x.one("/v1/explain", "/v1/history", "/v1/cluster", "/v1/state?from=standby"), ""
	}
	return http.MethodPost, "/v1/switchover", fmt.Sprintf(`{"to":%q}`, x.anyNode())
}

func (x *chaos) one(of ...string) string { return of[x.rng.IntN(len(of))] }

// harmDisk leaves a disk no room, or has it not answer for a while.
func (x *chaos) harmDisk(name string) {
	d := x.nodes[name].disk
	if x.rng.IntN(2) == 0 {
		x.story.note(name + " has no room")
		d.FailAlways(roomOperation, syscall.ENOSPC)
		return
	}
	length := time.Duration(x.rng.Int64N(int64(3 * time.Second)))
	x.story.note(fmt.Sprintf("the disk of %s stalls for %s", name, length))
	release := d.Stall("journal sync")
	x.background.Go(func() {
		time.Sleep(length)
		release()
	})
}

// restart starts a node anew, quicker than it is missed or not, with another
// priority. It may be told to stop first.
func (x *chaos) restart(name string) {
	if x.nodes[name].running() {
		if x.rng.IntN(2) == 0 {
			x.story.note(name + " is told to stop")
			x.nodes[name].cancel()
			time.Sleep(time.Duration(x.rng.Int64N(int64(400 * time.Millisecond))))
		}
		x.crash(name)
	}
	x.priorities[name] = 1 + x.rng.IntN(100)
	x.revive(name)
}

// changeMonitors removes a monitor and adds it again, or has one lose its disk while
// all others are voters.
func (x *chaos) changeMonitors() {
	name := x.anyMonitor()
	switch {
	case len(x.monitors) == 1:
	case x.monitorsLeave && x.ready(name):
		x.orderAt(x.anyMonitor(), http.MethodDelete, wire.PathMonitors+"/"+name, "")
	case x.monitorsLeave:
		x.addMonitor(name)
	case !slices.ContainsFunc(x.monitorNames(), func(n string) bool { return !x.ready(n) }):
		x.crashMonitorOf(name)
		x.story.note(name + " loses its disk")
		x.wipeMonitor(name)
		x.startMonitorOf(name)
	}
}

func (x *chaos) addMonitor(name string) {
	x.orderAt(x.anyMonitor(), http.MethodPost, wire.PathMonitors, monitorOrder(name))
}

// takeMonitorsIn waits until all monitors are voters, those again that were removed.
// One of these may say for a moment that it is ready.
func (x *chaos) takeMonitorsIn() {
	x.t.Helper()
	for _, name := range x.monitorNames() {
		x.eventually(name+" is a voter", func() bool {
			view := x.http.cluster()
			if slices.ContainsFunc(view.Monitors, func(m wire.MonitorView) bool { return m.Name == name }) {
				return true
			}
			if view.Leader != "" {
				x.http.send(http.MethodPost, monitorAt(view.Leader)+wire.PathMonitors, monitorOrder(name))
			}
			return false
		})
	}
	x.waitReady(x.monitorNames()...)
}

func monitorOrder(name string) string {
	return fmt.Sprintf(`{"name":%q,"address":%q}`, name, monitorAt(name))
}

// changeUnderReads changes the primary while every node is read from all the time:
// some questions reach the new one before it serves.
func (x *chaos) changeUnderReads() {
	for _, name := range x.names() {
		x.background.Go(func() {
			for range 20 {
				x.http.get(address(name), sharedPrefix+"0")
				time.Sleep(time.Millisecond / 4)
			}
		})
	}
	x.http.send(http.MethodPost, monitorAt(x.anyMonitor())+x.one("/v1/switchover", "/v1/failover"), "{}")
}

// adoptWhoServes rebuilds a lost registry from the nodes. All are there, so that
// nothing has to be forced.
func (x *chaos) adoptWhoServes() {
	x.t.Helper()
	x.eventually("the registry is rebuilt", func() bool {
		for _, name := range x.names() {
			if hb, err := x.http.heartbeat(name); err == nil && len(hb.Groups) > 0 && hb.Groups[0].Serving {
				return x.adopt(name, false).code() == ""
			}
		}
		return false
	})
}

// endOrders ends whatever operators have begun.
func (x *chaos) endOrders() {
	x.t.Helper()
	x.eventually("orders are taken", func() bool {
		ok := x.order(http.MethodPatch, "/v1/config", fmt.Sprintf(`{"paused":false,"min_copies":1,"topology":%q}`, x.topology)).code() == ""
		for _, n := range x.http.cluster().Nodes {
			if n.Maintenance {
				ok = x.order(http.MethodPut, "/v1/nodes/"+n.Name+"/maintenance", `{"on":false}`).code() == "" && ok
			}
		}
		return ok
	})
}

// rejoin has who was removed for good join anew, with an empty disk.
func (x *chaos) rejoin() {
	x.t.Helper()
	for _, name := range x.names() {
		entry, known := x.entry(name)
		if known && !entry.Removed {
			continue
		}
		if known {
			x.eventually(name+" is out", func() bool {
				g := x.group()
				return g.Version > 0 && !slices.Contains(slices.Concat(g.Members, g.InSync, []string{g.Primary}), name)
			})
		}
		x.crash(name)
		x.eventually(name+" is forgotten", func() bool { _, known := x.entry(name); return !known })
		x.wipe(name)
		x.start(name)
	}
}

// entry returns a node as the leading monitor shows it. A cluster that is not shown
// has to be asked for again.
func (x *chaos) entry(name string) (n wire.NodeView, known bool) {
	x.t.Helper()
	var view wire.Cluster
	x.eventually("a leader", func() bool { view = x.http.cluster(); return view.Leader != "" })
	i := slices.IndexFunc(view.Nodes, func(n wire.NodeView) bool { return n.Name == name })
	if i < 0 {
		return n, false
	}
	return view.Nodes[i], true
}
