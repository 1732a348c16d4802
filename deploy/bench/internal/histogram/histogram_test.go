package histogram

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEmpty(t *testing.T) {
	var h Histogram
	require.Zero(t, h.Quantile(0.5))
	require.Zero(t, h.Max())
	require.Zero(t, h.Count())
}

func TestBucketsAreContiguousAndNarrow(t *testing.T) {
	for i := 1; i < buckets-subBuckets; i++ {
		low, high := highest(i-1)+1, highest(i)
		require.Equal(t, i, bucket(low))
		require.Equal(t, i, bucket(high))
		require.LessOrEqual(t, float64(high-low), float64(low)/subBuckets)
	}
	require.Less(t, bucket(1<<63-1), buckets)
}

func TestQuantilesAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		h.Record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[max(int(q*float64(len(all)))-1, 0)]
		require.InEpsilon(t, float64(exact)+1, float64(h.Quantile(q))+1, 0.017, "%v", q)
	}
	require.Equal(t, all[len(all)-1], h.Max())
	require.Equal(t, h.Max(), h.Quantile(1))
}

func TestMerge(t *testing.T) {
	var a, b Histogram
	a.Record(time.Millisecond)
	a.Record(-time.Second)
	b.Record(time.Second)
	a.Merge(&b)
	require.EqualValues(t, 3, a.Count())
	require.Equal(t, time.Second, a.Max())
	require.Zero(t, a.Quantile(0.3))
	require.InEpsilon(t, float64(time.Millisecond), float64(a.Quantile(0.6)), 0.017)
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Record(123456)
	}
}
