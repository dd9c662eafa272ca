package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/proxy/internal/watch"
)

// relay1 is an HTTP/1 connection in the relay lane. One goroutine carries its
// exchanges one after the other and does both legs in turn; what is pipelined
// waits in the caller's socket. Bytes go on as they came. How the connection
// ends is left to the two peers: a half-close or reset of one is done to the
// other, and only Sluice's own answers end it on their own account.
type relay1 struct {
	c   *conn
	in  *sock.Reader // the caller
	out *sock.Writer

	up    *net.TCPConn // nil before the first request that needs it, and after it has failed
	reply *sock.Reader // up, as it is read
	toUp  *sock.Writer

	callerShut atomic.Bool // the caller has ended its side, and up has been told
	upShut     atomic.Bool // the upstream has ended its side, and the caller has been told

	hangsUp       atomic.Bool   // it idles, and the proxy is draining
	waits         atomic.Int32  // whom the goroutine waits for: waitsFor...
	callerEnd     atomic.Bool   // noticed while the upstream was waited for
	upEnd         atomic.Int32  // noticed while the caller was waited for: endNone, endFIN, endRST
	callerWatched watch.Token   // of p.watch
	upWatched     atomic.Uint64 // which upstream connection is watched: a late word of an old one counts for nothing
	upToken       watch.Token
}

// Whom the goroutine of a relay1 waits for.
const (
	waitsForNobody int32 = iota
	waitsForCaller
	waitsForUpstream
	waitsForPump // an answer has gone, and the request has not come to its end
)

// How a side has ended.
const (
	endNone int32 = iota
	endFIN
	endRST
)

// relayHTTP1 carries the exchanges of c until it ends.
func (p *Proxy) relayHTTP1(c *conn) {
	c.protocol, c.lane = HTTP1, p.laneOf(nil)
	c.race.enter(c.lane, nil)
	r := &relay1{c: c, in: sock.NewReader(c.tcp, &p.buffers, c.first), out: sock.NewWriter(c.tcp)}
	r.in.Quiet()
	c.first = nil
	c.setRelay(r)
	r.callerWatched, _ = p.watch.Add(c.tcp, r.callerEnds) // unwatched, its end is noticed when it is read
	stop := context.AfterFunc(c.ctx, r.breakOff)
	err := c.contained(r.carry)
	stop()
	if c.failure() != nil {
		r.mirrorReset() // breakOff may not have come to it
	}
	p.watch.Remove(r.callerWatched)
	r.drop()
	c.end(err)
}

// goAway implements [relayConn]: HTTP/1 says so with each answer.
func (r *relay1) goAway() {}

// hangUp asks the goroutine to end the connection unless a request has begun:
// only it can see that none has come meanwhile.
func (r *relay1) hangUp() {
	r.hangsUp.Store(true)
	r.c.tcp.SetReadDeadline(past)
}

// breakOff wakes the goroutine because the connection is over: the proxy closed
// it or the caller reset it.
func (r *relay1) breakOff() {
	r.c.tcp.SetDeadline(past)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.up != nil {
		intercept.Reset(r.up)
	}
}

// carry is the life of the connection. Its error is nil if it ended well.
func (r *relay1) carry() error {
	for {
		switch more, err := r.await(); {
		case err != nil:
			return err
		case !more:
			return nil
		}
		x := exchanges1.Get().(*exchange1)
		x.r = r
		keep := x.carry()
		x.reset()
		exchanges1.Put(x)
		if !keep {
			return r.c.failure()
		}
	}
}

var exchanges1 = sync.Pool{New: func() any { return new(exchange1) }}

// await waits for the first byte of a request. more is false if there will be
// none.
func (r *relay1) await() (more bool, err error) {
	for len(r.in.Buffered()) == 0 {
		r.waits.Store(waitsForCaller)
		if end := r.upEnd.Swap(endNone); end != endNone {
			r.waits.Store(waitsForNobody)
			if err := r.upstreamEnded(end); err != nil {
				return false, err
			}
			continue
		}
		_, err := r.in.Fill()
		r.waits.Store(waitsForNobody)
		switch {
		case err == nil:
		case r.c.ctx.Err() != nil:
			return false, r.c.failure()
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.upShut.Load() && r.upEnd.Load() == endNone {
				return false, &Error{Origin: OriginSluice, Reason: "half_closed", Err: splice.ErrHalfClosed}
			}
			r.c.tcp.SetReadDeadline(time.Time{})
			if r.hangsUp.Load() {
				if n, _ := r.in.TryFill(); n == 0 {
					return false, nil
				}
			}
		case errors.Is(err, io.EOF):
			r.callerEnded()
			return false, nil
		case isReset(err):
			r.mirrorReset()
			return false, &Error{Origin: OriginCaller, Reason: "reset", Err: err}
		default:
			return false, nil // closed because it idled while draining
		}
	}
	return true, nil
}

