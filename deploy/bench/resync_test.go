package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/resync"
)

func TestResyncUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"-nodes must be at least 2: one of them":             {"-nodes", "1"},
		"-value must be 32 to 1048576, and -size at least":   {"-value", "31"},
		"-size at least as much":                             {"-size", "1KiB"},
		`"12XB" is not a size from 1 to 1024GiB`:             {"-size", "12XB"},
		`"0MiB" is not a size`:                               {"-size", "0MiB"},
		`"1025GiB" is not a size`:                            {"-size", "1025GiB"},
		"-clients must be 1 to 10000":                        {"-clients", "0"},
		`-through "library" is not known: direct or monitor`: {"-through", "library"},
		"-for and -limit must be positive":                   {"-for", "0s"},
		"-pause and -settle not negative":                    {"-settle", "-1s"},
	} {
		err := run(t.Context(), append([]string{"resync"}, args...), io.Discard, io.Discard)
		require.ErrorIs(t, err, errUsage, want)
		require.ErrorContains(t, err, want)
	}
}

func TestSizes(t *testing.T) {
	for text, bytes := range map[string]byteSize{"1": 1, "4KiB": 4 << 10, "1000": 1000, "256MiB": 256 << 20, "2GiB": 2 << 30} {
		var b byteSize
		require.NoError(t, b.Set(text))
		require.Equal(t, bytes, b)
		require.Equal(t, text, b.String())
	}
}

// A small map goes the whole way: filled, joined under load, compared, restarted.
// A bound that nobody keeps is told with the results.
func TestResyncOfARealCluster(t *testing.T) {
	var out, progress strings.Builder
	err := run(t.Context(), []string{
		"resync", "-size", "4MiB", "-clients", "4", "-readers", "1", "-for", "200ms", "-settle", "0s", "-through", "monitor",
		"-pause", "1ns", "-dir", t.TempDir(), "-o", "json",
	}, &out, &progress)
	require.ErrorIs(t, err, errDisturbed, progress.String())
	var r resync.Report
	require.NoError(t, json.Unmarshal([]byte(out.String()), &r))
	require.Len(t, r.Phases, 3)
	writes, reads := 0.0, 0.0
	for _, p := range r.Phases {
		writes, reads = writes+p.Writes.PerSec, reads+p.Reads.PerSec
	}
	require.Positive(t, writes)
	require.Positive(t, reads)
	require.Zero(t, r.Failed, r.Failure)
	require.Empty(t, r.Wrong)
	require.Positive(t, r.InSync)
	require.Positive(t, r.Restart)
}
