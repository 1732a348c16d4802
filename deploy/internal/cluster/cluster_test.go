package cluster

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m)) }

func options(t *testing.T) Options {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return Options{
		Binaries: Binaries{Monitor: self, Appnode: self},
		Nodes:    2, Monitors: 1, Dir: t.TempDir(), Log: zerolog.Nop(),
	}
}

func start(t *testing.T, opts Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func ready(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.WaitReady(ctx))
}

// alive tells whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestACompleteLife(t *testing.T) {
	opts := options(t)
	var out safeBuffer
	opts.Output = &out
	c := start(t, opts)
	ready(t, c)
	infos := c.Processes()
	require.Len(t, infos, 3)
	require.Equal(t, []string{"m1", "app1", "app2"}, []string{infos[0].Name, infos[1].Name, infos[2].Name})
	require.Equal(t, RoleMonitor, infos[0].Role)
	require.Equal(t, infos[0].URL, c.Monitor())
	require.Equal(t, infos[2].URL, c.Node("app2"))
	require.Empty(t, c.Node("app9"))
	for _, p := range infos {
		require.True(t, alive(p.PID))
	}
	c.Close()
	c.Close() // once more changes nothing
	for _, p := range infos {
		require.False(t, alive(p.PID))
	}
	require.Contains(t, out.String(), "m1 | m1 starts\n")
	log, err := os.ReadFile(filepath.Join(c.Dir(), "app1.log"))
	require.NoError(t, err)
	require.Equal(t, "app1 starts\n", string(log))
	require.ErrorIs(t, c.Start("app1"), errClosed)
}

func TestKillAndStartAgain(t *testing.T) {
	c := start(t, options(t))
	ready(t, c)
	before := c.Processes()[1].PID
	require.NoError(t, c.Kill("app1"))
	require.False(t, alive(before))
	require.Zero(t, c.Processes()[1].PID)
	require.EqualError(t, c.Kill("app1"), "app1 is not running")
	require.NoError(t, c.Start("app1"))
	require.EqualError(t, c.Start("app1"), "app1 is running already")
	require.NotEqual(t, before, c.Processes()[1].PID)
	require.NoError(t, c.Terminate("app1"))
	require.EqualError(t, c.Kill("app9"), `there is no process "app9": m1, app1, app2`)
	require.ErrorContains(t, c.Start("app9"), "there is no process")
	require.ErrorContains(t, c.Stop("app9"), "there is no process")
}

func TestFreeze(t *testing.T) {
	c := start(t, options(t))
	ready(t, c)
	require.NoError(t, c.Stop("app1"))
	require.Eventually(t, func() bool {
		view, err := c.View(t.Context())
		return err == nil && view.Groups[0].Primary == "app2"
	}, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, c.Cont("app1"))
	ready(t, c)
	require.NoError(t, c.Stop("app1")) // Close must wake it up
	c.Close()
}

func TestADeadNodeIsStartedAgain(t *testing.T) {
	opts := options(t)
	opts.Respawn = 20 * time.Millisecond
	var log safeBuffer
	opts.Log = zerolog.New(&log)
	c := start(t, opts)
	ready(t, c)
	before := c.Processes()[2].PID
	require.NoError(t, c.Kill("app2"))
	require.Eventually(t, func() bool {
		now := c.Processes()[2].PID
		return now != 0 && now != before
	}, 5*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return bytes.Contains([]byte(log.String()), []byte("process started again")) }, 5*time.Second, 5*time.Millisecond)
	require.Contains(t, log.String(), `"process":"app2","status":"signal: killed: app2 starts"`)
}

func TestADeadMonitorStaysDead(t *testing.T) {
	opts := options(t)
	opts.Respawn = time.Millisecond
	c := start(t, opts)
	ready(t, c)
	require.NoError(t, c.Kill("m1"))
	require.ErrorContains(t, c.WaitReady(t.Context()), "m1 has ended (signal: killed")
}

func TestCloseDuringTheWaitForARespawn(t *testing.T) {
	opts := options(t)
	opts.Respawn = time.Hour
	c := start(t, opts)
	require.NoError(t, c.Kill("app1"))
	c.Close()
}

