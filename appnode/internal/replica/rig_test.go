package replica

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/datadir"
	"understudy.example/appnode/internal/journal"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

const (
	testCluster  = "c0ffee"
	testSegment  = 16 << 10
	testSnapshot = 64 << 10
	// tooLong is more than any test takes, in fake time: who waits for what never
	// comes would wait for ever, for the clock of a bubble goes on as long as anything
	// in it ticks.
	tooLong = 30 * time.Minute
)

// rig is a few replicas on a network and disks in memory, in a bubble, and a desk
// in the place of the monitors.
type rig struct {
	t       testing.TB
	net     *memnet.Net
	members []*member
	desk    *desk
	profile []byte
	// grow is by how many powers of two the members' segments and snapshots are
	// larger than a test wants them.
	grow int
}

// member is a machine of the rig, and the replica that runs on it, if one does.
type member struct {
	rig  *rig
	name string
	mem  *disk.Mem
	disk *disk.Faulty

	dir     *datadir.Dir
	journal *journal.Journal
	replica *Replica // nil: none runs; changed by desk.runs
	cancel  context.CancelFunc
	group   *daemon.Group
	ended   chan error // capacity 1
	dialled atomic.Int64
}

// inRig runs a test with members that have started. No one is primary yet.
func inRig(t *testing.T, names []string, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, net: memnet.New(1)}
		r.desk = newDesk(r)
		watchdog := time.AfterFunc(tooLong, func() { panic("the test does not come to an end") })
		t.Cleanup(func() { watchdog.Stop() })
		t.Cleanup(r.end)
		for _, name := range names {
			r.addMember(name)
		}
		test(t, r)
	})
}

func (r *rig) addMember(name string) {
	mem := disk.NewMem()
	m := &member{rig: r, name: name, mem: mem, disk: disk.NewFaulty(mem)}
	r.members = append(r.members, m)
	m.start()
}

// inPair runs a test with a as primary and b in sync.
func inPair(t *testing.T, test func(t *testing.T, r *rig, a, b *member)) {
	t.Helper()
	inRig(t, []string{"a", "b"}, func(t *testing.T, r *rig) {
		r.desk.promote("a")
		r.desk.waitInSync("a", "b")
		test(t, r, r.member("a"), r.member("b"))
	})
}

// inTrio does it with c, which is in sync as well.
func inTrio(t *testing.T, test func(t *testing.T, r *rig, a, b, c *member)) {
	t.Helper()
	inRig(t, []string{"a", "b", "c"}, func(t *testing.T, r *rig) {
		r.desk.promote("a")
		r.desk.waitInSync("a", "b", "c")
		test(t, r, r.member("a"), r.member("b"), r.member("c"))
	})
}

func (r *rig) end() {
	r.net.HealAll()
	for _, m := range r.members {
		if m.replica != nil {
			m.cancel()
			m.wait()
		}
	}
	r.net.Close()
}

func (r *rig) member(name string) *member {
	for _, m := range r.members {
		if m.name == name {
			return m
		}
	}
	require.FailNow(r.t, "no member has this name", name)
	return nil
}

func (r *rig) byUUID(u protocol.UUID) *member {
	for _, m := range r.members {
		if m.replica != nil && m.dir.UUID() == u {
			return m
		}
	}
	return nil
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			for _, m := range r.members {
				if m.replica != nil {
					r.t.Logf("%s: %+v", m.name, m.replica.Status())
				}
			}
			require.FailNow(r.t, "waited in vain", what)
		}
	}
}

func (m *member) address() string { return m.name + ":1" }

func (m *member) boot() protocol.ReplicaBoot {
	return protocol.ReplicaBoot{UUID: m.dir.UUID(), Boot: m.dir.Boot()}
}

