package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// verbatim is an HTTP/2 connection in the relay lane that no rule can touch.
// Its frames pass as the bytes that they came as, header blocks too: settings,
// windows, priorities and the limits of streams are the two peers' own. The
// frames are looked at for what the observers are told and for floods. One
// goroutine carries each way.
type verbatim struct {
	c        *conn
	up       *net.TCPConn
	observed bool // somebody watches

	toUpstream, toCaller way

	mu         sync.Mutex          // guards what follows, and what is in it
	streams    map[uint32]*relayed // that are open
	spare      []*relayed
	endedFirst Origin // whose end of the connection came first, "" before

	once   sync.Once // guards err and blamed until both ways have ended
	err    error     // why the connection broke; nil if it did not
	blamed *way      // whose source broke the protocol; nil: nobody
	failed atomic.Bool
	halved atomic.Bool // one of the ways has come to its end

	hangsUp atomic.Bool // it idles, and the proxy is draining

	asked atomic.Bool // to go away
	say   sync.Mutex  // held while something is written to the caller; guards what follows
	begun bool        // the upstream's settings, which must come first, are on their way
	whole bool        // the caller has been sent whole frames
	said  bool        // that it should go away
	idle  *time.Timer // since then
}

// relayVerbatim carries c, which began with HTTP/2's preface, to its end.
func (p *Proxy) relayVerbatim(c *conn) {
	c.protocol = HTTP2
	up, greeting, err := c.take()
	if err != nil {
		c.refuse(&Error{Origin: OriginUpstream, Reason: intercept.Classify(err), Err: err})
		return
	}
	if by := c.race.resetBy(); by != "" {
		intercept.Reset(up)
		c.refuse(&Error{Origin: by, Reason: intercept.WasReset})
		return
	}
	c.lane = LaneRelay
	v := newVerbatim(c, up, greeting)
	c.first = nil
	c.race.enter(LaneRelay, v)
	c.setRelay(v)
	if p.Rules.Load().CanTouch(c.Direction, c.port()) {
		v.goAway() // a reload has come in between
	}
	c.end(v.run())
}

func newVerbatim(c *conn, up *net.TCPConn, greeting []byte) *verbatim {
	now := time.Now()
	v := &verbatim{c: c, up: up, streams: map[uint32]*relayed{}}
	observers, ok := c.p.Observer.(Observers)
	v.observed = !ok || len(observers) > 0
	caller, upstream := http2.NewGuards(now)
	v.toUpstream = way{
		v: v, from: OriginCaller, src: c.tcp, dst: up, guard: caller, now: now, side: callerEnded,
		in: sock.NewReader(c.tcp, &c.p.buffers, c.first), heads: http2.NewDecoder(),
		left: len(http2.Preface),
	}
	v.toCaller = way{
		v: v, from: OriginUpstream, src: up, dst: c.tcp, guard: upstream, now: now, side: upstreamEnded,
		in: sock.NewReader(up, &c.p.buffers, greeting), heads: http2.NewDecoder(),
	}
	for _, w := range []*way{&v.toUpstream, &v.toCaller} {
		w.checker.MaxFrame = http2.MaxMaxFrame // what they agreed on is their own affair
		w.in.Quiet()                           // nothing here computes for long
		w.out = sock.NewWriter(w.dst)
		w.table = http2.DefaultHeaderTableSize
	}
	v.toUpstream.back, v.toCaller.back = &v.toCaller, &v.toUpstream
	return v
}

// run carries both ways to their ends and ends the connection as its peers did.
func (v *verbatim) run() error {
	callerWatched, _ := v.c.p.watch.Add(v.c.tcp, v.toUpstream.srcEnds) // unwatched, its end is noticed when it is read
	upWatched, _ := v.c.p.watch.Add(v.up, v.toCaller.srcEnds)
	var back sync.WaitGroup
	back.Go(v.toCaller.run)
	v.toUpstream.run()
	back.Wait()
	v.once.Do(func() {}) // whatever comes now comes too late
	v.c.p.watch.Remove(callerWatched)
	v.c.p.watch.Remove(upWatched)

	v.say.Lock()
	v.said = true // too late for it
	if v.idle != nil {
		v.idle.Stop()
	}
	v.say.Unlock()
	v.cutStreams()
	var broken *http2.Error
	switch {
	case errors.Is(v.err, errIdled):
		v.sayGoodbye(errIdled)
	case v.err == nil || errors.Is(context.Cause(v.c.ctx), errEnded): // it idled while draining
		v.up.Close() // the caller's is closed by conn.end
	case errors.As(v.err, &broken):
		v.sayGoodbye(broken)
	default:
		v.resetBoth()
	}
	return v.end()
}

// fail ends both ways because of err, once. blamed is the way whose source
// broke the protocol, nil for other errors.
func (v *verbatim) fail(err error, blamed *way) {
	v.once.Do(func() {
		v.err, v.blamed = err, blamed
		v.failed.Store(true)
		soon := time.Now().Add(farewell)
		for _, c := range []*net.TCPConn{v.c.tcp, v.up} {
			c.SetReadDeadline(past)
			c.SetWriteDeadline(soon)
		}
	})
}

