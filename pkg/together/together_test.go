package together

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func TestUntil(t *testing.T) {
	for at, want := range map[time.Duration]time.Duration{0: 100 * ms, 1: 100*ms - 1, 30 * ms: 70 * ms, 100*ms - 1: 1, 250 * ms: 50 * ms} {
		require.Equal(t, want, until(time.Unix(0, int64(at)), 100*ms), at)
	}
	got := Until(time.Second)
	require.Positive(t, got)
	require.LessOrEqual(t, got, time.Second)
}

func TestWithin(t *testing.T) {
	for _, c := range []struct{ at, wait, want time.Duration }{
		{30, 100, 70},
		{30, 58, 70}, // a little late
		{30, 57, 57}, // no multiple is near
		{30, 170, 170},
		{30, 175, 170},
		{0, 100, 100},
		{0, 90, 100},
		{0, 99, 100},
		{1, 100, 99},
		{95, 20, 5},
		{95, 0, 5},
		{95, -30, 0},
	} {
		require.Equal(t, c.want*ms, within(time.Unix(7, int64(c.at*ms)), c.wait*ms, 100*ms, 12*ms), "%+v", c)
	}
}

// Nobody waits for much longer than without, and who comes again at each due moment
// ends up on the multiples.
func TestWithinIsNeverLateAndComesTogether(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		now := time.Unix(rng.Int64N(1e9), rng.Int64N(1e9))
		wait, every, slack := time.Duration(rng.Int64N(1e9)), 1+time.Duration(rng.Int64N(1e9)), time.Duration(rng.Int64N(1e8))
		got := within(now, wait, every, slack)
		require.LessOrEqual(t, got, wait+slack)
		if got != wait {
			require.Zero(t, now.Add(got).UnixNano()%int64(every))
			require.Positive(t, got)
		}
	}
	now, due := time.Unix(7, int64(40*ms)), time.Duration(0)
	for range 20 { // due 90 ms after the last time
		wait := within(now, due, 100*ms, 12*ms)
		now, due = now.Add(wait), due-wait
		if due <= 12*ms {
			due = 90 * ms
		}
	}
	require.Zero(t, now.UnixNano()%int64(100*ms))
}
