package http2

import (
	"sync"
	"sync/atomic"
	"time"
)

// MaxResets is how many streams a second one side may reset, or make the other
// one reset, before their end.
const MaxResets = 200

// limit says how many frames of a kind one side may send: burst at once, rate a
// second, and some more for each frame of either side that did some work,
// which is a head or a DATA frame with content.
type limit struct {
	burst, rate, work int64
	reason            string
}

// The kinds of frames that cost their sender less than their receiver. A gRPC
// peer that estimates bandwidth pings once a round trip while data comes, and
// updates two windows for each message.
const (
	kindPing = iota
	kindWindow
	kindSettings
	kindPriority
	kindEmpty
	kindReset
	kinds
)

var limits = [kinds]limit{
	kindPing:     {burst: 1000, rate: 200, work: 2, reason: "too many PING frames"},
	kindWindow:   {burst: 10000, rate: 2000, work: 8, reason: "too many WINDOW_UPDATE frames"},
	kindSettings: {burst: 200, rate: 20, work: 0, reason: "too many SETTINGS or GOAWAY frames"},
	kindPriority: {burst: 2000, rate: 200, work: 2, reason: "too many PRIORITY frames"},
	kindEmpty:    {burst: 1000, rate: 200, work: 1, reason: "too many empty or RST_STREAM frames"},
	kindReset:    {burst: MaxResets, rate: MaxResets, work: 0, reason: "too many streams reset"},
}

// Guard counts what one side of a connection sends and recognises floods. Its
// methods are for the goroutine that reads that side, but for Reset and the
// peer's look at its work.
type Guard struct {
	peer    *Guard
	buckets [kinds]bucket
	work    int64        // own frames that did some work
	shown   atomic.Int64 // work, as the peer sees it

	mu     sync.Mutex // guards resets
	resets bucket
}

// bucket is a leaky one: what it holds drains with time and with work.
type bucket struct {
	held int64
	at   time.Time // up to when it has drained
	rest int64     // nanoseconds times rate that did not make a whole unit
	work int64     // up to which it has drained
}

// NewGuards returns the guards of the two sides of a connection.
func NewGuards(now time.Time) (caller, upstream *Guard) {
	caller, upstream = new(Guard), new(Guard)
	caller.init(upstream, now)
	upstream.init(caller, now)
	return caller, upstream
}

func (g *Guard) init(peer *Guard, now time.Time) {
	g.peer = peer
	for i := range g.buckets {
		g.buckets[i].at = now
	}
	g.resets.at = now
}

// Frame counts one frame that the side sent, that [Checker.Check] has let
// through; of a DATA frame the first byte is enough. now may be as old as the
// read that brought it. An error, of type *[Error], ends the connection: the
// side floods.
func (g *Guard) Frame(f *Frame, now time.Time) error {
	switch f.Type {
	case FrameData:
		if f.Length == 0 || f.Flags.Has(FlagPadded) && f.Length == 1+uint32(f.Payload[0]) {
			return g.count(kindEmpty, now) // an end too: what it ends had a head, which is work
		}
		g.work++
	case FrameHeaders, FrameContinuation, FramePushPromise:
		if len(f.Fragment()) == 0 {
			return g.count(kindEmpty, now)
		}
		if f.Flags.Has(FlagEndHeaders) {
			g.work++
		}
	case FramePing:
		return g.count(kindPing, now)
	case FrameWindowUpdate:
		return g.count(kindWindow, now)
	case FrameSettings:
		return g.count(kindSettings, now)
	case FrameGoAway:
		return g.count(kindSettings, now)
	case FrameRSTStream: // what it resets had a head, which is work; see Reset for how many may be
		return g.count(kindEmpty, now)
	default:
		return g.count(kindPriority, now) // PRIORITY_UPDATE and unknown ones too
	}
	return nil
}

// Flush shows the work that was counted to the peer's guard. Call it once a
// read.
func (g *Guard) Flush() {
	if g.shown.Load() != g.work {
		g.shown.Store(g.work)
	}
}

// Reset counts a stream that the side reset, or made the other side reset,
// before the other side had ended it. It may be called from any goroutine.
func (g *Guard) Reset(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.resets.add(&limits[kindReset], now, 0)
}

func (g *Guard) count(kind int, now time.Time) error {
	return g.buckets[kind].add(&limits[kind], now, g.work+g.peer.shown.Load())
}

// add puts one unit into the bucket.
func (b *bucket) add(l *limit, now time.Time, work int64) error {
	if passed := now.Sub(b.at); passed > 0 {
		// Beyond this the bucket is empty whatever it held.
		passed = min(passed, time.Duration((l.burst/l.rate+2)*int64(time.Second)))
		b.rest += int64(passed) * l.rate
		b.held -= b.rest / int64(time.Second)
		b.rest %= int64(time.Second)
		b.at = now
	}
	b.held = max(b.held-(work-b.work)*l.work, 0) + 1
	b.work = work
	if b.held > l.burst {
		return connError(EnhanceYourCalm, l.reason)
	}
	return nil
}