func TestAProcessThatEndsIsReportedWithItsLastLine(t *testing.T) {
	opts := options(t)
	opts.NodeFlags = []string{"-die", "first line\n-name is missing"}
	c := start(t, opts)
	err := c.WaitReady(t.Context())
	require.ErrorContains(t, err, "has ended (exit status 7: -name is missing); its log is ")
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	opts := options(t)
	c := start(t, opts)
	ready(t, c)
	require.NoError(t, c.Stop("app2"))
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := c.WaitReady(ctx)
		return err != nil && err.Error() == "the cluster is not ready: 2 copies are wanted, and in sync are app1 (the logs are in "+c.Dir()+")"
	}, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, c.Stop("app1"))
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := c.WaitReady(ctx)
		return err != nil && bytes.Contains([]byte(err.Error()), []byte("group 0 has no primary: no node has joined"))
	}, 5*time.Second, 10*time.Millisecond)
}

func TestAProcessThatDoesNotEndIsKilled(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "log")
	s := newSpawner()
	defer s.close()
	p := &process{name: "app1", path: self, args: []string{"-data", "x", "-monitors", "127.0.0.1:1", "-name", "app1", "-deaf"}, log: log}
	gone, err := p.start(s)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // it has said that it started, and is deaf soon after
		b, _ := os.ReadFile(log)
		return len(b) > 0
	}, 5*time.Second, 5*time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	p.stop(50 * time.Millisecond)
	<-gone
	require.Contains(t, p.ended(), "signal: killed")
}

func TestATakenPortIsFoundBeforeAnythingStarts(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	opts := options(t)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	opts.Port = number - 2 // app2's
	_, err = Start(t.Context(), opts)
	require.Regexp(t, `^address 127\.0\.0\.1:\d+ is in use: stop the other process, or move all ports with -port$`, err)
	left, err := os.ReadDir(opts.Dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestPortsOfAPlan(t *testing.T) {
	opts := options(t)
	opts.Port = 0
	monitors, nodes, err := plan(t.Context(), opts)
	require.NoError(t, err)
	require.Len(t, monitors, 1)
	require.Len(t, nodes, 2)
	require.NotEqual(t, nodes[0], nodes[1])
}

func TestOptionsAreChecked(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"0 nodes are not possible here: 1 to 9":                  func(o *Options) { o.Nodes = 0 },
		"10 nodes are not possible here: 1 to 9":                 func(o *Options) { o.Nodes = 10 },
		"6 monitors are not possible here: 1 to 5":               func(o *Options) { o.Monitors = 6 },
		"3 copies on 2 nodes are not possible: 1 to 2":           func(o *Options) { o.WantCopies = 3 },
		"port 70000 is out of range":                             func(o *Options) { o.Port = 70000 },
		"a node cannot be started again -1s after its end":       func(o *Options) { o.Respawn = -time.Second },
		"the profile: stat /nonexistent/profile: no such file":   func(o *Options) { o.Profile = "/nonexistent/profile" },
		"start m1: fork/exec /nonexistent/monitor: no such file": func(o *Options) { o.Binaries.Monitor = "/nonexistent/monitor" },
	} {
		opts := options(t)
		change(&opts)
		_, err := Start(t.Context(), opts)
		require.ErrorContains(t, err, want)
	}
}

func TestTheSampleProfileIsWritten(t *testing.T) {
	dir := t.TempDir()
	file, err := profileFile(dir, "")
	require.NoError(t, err)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, sampleProfile, b)
	named, err := profileFile(t.TempDir(), file)
	require.NoError(t, err)
	require.Equal(t, file, named)
}

func TestLines(t *testing.T) {
	var file, out bytes.Buffer
	l := &lineWriter{prefix: "app1 | ", file: &file, out: &shared{w: &out}}
	for _, part := range []string{"one\ntw", "o\n\nthr", "ee"} {
		n, err := l.Write([]byte(part))
		require.NoError(t, err)
		require.Len(t, part, n)
	}
	require.Equal(t, "app1 | one\napp1 | two\napp1 | \n", out.String())
	require.Equal(t, "three", l.end())
	require.Equal(t, "one\ntwo\n\nthree\n", file.String())

	_, _ = l.Write(bytes.Repeat([]byte("x"), maxLine+5))
	require.Empty(t, l.partial, "a line without end is passed on")
}

func TestWorkspaceAndLock(t *testing.T) {
	root, err := workspace(t.Context())
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.work"))
	t.Setenv("GOWORK", "off")
	_, err = workspace(t.Context())
	require.EqualError(t, err, "there is no go.work file here: run this inside the repository")

	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(file)
	require.NoError(t, err)
	second := make(chan struct{})
	go func() {
		defer close(second)
		unlock2, err := lock(file)
		if err == nil {
			unlock2()
		}
	}()
	select {
	case <-second:
		t.Fatal("two hold the lock")
	case <-time.After(20 * time.Millisecond):
	}
	unlock()
	<-second
}

type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
