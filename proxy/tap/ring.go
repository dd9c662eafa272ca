package tap

import (
	"slices"
	"sync"
)

// ring holds the last events in their packed form, numbered from zero since the
// start. They lie in chunks one behind the other; when the memory is used up
// the oldest chunk goes, with all that is in it, and its memory serves again.
type ring struct {
	most   int64  // bytes; 0: nothing is kept
	events uint64 // at most
	size   int    // of a chunk
	pages  *pages

	mu     sync.Mutex // guards all below
	chunks []*chunk   // the oldest first
	open   bool       // the last one takes more
	free   [][]byte   // of a chunk's size, in use for nothing
	oldest uint64     // events before are forgotten, though their chunk may be there
	next   uint64
	bytes  int64             // of all chunks and free ones, and the weight of refs
	wakes  []chan<- struct{} // of readers at the end, each of capacity one
}

func newRing(events int, most int64) ring {
	if most < 0 {
		most = 0
	}
	return ring{most: most, events: uint64(events), size: chunkSize(most), pages: &pages{}}
}

// add appends what p packed and forgets as many of the oldest events as it
// takes. An event beyond the whole bound is forgotten at once, and counts as
// dropped for those who follow.
func (r *ring) add(p *packer) {
	r.mu.Lock()
	for r.next-r.oldest >= r.events {
		r.oldest++
	}
	for len(r.chunks) > 0 && r.chunks[0].end() <= r.oldest {
		r.forget()
	}
	c := r.place(p.size(), p.weight)
	r.next++
	if c != nil {
		c.put(p)
		r.bytes += p.weight
	} else {
		r.oldest = r.next
	}
	for _, wake := range r.wakes {
		select {
		case wake <- struct{}{}:
		default: // it will look anyway
		}
	}
	r.mu.Unlock()
}

// place returns a chunk with room for an event of size bytes, and sees to it
// that its weight is within the bound. If that cannot be it forgets all and
// returns nil: there is never a gap between events.
func (r *ring) place(size int, weight int64) *chunk {
	if r.open {
		c := r.chunks[len(r.chunks)-1]
		if c.fits(size) && (c.weight == 0 || c.weight+weight <= int64(r.size)) {
			for r.bytes+weight > r.most && len(r.chunks) > 1 {
				r.forget()
			}
			if r.bytes+weight <= r.most {
				return c
			}
		}
		r.open = false
	}
	mem := r.take(max(r.size, size+entrySize), weight)
	if mem == nil {
		return nil
	}
	c := &chunk{mem: mem, first: r.next}
	r.chunks = append(r.chunks, c)
	r.open = true
	return c
}

// take returns memory for a chunk of size bytes, nil if there is not as much
// even without all other chunks.
func (r *ring) take(size int, weight int64) []byte {
	if int64(size)+weight > r.most {
		for len(r.chunks) > 0 {
			r.forget()
		}
		return nil
	}
	for {
		free := len(r.free)
		switch {
		case size == r.size && free > 0 && r.bytes+weight <= r.most:
			mem := r.free[free-1]
			r.free = r.free[:free-1]
			return mem
		case r.bytes+int64(size)+weight <= r.most:
			r.bytes += int64(size)
			if size != r.size {
				return make([]byte, size) // rare, and the collector's
			}
			return r.pages.get(size)
		case free > 0 && (free > 1 || size != r.size || len(r.chunks) == 0):
			r.pages.put(r.free[free-1])
			r.free = r.free[:free-1]
			r.bytes -= int64(r.size)
		default:
			r.forget()
		}
	}
}

// forget drops the oldest chunk.
func (r *ring) forget() {
	c := r.chunks[0]
	copy(r.chunks, r.chunks[1:])
	last := len(r.chunks) - 1
	r.chunks[last] = nil
	r.chunks = r.chunks[:last]
	r.oldest = max(r.oldest, c.end())
	r.bytes -= c.weight
	if len(c.mem) == r.size {
		r.free = append(r.free, c.mem)
	} else {
		r.bytes -= int64(len(c.mem))
	}
	if last == 0 {
		r.open = false
	}
}

// read copies events from number from on into b, until it is full or there are
// most. It returns the number to read from next, and how many between from and
// the first one copied are forgotten already.
func (r *ring) read(from uint64, b *batch, most int) (next, lost uint64) {
	b.reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	at := max(from, r.oldest)
	lost = at - from
	i, _ := slices.BinarySearchFunc(r.chunks, at, func(c *chunk, at uint64) int {
		if c.end() <= at {
			return -1
		}
		return 1
	})
	for ; i < len(r.chunks); i++ {
		for c := r.chunks[i]; at < c.end(); at++ {
			if len(b.entries) == most || !b.add(c, at) {
				return at, lost
			}
		}
	}
	return at, lost
}

// bounds returns the numbers of the oldest event and of the next to come.
func (r *ring) bounds() (oldest, next uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.oldest, r.next
}

// subscribe makes every add send to the channel it returns, until stop.
func (r *ring) subscribe() (wake <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	r.mu.Lock()
	r.wakes = append(r.wakes, ch)
	r.mu.Unlock()
	return ch, func() { r.unsubscribe(ch) }
}

func (r *ring) unsubscribe(ch chan<- struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.wakes {
		if r.wakes[i] == ch {
			last := len(r.wakes) - 1
			r.wakes[i], r.wakes[last] = r.wakes[last], nil
			r.wakes = r.wakes[:last]
			return
		}
	}
}