// callerEnds is told by the watch when the caller has ended its side, while
// nobody may be reading it.
func (r *relay1) callerEnds(reset bool) {
	if reset {
		r.c.cancel(&Error{Origin: OriginCaller, Reason: "reset"}) // breakOff does the rest
		return
	}
	r.callerEnd.Store(true)
	if r.waits.Load() == waitsForUpstream {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		if r.up != nil {
			r.up.SetReadDeadline(past)
		}
	}
}

// upstreamEnds is told by the watch when the upstream has ended its side.
func (r *relay1) upstreamEnds(reset bool, which uint64) {
	if r.upWatched.Load() != which {
		return
	}
	if reset {
		r.upEnd.Store(endRST)
	} else {
		r.upEnd.CompareAndSwap(endNone, endFIN)
	}
	switch r.waits.Load() {
	case waitsForCaller:
		r.c.tcp.SetReadDeadline(past)
	case waitsForPump:
		_ = r.shutCaller()
	}
}

// upstreamEnded does to the caller, which is between two requests, what the
// upstream did. What it said before goes first: a server may say why it hangs
// up (408).
func (r *relay1) upstreamEnded(end int32) error {
	r.c.tcp.SetReadDeadline(time.Time{})
	if r.up == nil || r.upShut.Load() && end == endFIN {
		return nil
	}
	for end == endFIN {
		if said := r.reply.Buffered(); len(said) > 0 {
			if _, err := r.out.Write(said); err != nil {
				return nil //nolint:nilerr // nobody is left to be told
			}
			r.reply.Discard(len(said))
		}
		_, err := r.reply.Fill()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			end = endRST
		}
	}
	if end == endRST {
		intercept.Reset(r.c.tcp)
		return &Error{Origin: OriginUpstream, Reason: intercept.WasReset}
	}
	return r.shutCaller()
}

// shutCaller ends our side towards the caller, as the upstream did its own.
func (r *relay1) shutCaller() error {
	if !r.upShut.CompareAndSwap(false, true) {
		return nil
	}
	_ = r.c.tcp.CloseWrite() // a connection that is gone says so to its reader
	return r.c.tcp.SetReadDeadline(time.Now().Add(splice.DefaultHalfClose))
}

// callerEnded passes the caller's end on and waits for the upstream's, with
// what it may have to say before.
func (r *relay1) callerEnded() {
	if r.up == nil {
		return
	}
	r.shutUpstream()
	_ = r.up.SetReadDeadline(time.Now().Add(splice.DefaultHalfClose))
	for {
		if said := r.reply.Buffered(); len(said) > 0 {
			if _, err := r.out.Write(said); err != nil {
				r.mirrorReset()
				return // nobody is left to be told
			}
			r.reply.Discard(len(said))
		}
		switch _, err := r.reply.Fill(); {
		case err == nil:
		case errors.Is(err, io.EOF):
			return
		default:
			intercept.Reset(r.c.tcp)
			return
		}
	}
}

// shutUpstream ends our side towards the upstream, as the caller did its own.
func (r *relay1) shutUpstream() {
	r.c.callerEnded.Store(true)
	if r.up != nil && r.callerShut.CompareAndSwap(false, true) {
		_ = r.up.CloseWrite() // a connection that is gone says so to its reader
	}
}

// mirrorReset does to the upstream what the caller did.
func (r *relay1) mirrorReset() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.up != nil {
		intercept.Reset(r.up)
	}
}

// connect makes sure that there is a connection to the upstream: the one dialled
// at accept, or a new one where that has failed an exchange which a rule
// answered.
func (r *relay1) connect(ctx context.Context) error {
	if r.up != nil {
		return nil
	}
	up, greeting, err := r.c.take()
	if err == nil && up == nil {
		up, err = r.c.dial(ctx)
	}
	if err != nil {
		return err
	}
	r.reply, r.toUp = sock.NewReader(up, &r.c.p.buffers, greeting), sock.NewWriter(up)
	r.reply.Quiet()
	r.c.mu.Lock()
	r.up = up
	r.c.mu.Unlock()
	if r.c.ctx.Err() != nil {
		intercept.Reset(up)
		return context.Cause(r.c.ctx)
	}
	which := r.upWatched.Add(1)
	r.upEnd.Store(endNone)
	r.upToken, _ = r.c.p.watch.Add(up, func(reset bool) { r.upstreamEnds(reset, which) }) // as with the caller
	return nil
}

// drop closes the upstream connection; the next exchange that needs one dials.
func (r *relay1) drop() {
	if r.up == nil {
		return
	}
	r.upWatched.Add(1)
	r.c.p.watch.Remove(r.upToken)
	r.upEnd.Store(endNone)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.up.Close()
	r.up, r.reply, r.toUp = nil, nil, nil
	r.callerShut.Store(false)
}

// limits1 bound the heads of the relay lane.
var limits1 = http1.Limits{Head: int(maxHead), Fields: maxFields}
