package bubble

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	appnode "understudy.example/appnode/server"
	monitor "understudy.example/monitor/server"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

const (
	monitorName    = "m1"
	monitorAddress = "m1:8080"
	clientHost     = "client" // where the tests' own requests come from
	// segmentBytes is small, so that journals are trimmed within a test.
	segmentBytes = 64 << 10
)

// cluster is a monitor and its nodes in a bubble.
type cluster struct {
	t     *testing.T
	net   *memnet.Net
	seed  uint64
	story *story
	dir   string // of the monitor
	opts  clusterOptions

	monitors map[string]*process
	via      string        // the address of the monitor that loads go through
	pace     time.Duration // between two requests of a writer of a load
	nodes    map[string]*node
	http     *client
	ledger   *ledger
}

type clusterOptions struct {
	nodes    int
	copies   int // wanted; 0: one on every node
	monitors int // 0: one
	settings func(*protocol.Settings)
	monitor  func(o *monitor.Options)
	node     func(name string, o *appnode.Options)
	network  func(name string, n daemon.Network) daemon.Network
}

// process is one life of a daemon.
type process struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended is closed
}

// node is a machine with a disk, and the process on it, if one runs.
type node struct {
	*process
	mem  *disk.Mem
	disk *disk.Faulty
}

// inBubble runs a scenario on a cluster that was started and is in sync.
func inBubble(t *testing.T, o clusterOptions, scenario func(t *testing.T, c *cluster)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, dir, o)
		for _, name := range c.monitorNames() {
			c.startMonitorOf(name)
		}
		for _, name := range c.names() {
			c.start(name)
		}
		c.waitCopies()
		c.eventually("all nodes are known", func() bool { return len(c.group().Spares) == o.nodes-c.copies() })
		scenario(t, c)
	})
}

func two() clusterOptions   { return clusterOptions{nodes: 2} }
func three() clusterOptions { return clusterOptions{nodes: 3} }

func newCluster(t *testing.T, dir string, o clusterOptions) *cluster {
	c := &cluster{
		t: t, seed: 1, dir: dir, opts: o, story: &story{},
		nodes: map[string]*node{}, ledger: newLedger(t), monitors: map[string]*process{}, via: monitorAddress, pace: 10 * time.Millisecond,
	}
	c.net = memnet.New(c.seed)
	c.http = newClient(c.net)
	c.http.monitors = c.monitorAddresses()
	for i := range o.nodes {
		mem := disk.NewMem()
		c.nodes[fmt.Sprintf("app%d", i+1)] = &node{mem: mem, disk: disk.NewFaulty(mem)}
	}
	// Last in, first out: the story is told of a failure, however it ended.
	t.Cleanup(func() { c.story.tell(t) })
	t.Cleanup(c.stop)
	return c
}

// stop ends everything, as a person would: the monitor first.
func (c *cluster) stop() {
	c.net.HealAll()
	for _, name := range c.names() {
		c.net.Unfreeze(name)
	}
	for _, name := range c.monitorNames() {
		c.net.Unfreeze(name)
		c.stopMonitorOf(name)
	}
	for _, name := range c.names() {
		c.stopNode(name)
	}
	c.http.close()
	c.net.Close()
}

func (c *cluster) names() []string {
	var names []string
	for name := range c.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// copies returns how many copies are wanted.
func (c *cluster) copies() int { return cmp.Or(c.opts.copies, len(c.nodes)) }

func (c *cluster) network(name string) daemon.Network {
	h := c.net.Host(name)
	n := daemon.Network{Listen: h.Listen, Dial: h.Dial}
	if c.opts.network != nil {
		return c.opts.network(name, n)
	}
	return n
}

func run(fn func(ctx context.Context) error) *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = fn(ctx)
	}()
	return p
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end asks the process to end, and waits for it.
func (p *process) end() error {
	p.cancel()
	<-p.ended
	return p.err
}

func (c *cluster) startMonitor() { c.startMonitorOf(monitorName) }

// crashMonitor ends the monitor without a word.
func (c *cluster) crashMonitor() { c.crashMonitorOf(monitorName) }

func address(name string) string { return name + ":8081" }

func (c *cluster) start(name string) {
	n := c.nodes[name]
	o := appnode.DefaultOptions()
	o.Name, o.Listen, o.Insecure = name, address(name), true
	o.Data, o.Files = "/data/"+name, n.disk
	o.Monitors = c.monitorAddresses()
	o.SegmentBytes, o.SnapshotBytes = segmentBytes, 4*segmentBytes
	o.Network, o.Log = c.network(name), c.story.logger()
	if c.opts.node != nil {
		c.opts.node(name, &o)
	}
	c.story.note(name + " starts")
	n.process = run(func(ctx context.Context) error { return appnode.Run(ctx, o) })
}

// stopNode has a node end by itself, as SIGTERM does.
func (c *cluster) stopNode(name string) {
	if n := c.nodes[name]; n.running() {
		require.NoError(c.t, n.end(), name)
	}
	c.net.Crash(name)
}

// crash ends a node's process as kill -9 does: from this moment on it reaches
// neither the network nor its disk.
func (c *cluster) crash(name string) {
	c.story.note(name + " crashes")
	c.net.Crash(name)
	c.takeDisk(name)
}

// powerOff ends a node without a word on the network: its peers hear silence.
func (c *cluster) powerOff(name string) {
	c.story.note(name + " loses its power")
	c.net.PowerOff(name)
	c.takeDisk(name)
}

func (c *cluster) takeDisk(name string) {
	n := c.nodes[name]
	n.mem = n.mem.Kill()
	_ = n.end() // how a crash ends does not matter
	n.disk = disk.NewFaulty(n.mem)
}

// wipe gives a node an empty disk. The node must not run.
func (c *cluster) wipe(name string) {
	n := c.nodes[name]
	n.mem = disk.NewMem()
	n.disk = disk.NewFaulty(n.mem)
}

// freeze stops a node's sockets, as SIGSTOP would.
func (c *cluster) freeze(name string) {
	c.story.note(name + " freezes")
	c.net.Freeze(name)
}

func (c *cluster) unfreeze(name string) {
	c.story.note(name + " goes on")
	c.net.Unfreeze(name)
}

// link sets both directions between two hosts.
func (c *cluster) link(a, b string, l memnet.Link) {
	c.net.SetLink(a, b, l)
	c.net.SetLink(b, a, l)
}
