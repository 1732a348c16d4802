package main

import (
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/cluster/clustertest"
	"understudy.example/pkg/mutant"
)

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m)) }

func TestUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"-kills 0 is out of range: at least 1":     {"-kills", "0"},
		"-nodes 10 is out of range: 1 to 9":        {"-nodes", "10"},
		"-want-copies 3 is out of range: 1 to":     {"-want-copies", "3"},
		"-simulate -1s is out of range":            {"-simulate", "-1s"},
		"-starts -1 is out of range":               {"-starts", "-1"},
		"without -simulate":                        {"-starts", "5", "-simulate", "1m"},
		"-steady -1s is out of range":              {"-steady", "-1s"},
		"without -simulate and -starts":            {"-steady", "1m", "-starts", "5"},
		"-writers 0 is out of range: 1 to 1000":    {"-writers", "0"},
		"unknown flag -kill: did you mean -kills?": {"-kill", "2"},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		require.ErrorAs(t, err, new(usageError), want)
		require.ErrorContains(t, err, want)
	}
	require.ErrorIs(t, run(t.Context(), []string{"-help"}, io.Discard, io.Discard), flag.ErrHelp)
}

func TestASeedIsChosenAndKept(t *testing.T) {
	s, err := parseSettings(nil, io.Discard)
	require.NoError(t, err)
	require.NotZero(t, s.seed)
	s, err = parseSettings([]string{"-seed", "7"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, settings{kills: 100, nodes: 2, writers: 4, seed: 7}, s)
}

// victimsOf lists whom a seed kills, in a cluster of fakes.
func victimsOf(t *testing.T, c *cluster.Cluster, seed uint64) (all []string) {
	t.Helper()
	k := &soak{settings: settings{kills: 20}, cluster: c, rng: rand.New(rand.NewPCG(seed, 0))}
	for k.killed < k.kills {
		v := k.victims()
		all = append(all, strings.Join(v, "+"))
		k.killed += len(v)
	}
	require.Equal(t, k.kills, k.killed)
	return all
}

func TestASeedRepeatsItsVictims(t *testing.T) {
	c := fakes(t)
	first := victimsOf(t, c, 7)
	require.Equal(t, first, victimsOf(t, c, 7))
	require.NotEqual(t, first, victimsOf(t, c, 8))
	all := strings.Join(first, " ")
	for _, name := range []string{"m1", "app1", "app2", "+"} {
		require.Contains(t, all, name)
	}
}

func fakes(t *testing.T) *cluster.Cluster {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c, err := cluster.Start(t.Context(), cluster.Options{
		Binaries: cluster.Binaries{Monitor: self, Appnode: self}, Nodes: 2, Monitors: 1, Dir: t.TempDir(), Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestAShortSimulation(t *testing.T) {
	var out, errs strings.Builder
	require.NoError(t, run(t.Context(), []string{"-simulate", "300ms", "-seed", "7"}, &out, &errs), errs.String())
	require.Regexp(t, `(?m)^ +\d+s: \d+ worlds up to seed \d+, \d+ steps`, out.String())
	require.Regexp(t, `\nok: simulated from seed 7 for 300ms\n$`, out.String())
	require.Empty(t, errs.String())
}

func TestASimulationThatFindsSomething(t *testing.T) {
	m := mutant.One("every change of a record raises its version", "../../pkg/protocol/registry.go",
		"r.Version = g.Groups[id].Version + 1", "r.Version = max(1, g.Groups[id].Version)")
	overlay, err := m.Overlay(t.TempDir())
	require.NoError(t, err)
	t.Setenv("GOFLAGS", "-overlay="+overlay)
	var out strings.Builder
	err = run(t.Context(), []string{"-simulate", "1m", "-seed", "7"}, &out, io.Discard)
	require.ErrorIs(t, err, errViolated)
	require.Contains(t, out.String(), "a starts as", "the story is told")
	require.Contains(t, out.String(), "run it alone with UNDERSTUDY_SIM_SEED=")
}

func TestAShortSoak(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), []string{"-kills", "3", "-seed", "7", "-dir", t.TempDir()}, &out, io.Discard)
	require.NoError(t, err, out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Equal(t, "seed 7", lines[0])
	require.Regexp(t, `^ok: seed 7, 3 kills in \d rounds, .*; 0 violations$`, lines[len(lines)-1])
}

func TestAShortSoakWithASpare(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), []string{"-kills", "3", "-nodes", "3", "-want-copies", "2", "-seed", "7", "-dir", t.TempDir()}, &out, io.Discard)
	require.NoError(t, err, out.String())
	require.Regexp(t, `\nok: seed 7, 3 kills in \d rounds, .*; 0 violations\n$`, out.String())
}
