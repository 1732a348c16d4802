// Package histogram counts durations in fixed buckets, each at most 1.6 % wide,
// as HdrHistogram does: recording costs a few instructions and no allocation.
package histogram

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits    = 6 // 64 buckets in each power of two
	subBuckets = 1 << subBits
	buckets    = (64 - subBits + 1) * subBuckets
)

// Histogram counts durations. The zero value is empty and ready. It is not safe
// for concurrent use: give each goroutine its own and merge them.
type Histogram struct {
	counts [buckets]uint64
	count  uint64
	max    time.Duration
}

// Record counts d; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns a duration that the share q of all (0 to 1) did not exceed,
// at most one bucket too long. Of nothing it is zero.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := min(uint64(math.Ceil(q*float64(h.count))), h.count)
	seen := uint64(0)
	for i, n := range h.counts {
		seen += n
		if seen >= max(rank, 1) {
			return min(time.Duration(highest(i)), h.max)
		}
	}
	return h.max
}

// bucket returns the index for v: exact below 2·subBuckets, then by the highest
// bit and the subBits that follow it.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift*subBuckets + int(v>>shift)
}

// highest returns the largest value that falls into bucket i.
func highest(i int) uint64 {
	if i < 2*subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	sub := uint64(i - shift*subBuckets)
	return (sub+1)<<shift - 1
}
