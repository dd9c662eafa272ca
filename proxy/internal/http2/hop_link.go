package http2

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// Output is where a hop writes to.
type Output interface {
	// TryWrite writes what can be written without waiting.
	TryWrite(b []byte) (int, error)
	Write(b []byte) (int, error)
	CloseWrite() error
}

const (
	// outMax is how much may be appended to a hop's output before DATA waits in
	// its stream, where only the stream's share is held.
	outMax = 128 << 10

	// outBound is how much may wait to be written before nothing more is read
	// from either side. Frames other than DATA are bounded by this alone.
	outBound = 1 << 20

	// keepMax is the largest buffer of a stream that is kept for the next time.
	keepMax = 64 << 10
)

// outSize is the size of the buffers that outputs begin with and share.
const outSize = 32 << 10

var outputs = sync.Pool{New: func() any { return new([outSize]byte) }}

// Link joins the hops of a relayed connection. They share its lock, so that
// bytes that leave on one give credit on the other.
type Link struct {
	spawn func(func())

	callerGuard, upstreamGuard *Guard

	mu    sync.Mutex // guards what follows, and the hops and their streams
	moved *sync.Cond // some output has left, or a hop has ended
	hops  []*Hop
}

// NewLink returns a link. spawn runs goroutines that end soon after the
// connections are closed.
func NewLink(spawn func(func())) *Link {
	l := &Link{spawn: spawn}
	l.moved = sync.NewCond(&l.mu)
	l.callerGuard, l.upstreamGuard = NewGuards(time.Now())
	return l
}

// Caller adds the hop towards the caller, which says settings at once.
func (l *Link) Caller(h Handler, out Output, settings ...Setting) *Hop {
	hop := newHop(l, h, true, l.callerGuard)
	hop.output = out
	hop.begin(settings)
	l.add(hop)
	return hop
}

// Upstream adds a hop towards an upstream. It is not attached.
func (l *Link) Upstream(h Handler) *Hop {
	hop := newHop(l, h, false, l.upstreamGuard)
	l.add(hop)
	return hop
}

func (l *Link) add(h *Hop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := l.hops[:0]
	for _, each := range l.hops {
		if each.ended == nil {
			live = append(live, each)
		}
	}
	l.hops = append(live, h)
}

// Attach gives a hop its connection, on which it says settings first.
func (h *Hop) Attach(out Output, settings ...Setting) {
	l := h.link
	l.mu.Lock()
	h.output = out
	h.begin(settings)
	h.openWaiting()
	h.pump()
	l.mu.Unlock()
	l.Flush()
}

// Attached reports whether the hop has its connection.
func (h *Hop) Attached() bool {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	return h.output != nil
}

// outgoing is what to append to. An idle hop holds no buffer. link.mu is held.
func (h *Hop) outgoing() []byte {
	if h.out == nil {
		h.out = outputs.Get().(*[outSize]byte)[:0]
	}
	return h.out
}

// append takes what was appended to outgoing. link.mu is held.
func (h *Hop) append(out []byte) {
	if h.ended == nil && !h.dead {
		h.out = out
	}
}

// appendFrame is append for a DATA or HEADERS frame. link.mu is held.
func (h *Hop) appendFrame(out []byte) {
	h.sent++
	h.append(out)
}

// outRoom is how much DATA may be appended. link.mu is held.
func (h *Hop) outRoom() int { return outMax - len(h.out) - h.blocked }

// Flush writes what was appended to the hops, without waiting for a peer that
// does not read: a goroutine does that.
func (l *Link) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for again := true; again; {
		again = false
		for _, h := range l.hops {
			if h.hasOutput() {
				h.write()
				again = true
			}
		}
	}
}

// FlushTogether is Flush for one of many streams: whoever else could run now, and
// append what it has, runs first, and one write takes it all.
func (l *Link) FlushTogether() {
	l.mu.Lock()
	some := slices.ContainsFunc(l.hops, (*Hop).hasOutput)
	l.mu.Unlock()
	if some {
		runtime.Gosched()
		l.Flush()
	}
}

// hasOutput reports whether there is something to write and nobody does. After
// the end that is what was appended before Shut. link.mu is held.
func (h *Hop) hasOutput() bool {
	return h.output != nil && !h.writing && !h.dead && (h.shut || h.ended == nil && len(h.out) > 0)
}

// write writes once. link.mu is held, but not while it writes.
func (h *Hop) write() {
	l := h.link
	if len(h.out) == 0 {
		h.dead = true
		_ = h.output.CloseWrite()
		return
	}
	b := h.takeOut()
	l.mu.Unlock()
	n, err := h.output.TryWrite(b)
	l.mu.Lock()
	if err == nil && n < len(b) {
		h.waitToWrite(b, n)
		return
	}
	h.wrote(b, err)
}

// takeOut takes the output and leaves an empty one. link.mu is held.
func (h *Hop) takeOut() []byte {
	b := h.out
	h.out = nil
	h.writing = true
	return b
}

// wrote ends what takeOut began. link.mu is held.
func (h *Hop) wrote(b []byte, err error) {
	h.writing, h.blocked = false, 0
	if err != nil {
		// What the peer said before it went is still to be read; Read will end.
		h.dead = true
		h.out = nil
	}
	if cap(b) == outSize {
		outputs.Put((*[outSize]byte)(b[:outSize]))
	}
	h.pump()
	h.link.moved.Broadcast()
}

// waitToWrite lets a goroutine write what the peer does not read now. link.mu is
// held.
func (h *Hop) waitToWrite(b []byte, from int) {
	h.blocked = len(b) - from
	h.link.spawn(func() { h.writeRest(b, from) })
}

// writeRest is the goroutine that waits for a peer to read on.
func (h *Hop) writeRest(b []byte, from int) {
	_, err := h.output.Write(b[from:])
	l := h.link
	l.mu.Lock()
	h.wrote(b, err)
	l.mu.Unlock()
	l.Flush()
}

// throttle waits while too much waits to be written on a hop.
func (l *Link) throttle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.overfull() {
		l.moved.Wait()
	}
}

func (l *Link) overfull() bool {
	for _, h := range l.hops {
		if h.ended == nil && h.output != nil && len(h.out)+h.blocked > outBound {
			return true
		}
	}
	return false
}

// pump sends DATA that waits, as far as windows and the output allow, in fair
// turns. link.mu is held.
func (h *Hop) pump() {
	for len(h.ready) > 0 && h.conn.left > 0 && h.outRoom() > 0 {
		s := h.ready[0]
		h.ready = h.ready[:copy(h.ready, h.ready[1:])]
		s.isReady = false
		n := room(h.conn, s.window, min(s.queued(), h.maxFrame))
		if n == 0 {
			continue // closed, or its window wakes it
		}
		s.sendQueued(n)
		s.wakeReady()
	}
}

// openWaiting opens the streams that wait, as many as the peer allows. link.mu
// is held.
func (h *Hop) openWaiting() {
	for len(h.waiting) > 0 && h.mayOpen() {
		s := h.waiting[0]
		h.waiting = h.waiting[:copy(h.waiting, h.waiting[1:])]
		h.open(s)
	}
}

// mayOpen reports whether the peer lets us open one more stream now. link.mu is
// held.
func (h *Hop) mayOpen() bool {
	return h.output != nil && h.ended == nil && uint32(len(h.streams)) < h.most
}