// open opens the directory and the journal.
func (m *member) open() journal.Opened {
	t := m.rig.t
	var err error
	m.dir, err = datadir.Open(m.disk, "/data", rand.Reader)
	require.NoError(t, err)
	require.NoError(t, m.dir.SetCluster(testCluster))
	why, _ := m.dir.Failed(0)
	j, opened, err := journal.Open(journal.Options{
		FS: m.disk, Dir: m.dir.GroupDir(0), SegmentBytes: testSegment << m.rig.grow, Existing: m.dir.Made(0), Failed: why, Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	m.journal = j
	return opened
}

// start starts the replica and registers it.
func (m *member) start() {
	t := m.rig.t
	opened := m.open()
	require.Empty(t, opened.Corrupt)
	require.NoError(t, m.dir.SetMade(0))
	metrics, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	host := m.rig.net.Host(m.name)
	r, err := New(Options{
		Name: m.name, Cluster: m.dir.Cluster, Me: m.boot(), Epochs: m.dir, Journal: m.journal, Commit: opened.Commit,
		Config: protocol.DefaultReplicaConfig(), Profile: m.rig.profile, SnapshotBytes: testSnapshot << m.rig.grow, Dial: m.dial(host),
		Address: m.rig.addressOf, NameOf: func(u protocol.UUID) string { return m.rig.desk.registry().NameOf(u) },
		Propose: func(c protocol.ChangeInSync) { m.rig.desk.propose(m.name, c) },
		Changed: func() {}, Metrics: metrics, Log: zerolog.New(zerolog.TestWriter{T: t}).Level(logLevel).Hook(stamp(m.name)),
	})
	require.NoError(t, err)
	m.serve(host, r)
	m.rig.desk.runs(m, r)
	m.rig.desk.register(m)
}

// dial counts the connections that a member asks for.
func (m *member) dial(host *memnet.Host) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		m.dialled.Add(1)
		return host.Dial(ctx, network, address)
	}
}

func stamp(name string) zerolog.HookFunc {
	return func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str("node", name).Str("at", time.Now().Format("05.000"))
	}
}

// logLevel is zerolog.InfoLevel to see a test's story.
const logLevel = zerolog.Disabled

// addressOf finds a member also after its end, as the registry does.
func (r *rig) addressOf(u protocol.UUID) (string, bool) {
	n, ok := r.desk.registry().NodeOf(u)
	return n.Address, ok
}

func (m *member) serve(host *memnet.Host, r *Replica) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathStream, r.ServeStream)
	mux.HandleFunc("GET "+wire.PathSnapshot, r.ServeSnapshot)
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := host.Listen(ctx, m.address())
	require.NoError(m.rig.t, err)
	g := daemon.NewGroup(ctx, zerolog.Nop())
	g.Go("http", func(ctx context.Context) error {
		return daemon.Serve(ctx, ln, daemon.HTTPOptions{Handler: mux, Log: zerolog.Nop(), Grace: time.Second})
	})
	g.Go("replica", r.Run)
	m.cancel, m.group, m.ended = cancel, g, make(chan error, 1)
	dir, j, ended := m.dir, m.journal, m.ended
	go func() {
		err := g.Wait()
		_ = j.Close() // a crash may have taken the disk
		_ = dir.Close()
		ended <- err
	}()
}

// stop ends the replica in order.
func (m *member) stop() {
	m.cancel()
	require.NoError(m.rig.t, <-m.ended)
	m.gone()
}

// crash ends it as kill -9 does.
func (m *member) crash() {
	m.rig.net.Crash(m.name)
	m.takeDisk()
}

// wait waits for the end of the process, of whatever it dies.
func (m *member) wait() {
	if err := <-m.ended; err != nil {
		m.rig.t.Logf("%s ended: %v", m.name, err)
	}
}

// takeDisk ends the process, which can do nothing to its disk any more.
func (m *member) takeDisk() {
	m.mem = m.mem.Kill()
	m.cancel()
	m.wait()
	m.disk = disk.NewFaulty(m.mem)
	m.rig.desk.runs(m, nil)
}

func (m *member) gone() {
	m.rig.net.Crash(m.name) // the name is free for the next process
	m.rig.desk.runs(m, nil)
}

// dialStream opens a connection to a member's stream as a stranger may.
func (r *rig) dialStream(m *member) net.Conn {
	conn, err := r.net.Host("stranger").Dial(r.t.Context(), "tcp", m.address())
	require.NoError(r.t, err)
	_, err = io.WriteString(conn, "GET "+wire.PathStream+"?group=0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "+StreamProtocol+"\r\n\r\n")
	require.NoError(r.t, err)
	return conn
}
