package tap

import (
	"sync"

	"github.com/sluice-proxy/sluice/proxy"
)

// ring holds the last events. Event number n, counted from zero since the
// start, is in slots[n % len(slots)] while oldest <= n < next.
type ring struct {
	most int64 // bytes

	mu     sync.Mutex // guards all below
	slots  []slot
	oldest uint64
	next   uint64
	bytes  int64
	wakes  []chan<- struct{} // of readers at the end, each of capacity one
}

type slot struct {
	event proxy.Event
	cost  int64
}

func newRing(events int, bytes int64) ring {
	return ring{most: bytes, slots: make([]slot, events)}
}

// add appends e and forgets as many of the oldest events as it takes. An event
// beyond the whole bound is forgotten at once, and counts as dropped for those
// who follow.
func (r *ring) add(e proxy.Event, cost int64) {
	r.mu.Lock()
	size := uint64(len(r.slots))
	for r.oldest < r.next && (r.bytes+cost > r.most || r.next-r.oldest == size) {
		r.forget(size)
	}
	r.slots[r.next%size] = slot{e, cost}
	r.bytes += cost
	r.next++
	if r.bytes > r.most {
		r.forget(size)
	}
	for _, wake := range r.wakes {
		select {
		case wake <- struct{}{}:
		default: // it will look anyway
		}
	}
	r.mu.Unlock()
}

func (r *ring) forget(size uint64) {
	s := &r.slots[r.oldest%size]
	r.bytes -= s.cost
	*s = slot{}
	r.oldest++
}

// read copies events from number from on into buf. It returns how many, the
// number to read from next, and how many between from and the first one copied
// are forgotten already.
func (r *ring) read(from uint64, buf []proxy.Event) (n int, next, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from < r.oldest {
		lost = r.oldest - from
		from = r.oldest
	}
	for n < len(buf) && from < r.next {
		buf[n] = r.slots[from%uint64(len(r.slots))].event
		n++
		from++
	}
	return n, from, lost
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
