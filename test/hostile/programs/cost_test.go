package programs

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// cost is what a run took.
type cost struct {
	took time.Duration // CPU time of its thread, or of the clock where there is none
	made uint64        // bytes, whether or not they were let go of
	peak uint64        // bytes of the heap beside what was there before; 0 if made is within the bound
}

// measure runs f. It looks at the heap while f runs only if all that f has made could be
// over the bound.
func measure(f func()) cost {
	c := measureOnce(f)
	if c.made > maxHeap {
		stop := watchHeap()
		again := measureOnce(f)
		c.took, c.peak = min(c.took, again.took), stop()
	}
	return c
}

func measureOnce(f func()) cost {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := threadTime()
	f()
	took := threadTime() - began
	runtime.ReadMemStats(&after)
	return cost{took: took, made: after.TotalAlloc - before.TotalAlloc}
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// watchHeap returns what ends the watch and says by how much the heap has grown at most.
func watchHeap() (grown func() uint64) {
	runtime.GC()
	base, peak := heap(), uint64(0)
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for {
			peak = max(peak, heap())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() uint64 {
		close(stop)
		watch.Wait()
		return max(max(peak, heap()), base) - base
	}
}
