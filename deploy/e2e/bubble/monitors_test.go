package bubble

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	monitor "understudy.example/monitor/server"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func (c *cluster) monitorNames() []string {
	var names []string
	for i := range max(1, c.opts.monitors) {
		names = append(names, fmt.Sprintf("m%d", i+1))
	}
	return names
}

func monitorAt(name string) string { return name + ":8080" }

func (c *cluster) monitorAddresses() []string {
	var all []string
	for _, name := range c.monitorNames() {
		all = append(all, monitorAt(name))
	}
	return all
}

func (c *cluster) startMonitorOf(name string) {
	o := monitor.DefaultOptions()
	o.Name, o.Listen, o.Insecure = name, monitorAt(name), true
	o.Data = filepath.Join(c.dir, name)
	o.Settings.WantCopies = c.copies()
	if c.opts.settings != nil {
		c.opts.settings(&o.Settings)
	}
	if c.opts.monitors > 1 {
		for _, peer := range c.monitorNames() {
			o.Peers = append(o.Peers, monitor.Peer{Name: peer, Address: monitorAt(peer)})
		}
		if !slices.Contains(c.monitorNames(), name) { // one that is to be added
			o.Peers = append(o.Peers, monitor.Peer{Name: name, Address: monitorAt(name)})
		}
	}
	o.Network, o.Log = c.network(name), c.story.logger()
	if c.opts.monitor != nil {
		c.opts.monitor(&o)
	}
	c.monitors[name] = run(func(ctx context.Context) error { return monitor.Run(ctx, o) })
}

// stopMonitorOf has a monitor end by itself, as SIGTERM does.
func (c *cluster) stopMonitorOf(name string) {
	if c.monitors[name].running() {
		require.NoError(c.t, c.monitors[name].end(), name)
	}
	c.net.Crash(name) // the name is free for the next process
}

// crashMonitorOf ends a monitor without a word.
func (c *cluster) crashMonitorOf(name string) {
	c.story.note(name + " crashes")
	c.net.Crash(name)
	_ = c.monitors[name].end() // how a crash ends does not matter
}

// wipeMonitor gives a monitor an empty disk. It must not run.
func (c *cluster) wipeMonitor(name string) {
	require.NoError(c.t, os.RemoveAll(filepath.Join(c.dir, name)))
}

// ready tells whether a monitor says that it can do its work.
func (c *cluster) ready(name string) bool {
	a := c.http.sendWithin(100*time.Millisecond, http.MethodGet, monitorAt(name)+"/readyz", "")
	return a.err == nil && a.status == http.StatusOK
}

func (c *cluster) waitReady(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.eventually(name+" is ready", func() bool { return c.ready(name) })
	}
}

// leader returns the monitor that names itself the leader, or "".
func (c *cluster) leader() string { return c.http.cluster().Leader }

// followers returns the monitors beside the leader.
func (c *cluster) followers() []string {
	leader := c.leader()
	return slices.DeleteFunc(c.monitorNames(), func(n string) bool { return n == leader })
}

// past returns the cluster's history, as the leader tells it.
func (c *cluster) past() []protocol.HistoryEvent {
	var h wire.History
	a := c.http.send(http.MethodGet, monitorAt(c.leader())+"/v1/history", "")
	require.NoError(c.t, json.Unmarshal(a.body, &h))
	return h.Events
}