// farewell bounds the wait for a peer to take what tells it why the connection
// ends.
const farewell = 250 * time.Millisecond

// Close implements closer: the proxy aborts the connection and has reset the
// caller's side.
func (v *verbatim) Close() {
	v.fail(errClosedByProxy, nil)
	intercept.Reset(v.up)
}

var errClosedByProxy = errors.New("closed by the proxy")

// end is what the connection ended with, for the observers. One that idled while
// the proxy drains was closed and ended well.
func (v *verbatim) end() error {
	failure := v.c.failure()
	switch {
	case failure != nil || v.err == nil || v.c.ctx.Err() != nil || errors.Is(v.err, errIdled):
		return failure
	case v.blamed != nil:
		return &Error{Origin: v.blamed.from, Reason: intercept.Protocol, Err: v.err}
	}
	return asError(v.err)
}

// sayGoodbye tells both peers why the connection ends, where whole frames were
// sent before, and closes it. What still comes in meanwhile is thrown away: to
// close with it unread would be a reset, and that can overtake what was sent.
func (v *verbatim) sayGoodbye(why *http2.Error) {
	soon := time.Now().Add(farewell)
	for _, w := range []*way{&v.toCaller, &v.toUpstream} {
		w.dst.SetDeadline(soon)
		if w.left == 0 && !w.cut && w.goAwayErr == nil && (why != errIdled || w == &v.toCaller) {
			last := uint32(0) // of streams that the upstream began
			if w == &v.toCaller {
				last = v.toUpstream.last
			}
			_, _ = w.dst.Write(http2.AppendGoAway(nil, last, why.Code, why.Reason)) // it may be gone
		}
		_ = w.dst.CloseWrite()
	}
	for _, w := range []*way{&v.toCaller, &v.toUpstream} {
		discard(w.dst, discardAtMost)
		w.dst.Close()
	}
}

// discardAtMost bounds what is read and thrown away at the end.
const discardAtMost = 4 << 20

func discard(c *net.TCPConn, atMost int) {
	var waste [4 << 10]byte
	for atMost > 0 {
		n, err := c.Read(waste[:])
		if err != nil {
			return
		}
		atMost -= n
	}
}

// resetBoth resets both connections: a clean end would pass off what was cut
// short as whole. A reset discards what the kernel has yet to deliver, which was
// sent before whatever happened here, so that may arrive first.
func (v *verbatim) resetBoth() {
	wait := time.Millisecond
	for spent := time.Duration(0); spent < time.Second && v.c.ctx.Err() == nil && sock.Unsent(v.c.tcp)+sock.Unsent(v.up) > 0; {
		time.Sleep(wait)
		spent += wait
		wait = min(2*wait, 20*time.Millisecond)
	}
	intercept.Reset(v.c.tcp)
	intercept.Reset(v.up)
}

// goAway implements [relayConn]: a graceful GOAWAY (RFC 9113, 6.8), between two
// frames of the upstream's.
func (v *verbatim) goAway() {
	if !v.asked.Swap(true) {
		v.c.p.wait.Go(func() {
			v.say.Lock()
			defer v.say.Unlock()
			v.sayGoAway()
		})
	}
}

// sayGoAway says it if it can be said now. v.say is held.
func (v *verbatim) sayGoAway() {
	if v.said || !v.asked.Load() || !v.begun || !v.whole {
		return
	}
	v.said = true
	_, v.toCaller.goAwayErr = v.c.tcp.Write(http2.AppendGoAway(nil, http2.MaxStream, http2.NoError, ""))
	v.idle = time.AfterFunc(v.c.p.IdleDrain, v.endIdle)
}

// endIdle ends the connection, whose caller was sent away, once it idles: not
// every caller closes one on which it had no stream when it was told.
func (v *verbatim) endIdle() {
	if v.c.idleFor() >= v.c.p.IdleDrain {
		v.hangUp()
	}
	v.say.Lock()
	defer v.say.Unlock()
	v.idle.Reset(v.c.p.IdleDrain)
}

// hangUp asks the caller's way to end the connection unless a stream is open or
// on its way: only it can tell.
func (v *verbatim) hangUp() {
	v.hangsUp.Store(true)
	v.c.tcp.SetReadDeadline(past)
}

// errIdled ends a connection that idled while draining. Its GOAWAY names the last
// stream, so that a caller knows of one that crosses it that nobody has seen it.
var errIdled = &http2.Error{Code: http2.NoError, Reason: "idle"}

// idles reports whether nothing is open and nothing has come that was not passed.
func (w *way) idles() bool {
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	return len(w.v.streams) == 0 && w.held == 0 && w.left == 0 && !w.checker.InBlock()
}

// recovered turns a panic while a way was carried into its error: one
// connection must not take the process with it.
func (w *way) recovered(err *error) {
	if r := recover(); r != nil {
		*err = w.v.c.panicked(r)
	}
}
