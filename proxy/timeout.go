package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/rules"
)

// deadlines end an exchange whose route's time is up. They are there only where a
// route says so: nil deadlines never end anything.
type deadlines struct {
	x     *exchange
	idle  time.Duration // zero: none
	ended chan struct{} // closed when time is up

	last  atomic.Int64          // when something moved, in nanoseconds since began
	fired atomic.Pointer[Error] // why the exchange ends; nil until then
	began time.Time

	mu             sync.Mutex // guards what follows
	timer          *time.Timer
	total, attempt time.Time    // zero: none, or none any more
	over           bool         // nobody waits
	tunnel         bool         // the connection is no exchange's any more
	passed         func() int64 // bytes that move unseen; may be nil
	seen           int64        // of them, when it was last asked
}

// startDeadlines is called when the request is about to go to the upstream.
func (x *exchange) startDeadlines() {
	if x.route == nil || x.route.Timeout() == (rules.Timeout{}) {
		return
	}
	t := x.route.Timeout()
	d := &deadlines{x: x, idle: t.Idle, began: time.Now(), ended: make(chan struct{})}
	if t.Total > 0 {
		d.total = d.began.Add(t.Total)
	}
	if t.Attempt > 0 {
		d.attempt = d.began.Add(t.Attempt)
	}
	x.deadlines = d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(time.Until(d.next()), d.check)
}

// next is the next instant at which time may be up; the zero time for none. mu is
// held.
func (d *deadlines) next() time.Time {
	next := d.total
	if !d.attempt.IsZero() && (next.IsZero() || d.attempt.Before(next)) {
		next = d.attempt
	}
	if d.idle > 0 {
		idle := d.began.Add(time.Duration(d.last.Load()) + d.idle)
		if next.IsZero() || idle.Before(next) {
			next = idle
		}
	}
	return next
}

// check ends the exchange if its time is up, and else waits on.
func (d *deadlines) check() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	if d.passed != nil {
		if n := d.passed(); n != d.seen {
			d.seen = n
			d.moved()
		}
	}
	next := d.next()
	if next.IsZero() {
		return
	}
	if left := time.Until(next); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.over = true
	err := &Error{Origin: OriginUpstream, Reason: intercept.Timeout, Err: context.DeadlineExceeded}
	d.fired.Store(err)
	close(d.ended)
	if d.tunnel {
		d.x.c.abort(err)
		return
	}
	d.x.wire.expire(err)
}

// stop lets nothing happen to the exchange from now on.
func (d *deadlines) stop() {
	if d == nil {
		return
	}
	d.timer.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}

// moved notes that a byte came from one of the two sides.
func (d *deadlines) moved() {
	if d != nil && d.idle > 0 {
		d.last.Store(int64(time.Since(d.began)))
	}
}

// watchesIdle reports whether bytes have to be seen as they move.
func (d *deadlines) watchesIdle() bool { return d != nil && d.idle > 0 }

// headCame notes that the response has a head. A stream may then last.
func (x *exchange) headCame() {
	d := x.deadlines
	if d == nil {
		return
	}
	d.moved()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempt = time.Time{}
	if x.answersStream() {
		d.total = time.Time{}
	}
}

// answersStream reports whether the response may last as long as its two sides
// like. A call whose method nobody has looked up may.
func (x *exchange) answersStream() bool {
	head := x.response.in
	if x.kind == callGRPC || x.isFramed() {
		return x.method == nil || x.method.ServerStreaming
	}
	if head.Status == http.StatusSwitchingProtocols || x.request.in.Method == http.MethodConnect {
		return true
	}
	format, _ := x.p.Codecs.ByContentType(head.Fields.Get("Content-Type"))
	_, streams := format.(stream.Format)
	return streams
}

// tunnels notes that the two connections are joined from now on. passed counts
// the bytes that move between them; nil if moved is told of them.
func (d *deadlines) tunnels(passed func() int64) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tunnel, d.passed = true, passed
	d.total, d.attempt = time.Time{}, time.Time{}
}

// timedOut is why the exchange has to end, nil if its time is not up.
func (x *exchange) timedOut() *Error {
	if x.deadlines == nil {
		return nil
	}
	return x.deadlines.fired.Load()
}

// awaits waits for ready, unless time is up before.
func (x *exchange) awaits(ready <-chan struct{}) error {
	if x.deadlines == nil {
		return nil
	}
	select {
	case <-ready:
		return nil
	case <-x.deadlines.ended:
		return x.timedOut()
	}
}

// isTimeout reports whether err is that the route's time is up.
func (x *exchange) isTimeout(err error) bool {
	fired := x.timedOut()
	return fired != nil && errors.Is(err, fired)
}

// passedBy counts the bytes that a pipe passes.
func passedBy(pipe *splice.Pipe) func() int64 {
	return func() int64 {
		s := pipe.Stats()
		return s.AtoB + s.BtoA
	}
}

// tunnelEnd is the error of a tunnel that has ended.
func (x *exchange) tunnelEnd() error {
	timeout := x.timedOut()
	if timeout == nil {
		return nil // not a nil *Error in an error
	}
	return timeout
}

// expire implements [wire].
func (x *exchange1) expire(*Error) {
	x.r.c.mu.Lock()
	defer x.r.c.mu.Unlock()
	if x.r.up != nil {
		x.r.up.SetReadDeadline(past) // wakes fillReply
	}
}

// expire implements [wire].
func (x *ruledStream) expire(err *Error) {
	x.cancel(err)
	if u := x.upstreamStream(); u != nil {
		u.Interrupt(err)
	}
	x.caller.Interrupt(err)
}

// expire implements [wire].
func (x *netLane) expire(err *Error) { x.cancel(err) }

// expire implements [wire]: nothing takes time here.
func (x *dryLane) expire(*Error) {}
