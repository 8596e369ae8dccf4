package load

import (
	"math/bits"
	"time"
)

// Latency is a distribution of times, exact to 1/32.
type Latency struct {
	buckets [32 * 40]uint64
	count   uint64
	max     time.Duration
}

// add counts a time. What clocks make negative is none.
func (l *Latency) add(d time.Duration) {
	d = max(d, 0)
	l.count++
	l.max = max(l.max, d)
	l.buckets[bucket(uint64(d))]++
}

// Quantile is the time that a share q of all does not exceed, 0 of none.
func (l *Latency) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.count))
	var seen uint64
	for i, n := range l.buckets {
		if seen += n; seen > rank {
			return min(time.Duration(upper(i)), l.max)
		}
	}
	return l.max
}

// Max is the longest.
func (l *Latency) Max() time.Duration { return l.max }

// bucket: below 32 ns each has its own, above 32 a power of two.
func bucket(ns uint64) int {
	if ns < 32 {
		return int(ns)
	}
	shift := bits.Len64(ns) - 6
	return min(32*(shift+1)+int(ns>>shift)-32, len(Latency{}.buckets)-1)
}

// upper is the highest time of a bucket.
func upper(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	shift := i/32 - 1
	return uint64(i%32+33)<<shift - 1
}
