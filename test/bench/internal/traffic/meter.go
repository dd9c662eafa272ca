package traffic

import (
	"math/bits"
	"time"
)

// meter counts what a load did. One goroutine uses it.
type meter struct {
	count    float64
	inFlight int  // requests and messages without their answer
	stopping bool // nothing new is to begin
	latency  histogram
	errors   int
	first    error
}

// answered notes the end of what began at.
func (m *meter) answered(began, now time.Duration) {
	m.count++
	m.inFlight--
	m.latency.add(now - began)
}

func (m *meter) fail(err error) {
	if m.errors++; m.first == nil {
		m.first = err
	}
}

// reset begins the measurement; errors stay.
func (m *meter) reset() {
	m.count, m.latency = 0, histogram{}
}

// histogram counts durations in buckets of 1/16 of a power of two, so that
// quantiles are at most 6 % off.
type histogram struct {
	buckets [64 << bucketBits]uint32
	total   uint64
}

const bucketBits = 4

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

func bucketOf(n uint64) int {
	if n < 1<<bucketBits {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - bucketBits
	return (shift+1)<<bucketBits + int(n>>shift) - 1<<bucketBits
}

// bucketEnd is the least value beyond the bucket.
func bucketEnd(bucket int) uint64 {
	if bucket < 1<<bucketBits {
		return uint64(bucket) + 1
	}
	shift := bucket>>bucketBits - 1
	return uint64(bucket&(1<<bucketBits-1)+1<<bucketBits+1) << shift
}

// quantile is an upper bound of the q-th part, 0 of nothing.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(h.total-1))+1, uint64(0)
	for bucket, n := range h.buckets {
		if seen += uint64(n); seen >= rank {
			return time.Duration(bucketEnd(bucket) - 1)
		}
	}
	return 0
}
