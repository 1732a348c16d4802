package failover

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLongest(t *testing.T) {
	at := func(ms ...int64) (all []time.Time) {
		for _, m := range ms {
			all = append(all, time.UnixMilli(m))
		}
		return all
	}
	strike, never := time.UnixMilli(100), time.Time{}
	require.Zero(t, longest(nil, strike, never))
	require.Zero(t, longest(at(10, 60, 90), strike, never), "gaps before the strike do not count")
	require.InDelta(t, 150, longest(at(10, 95, 245, 250), strike, never), 0.001)
	require.InDelta(t, 40, longest(at(95, 105, 145), strike, never), 0.001)
	require.InDelta(t, 85, longest(at(10, 95, 245), never, strike), 0.001)
}

func TestSpread(t *testing.T) {
	trials := []Trial{{WritePause: 4}, {WritePause: 1}, {WritePause: 3}, {WritePause: 2}}
	require.Equal(t, Spread{3, 4}, spread(trials, func(t *Trial) float64 { return t.WritePause }))
	require.Equal(t, Spread{}, spread(nil, nil))
}

func TestShow(t *testing.T) {
	faults := make([]string, maxFaults+1)
	faults[0] = "key is gone"
	row := Row{Kind: "kill", Way: "proxy", Trials: []Trial{
		{WritePause: 80, ReadPause: 70, Outage: 60, Writes: 10, Reads: 5, Pauses: []float64{80, 70, 5}},
		{WritePause: 90, ReadPause: 6000, Writes: 1, Pauses: []float64{90, 6000}, Failed: 3, Codes: map[string]int{"fenced": 1, "no_primary": 2}, Lost: faults, Stale: []string{"old"}},
	}}
	row.Sum()
	require.Equal(t, Spread{6000, 6000}, row.Summary.Pause)
	require.True(t, row.Summary.Broken())
	var out strings.Builder
	require.NoError(t, Show(&out, []Row{row}))
	shown := out.String()
	require.Contains(t, shown, "kill  proxy       2        16       3    11        0      1      6000/6000   90/90  6000/6000     0/0     60/60    0/0")
	require.Contains(t, shown, "up to 5 ms      1 #################\n")
	require.Contains(t, shown, "up to 10 ms      0\n")
	require.Contains(t, shown, "up to 100 ms      3 "+strings.Repeat("#", widest)+"\n")
	require.Contains(t, shown, "over 5000 ms      1 #################\n")
	require.Contains(t, shown, "  failed: fenced:1 no_primary:2\n")
	require.Contains(t, shown, "  trial 2: key is gone\n")
	require.Contains(t, shown, "  trial 2: and 2 more\n")
	require.NotContains(t, shown, "trial 1:")
}

func TestHistogramOfNothing(t *testing.T) {
	var b strings.Builder
	bars(&b, nil)
	require.Empty(t, b.String())
}
