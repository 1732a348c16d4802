package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m)) }

func TestUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"-monitors 6 is out of range: 1 to 5":             {"-monitors", "6"},
		"-groups 2 is not possible in this release: 1":    {"-groups", "2"},
		"-nodes 0 is out of range: 1 to 9":                {"-nodes", "0"},
		"-nodes 10 is out of range: 1 to 9":               {"-nodes", "10"},
		"-want-copies 3 is out of range: 1 to -nodes (2)": {"-want-copies", "3"},
		`-reads "all" is not known: primary or spread`:    {"-reads", "all"},
		"-port 0 is out of range: 1 to 65000":             {"-port", "0"},
		"-respawn -1s is negative":                        {"-respawn", "-1s"},
		"unknown flag -node: did you mean -nodes?":        {"-node", "2"},
		`log level "loud" is not known`:                   {"-log-level", "loud"},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		require.ErrorAs(t, err, new(usageError), want)
		require.ErrorContains(t, err, want)
	}
	var out strings.Builder
	require.ErrorIs(t, run(t.Context(), []string{"-help"}, &out, io.Discard), flag.ErrHelp)
	require.Contains(t, out.String(), "-respawn")
}

func TestDefaults(t *testing.T) {
	s, err := parseSettings(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, settings{nodes: 2, monitors: 1, groups: 1, topology: "star", reads: "primary", respawn: 3 * time.Second, port: 8080, logLevel: "info"}, s)
}

func TestDirectories(t *testing.T) {
	dir, remove, err := directory("")
	require.NoError(t, err)
	require.DirExists(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	remove()
	require.NoDirExists(t, dir)

	named := t.TempDir()
	dir, remove, err = directory(named)
	require.NoError(t, err)
	require.Equal(t, named, dir)
	remove()
	require.DirExists(t, named)
}

func options(t *testing.T) cluster.Options {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return cluster.Options{
		Binaries: cluster.Binaries{Monitor: self, Appnode: self},
		Nodes:    2, Monitors: 1, Dir: t.TempDir(), Log: zerolog.Nop(),
	}
}

func TestAClusterIsIntroducedAndStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out buffer
	ended := make(chan error, 1)
	opts := options(t)
	go func() { ended <- keep(ctx, opts, &out) }()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "-kill-primary\n") }, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	text := out.String()
	require.Regexp(t, `(?m)^NAME +ROLE +URL +PID\nm1 +monitor +http://127\.0\.0\.1:\d+ +\d+\napp1 +node +http://127\.0\.0\.1:\d+ +\d+\napp2 `, text)
	require.Regexp(t, `go run \./client -monitor 127\.0\.0\.1:\d+ -status\n`, text)
	require.Contains(t, text, "stopping the monitors, then the nodes")
}

func TestAClusterThatDoesNotStart(t *testing.T) {
	opts := options(t)
	opts.NodeFlags = []string{"-die", "the disk is full"}
	require.ErrorContains(t, keep(t.Context(), opts, io.Discard), "has ended (exit status 7: the disk is full)")
}

func TestAnInterruptionDuringTheStartIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	opts := options(t)
	opts.NodeFlags = []string{"-die", "x"}
	opts.Respawn = time.Hour // so that the wait goes on
	time.AfterFunc(50*time.Millisecond, cancel)
	require.NoError(t, keep(ctx, opts, io.Discard))
}

func TestTyingToGoRunDoesNoHarm(t *testing.T) {
	require.NoError(t, endWithGoRun())
}

type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *buffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *buffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
