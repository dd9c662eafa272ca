package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
)

// inline2 is a stream of a ruled connection that has no route. It passes in the
// goroutines that read the two sides, as it comes.
type inline2 struct {
	r        *ruled
	caller   *http2.Stream
	upstream *http2.Stream // written once, by the goroutine that reads the caller

	mu   sync.Mutex // guards what follows
	told *told      // what the observers will be told; nil once they were
}

// begin opens the stream upstream as it came.
func (x *inline2) begin(head *http2.Head, end bool) {
	x.r.c.exchanges.Add(1)
	if end {
		x.told.ended(OriginCaller)
	}
	up := x.r.upstream()
	var err error
	p := x.caller.Priority()
	if x.upstream, err = up.hop.Open(x, x.caller, head, end, rank2(p, x.r.owner(p))); err != nil {
		up.lostInline(x, err)
	}
}

// requestData passes content of the request on.
func (x *inline2) requestData(data []byte, end bool) {
	if x.r.c.p.watched {
		x.mu.Lock()
		if x.told != nil {
			x.told.capture(OriginCaller, data, x.r.c.p.Capture)
		}
		if end {
			x.told.ended(OriginCaller)
		}
		x.mu.Unlock()
	}
	x.upstream.SendData(data, end)
}

// requestTrailers passes the request's trailers on.
func (x *inline2) requestTrailers(head *http2.Head) {
	x.mu.Lock()
	x.told.ended(OriginCaller)
	if x.told != nil {
		x.told.record.Request.Trailers = x.r.seen(head, trailers2).head.Fields
	}
	x.mu.Unlock()
	x.upstream.SendTrailers(head)
}

// response passes a head on.
func (x *inline2) response(u *http2.Stream, head *http2.Head, end bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if head.Status >= 200 {
		x.caller.DataFrom(u)
		if x.told != nil {
			x.r.seen(head, response2).begin(&x.told.record.Response)
			x.told.record.Status = head.Status
		}
	}
	x.caller.SendHead(head, end)
	if end {
		x.over(u.Hop().Now(), nil)
	}
}

// data passes content of the response on.
func (x *inline2) data(up *ruledUpstream, data []byte, end bool) {
	x.caller.SendData(data, end)
	if !end && !x.r.c.p.watched {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told != nil {
		x.told.capture(OriginUpstream, data, x.r.c.p.Capture)
	}
	if end {
		x.over(up.hop.Now(), nil)
	}
}

// trailers passes the response's trailers on.
func (x *inline2) trailers(up *ruledUpstream, head *http2.Head) {
	x.caller.SendTrailers(head)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told != nil {
		x.told.record.Response.Trailers = x.r.seen(head, trailers2).head.Fields
	}
	x.over(up.hop.Now(), nil)
}

// callerReset ends the exchange because the caller has reset its stream with
// code, or is gone.
func (x *inline2) callerReset(code http2.ErrCode, cause error) {
	if x.upstream != nil {
		x.upstream.Reset(code)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over(time.Now(), x.failure(&Error{Origin: OriginCaller, Reason: "cancelled", Err: cause}))
}

// upstreamReset is called when the upstream has reset the stream.
func (x *inline2) upstreamReset(u *http2.Stream, code http2.ErrCode) {
	x.caller.Reset(code)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over(time.Now(), x.failure(&Error{Origin: OriginUpstream, Reason: intercept.WasReset, Err: u.Err()}))
}

// upstreamLost is called when the upstream's connection is gone.
func (x *inline2) upstreamLost(err error) {
	code, reason := http2.InternalError, intercept.Classify(err)
	var e *http2.Error
	if errors.As(err, &e) && e.Code == http2.RefusedStream {
		code, reason = http2.RefusedStream, intercept.WasReset
	}
	x.caller.Reset(code)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over(time.Now(), x.failure(&Error{Origin: OriginUpstream, Reason: reason, Err: err}))
}

// notSent notes that there was no upstream.
func (x *inline2) notSent() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told != nil {
		x.told.record.Attempts = 0
	}
}

// failure is what the exchange ended with, if it was not what ended the whole
// connection or the caller's deadline. mu is held.
func (x *inline2) failure(err *Error) *Error {
	if x.told == nil {
		return nil
	}
	if why := x.r.c.failure(); why != nil {
		return asError(why)
	}
	record := &x.told.record
	if record.Call.Service != "" {
		timeout, ok := grpcTimeout(record.Call.Head.Fields.Get("grpc-timeout"))
		if ok && time.Since(record.Started) >= timeout-deadlineSlack {
			return &Error{Origin: OriginUpstream, Reason: intercept.Timeout, Err: context.DeadlineExceeded}
		}
	}
	return err
}

// over ends the exchange, once, and tells the observers. mu is held.
func (x *inline2) over(now time.Time, err *Error) {
	if x.told == nil {
		return
	}
	c := x.r.c
	if c.p.watched {
		if err == nil {
			x.told.ended(OriginUpstream)
		}
		c.p.Observer.Observe(x.told.finish(now, err))
		x.told.finishShade()
	}
	x.told.forget()
	x.told = nil
	c.quietAt.Store(now.UnixNano())
	c.exchanges.Add(-1)
	if c.p.draining.Load() {
		x.r.goAway() // who came while draining has got what it came for
	}
}

// prioritize passes on what the caller says of the stream.
func (x *inline2) prioritize(p http2.Priority, on stream2) { x.upstream.Prioritize(*rank2(p, on)) }

func (x *inline2) upstreamStream() *http2.Stream { return x.upstream }
func (x *inline2) callerStream() *http2.Stream   { return x.caller }

// What a head is of.
type headOf2 uint8

const (
	request2 headOf2 = iota
	response2
	trailers2
)

// seen is what is known of a head. It is called by the goroutine that read it.
func (r *ruled) seen(d *http2.Head, of headOf2) *seenHead {
	if s, ok := d.Memo.(*seenHead); ok {
		return s
	}
	s := new(seenHead)
	switch of {
	case request2:
		s.head = requestHead2(&d.Request, d.Fields)
		if s.kind = callKindOf(s.head, HTTP2); s.kind != callNone {
			s.service, s.method = splitMethod(s.head.Path)
		}
	case response2:
		s.head = responseHead2(d.Status, d.Fields)
	default:
		s.head = responseHead2(0, d.Fields)
	}
	if media := s.head.Fields.Get("content-type"); media != "" {
		s.format, _ = r.c.p.Codecs.ByContentType(media)
	}
	s.encoding = s.head.Fields.Get("content-encoding")
	if d.Kept {
		d.Memo = s
	}
	return s
}
