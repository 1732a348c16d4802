package turn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// at is a moment of the tests.
func at(d time.Duration) time.Time { return time.Unix(0, 0).Add(d) }

// learnt returns a turn of replicas that answer after so long.
func learnt(latencies ...time.Duration) *Turn {
	t := &Turn{}
	t.Set(len(latencies))
	for range 200 {
		for i, d := range latencies {
			t.Answered(Pick{Place: i, generation: t.generation}, d)
		}
	}
	return t
}

// shares counts whose turn it is, of n reads.
func shares(t *Turn, n int) []int {
	counts := make([]int, len(t.places))
	for range n {
		k, ok := t.Next(at(0))
		if ok {
			counts[k.Place]++
		}
	}
	return counts
}

func TestNobody(t *testing.T) {
	var none Turn
	k, ok := none.Next(at(0))
	require.False(t, ok)
	none.Answered(k, ms)
	none.Set(0)
	_, ok = none.Next(at(0))
	require.False(t, ok)
}

func TestShares(t *testing.T) {
	for name, c := range map[string]struct {
		latencies []time.Duration
		want      []int // of 1,000 reads
	}{
		"one":                     {[]time.Duration{ms}, []int{1000}},
		"two alike":               {[]time.Duration{ms, ms}, []int{500, 500}},
		"four alike":              {[]time.Duration{ms, ms, ms, ms}, []int{250, 250, 250, 250}},
		"a round trip more":       {[]time.Duration{ms / 4, ms / 2}, []int{500, 500}},
		"a busy machine":          {[]time.Duration{ms / 10, 2 * ms}, []int{500, 500}},
		"within the factor":       {[]time.Duration{10 * ms, 30 * ms}, []int{500, 500}},
		"half as good":            {[]time.Duration{ms, 10 * ms}, []int{667, 333}},
		"a tenth":                 {[]time.Duration{2 * ms, 80 * ms}, []int{909, 91}},
		"at the floor":            {[]time.Duration{ms, time.Minute}, []int{952, 48}},
		"the slow one is first":   {[]time.Duration{10 * ms, ms, ms}, []int{200, 400, 400}},
		"measured in nanoseconds": {[]time.Duration{0, 0}, []int{500, 500}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, shares(learnt(c.latencies...), 1000)) })
	}
}

// Among equals it is the turn of each in every round.
func TestEqualsTakeTurns(t *testing.T) {
	turn := learnt(ms, 2*ms, 3*ms)
	for range 100 {
		round := []int{}
		for range 3 {
			k, ok := turn.Next(at(0))
			require.True(t, ok)
			round = append(round, k.Place)
		}
		slices.Sort(round)
		require.Equal(t, []int{0, 1, 2}, round)
	}
}

// Whatever the latencies, and wherever one begins to count, each has its share,
// but for less reads than there are replicas.
func TestSharesProperty(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		latencies := make([]time.Duration, 1+rng.IntN(9))
		for i := range latencies {
			latencies[i] = time.Duration(rng.ExpFloat64() * float64(10*ms))
		}
		turn := learnt(latencies...)
		total := 0.0
		for i := range latencies {
			require.GreaterOrEqual(t, turn.Weight(i), floor)
			require.LessOrEqual(t, turn.Weight(i), 1.0)
			total += turn.Weight(i)
		}
		shares(turn, rng.IntN(1000))
		n := 1 + rng.IntN(1000)
		for i, count := range shares(turn, n) {
			require.Less(t, math.Abs(float64(count)-float64(n)*turn.Weight(i)/total), float64(len(latencies)), "%v", latencies)
		}
	}
}

func TestOneLateAnswerIsNoSlowReplica(t *testing.T) {
	turn := learnt(ms, ms)
	turn.Answered(Pick{Place: 1, generation: turn.generation}, time.Second)
	require.Equal(t, []int{50, 50}, shares(turn, 100))
	for range 20 {
		turn.Answered(Pick{Place: 1, generation: turn.generation}, time.Second)
	}
	require.Less(t, shares(turn, 100)[1], 30)
	for range 200 {
		turn.Answered(Pick{Place: 1, generation: turn.generation}, ms)
	}
	require.Equal(t, []int{50, 50}, shares(turn, 100), "it is quick again")
}

// pick asks until it is a replica's turn; a bound tells that it never is.
func pick(t *Turn, place int, now time.Time) (Pick, bool) {
	for range 1000 {
		if k, ok := t.Next(now); ok && k.Place == place {
			return k, true
		} else if ok {
			t.Dropped(k)
		}
	}
	return Pick{}, false
}

func TestOneThatFailsRests(t *testing.T) {
	turn := learnt(ms, ms)
	k, _ := pick(turn, 1, at(0))
	with, _ := pick(turn, 1, at(0))
	turn.Failed(k, at(0))
	turn.Failed(with, at(50*ms)) // sent before: it makes the rest no longer
	require.Zero(t, turn.Weight(1))
	_, ok := pick(turn, 1, at(99*ms))
	require.False(t, ok)

	for now, rest := at(100*ms), 200*ms; rest < 10*time.Second; rest *= 2 {
		trial, ok := turn.Next(now)
		require.True(t, ok)
		require.Equal(t, 1, trial.Place, "after its rest one read tries it")
		_, ok = pick(turn, 1, now.Add(time.Hour))
		require.False(t, ok, "and only one")
		turn.Failed(trial, now)
		bounded := min(rest, restMost)
		_, ok = pick(turn, 1, now.Add(bounded-1))
		require.False(t, ok, "it rests for twice as long")
		now = now.Add(bounded)
	}

	trial, ok := pick(turn, 1, at(time.Hour))
	require.True(t, ok)
	turn.Dropped(trial)
	trial, ok = pick(turn, 1, at(time.Hour))
	require.True(t, ok, "the trial told nothing: another one")
	turn.Answered(k, ms)
	require.Zero(t, turn.Weight(1), "an answer of before says nothing")
	turn.Answered(trial, 2*ms)
	require.Equal(t, []int{50, 50}, shares(turn, 100))
	k, _ = pick(turn, 1, at(0))
	turn.Failed(k, at(0))
	_, ok = pick(turn, 1, at(restFirst))
	require.True(t, ok, "the first rest is a short one again")
}

func TestAllRest(t *testing.T) {
	turn := learnt(ms)
	k, _ := turn.Next(at(0))
	turn.Failed(k, at(0))
	_, ok := turn.Next(at(0))
	require.False(t, ok)
}

// What rests does not make the others slow.
func TestTheBestIsOneThatAnswers(t *testing.T) {
	turn := learnt(ms/10, 10*ms, 30*ms)
	k, _ := pick(turn, 0, at(0))
	turn.Failed(k, at(0))
	require.Equal(t, []int{0, 50, 50}, shares(turn, 100))
}

// An outcome of a read that was sent to an earlier set tells nothing of this one.
func TestOutcomesOfAnEarlierSet(t *testing.T) {
	turn := learnt(ms, ms)
	k, _ := turn.Next(at(0))
	turn.Set(1)
	turn.Answered(k, time.Second)
	turn.Failed(k, at(0))
	turn.Dropped(Pick{Place: 1, generation: k.generation})
	require.Equal(t, place{}, turn.places[0])
	require.Equal(t, []int{10}, shares(turn, 10))
}

func TestPatience(t *testing.T) {
	var fresh Turn
	require.Equal(t, patienceLeast, fresh.Patience())
	require.Equal(t, patienceLeast, learnt(ms).Patience())
	slow := learnt(40 * ms)
	require.Greater(t, slow.Patience(), 100*ms)
	require.LessOrEqual(t, slow.Patience(), 120*ms)
	require.Equal(t, patienceMost, learnt(time.Minute).Patience())

	// One answer in a hundred that takes long keeps it up; none lets it fall.
	mixed := learnt(ms)
	for i := range 10_000 {
		took := ms
		if i%100 == 0 {
			took = 40 * ms
		}
		mixed.Answered(Pick{Place: 0, generation: mixed.generation}, took)
	}
	require.Greater(t, mixed.Patience(), 60*ms)
	for range 5_000 {
		mixed.Answered(Pick{Place: 0, generation: mixed.generation}, ms)
	}
	require.Equal(t, patienceLeast, mixed.Patience())
}

// Answers that waited for a primary that stood still do not make patient for long,
// however few come after them.
func TestPatienceComesBackAfterAStall(t *testing.T) {
	turn := learnt(ms, ms)
	stalled := time.Minute
	for range 1000 {
		k, _ := turn.Next(at(0))
		turn.Answered(k, stalled)
	}
	require.Equal(t, patienceMost, turn.Patience())
	read := func(now time.Duration) {
		k, _ := turn.Next(at(now))
		turn.Answered(k, ms)
	}
	read(fadeEvery - 1)
	require.Equal(t, patienceMost, turn.Patience(), "no sooner than it is forgotten")
	for now := fadeEvery; now <= 6*fadeEvery; now += time.Second {
		read(now)
	}
	require.Equal(t, patienceLeast, turn.Patience())
	read(1000 * time.Hour)
	require.Equal(t, patienceLeast, turn.Patience())
}

func TestNothingIsAllocated(t *testing.T) {
	turn := learnt(ms, 2*ms, 80*ms)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		k, _ := turn.Next(at(0))
		turn.Answered(k, ms)
	}))
}

func BenchmarkTurn(b *testing.B) {
	turn := learnt(ms, 2*ms, 80*ms)
	now := at(0)
	b.ReportAllocs()
	for b.Loop() {
		k, _ := turn.Next(now)
		turn.Answered(k, ms)
	}
}
