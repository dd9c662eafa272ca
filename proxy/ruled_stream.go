package proxy

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	nethttp2 "golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy/internal/detect"
	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// ruledStream is an exchange on a ruled connection: a stream of the caller, and
// the one of the upstream once there is one.
type ruledStream struct {
	exchange
	r      *ruled
	caller *http2.Stream
	inline bool // without a route; written by begin

	// Of a stream with a route, in the exchange's goroutine.
	fields    []http2.Field // the request's head as it came
	endsEarly bool          // the head is all of the request
	reply     []http2.Field // the response's head as it came
	replyEnds bool          // the head is all of the response
	pumped    chan struct{} // closed when nobody sends the request's body any more; nil: nobody did
	expects   bool          // the caller waits for 100 Continue
	continued bool          // it was told so from here, since a step reads the body
	sending   bool          // the request goes to the upstream, which decides now

	// upstream is written once: of an inline stream by the goroutine that reads
	// the caller, else with state held.
	upstream *http2.Stream

	state sync.Mutex // guards what follows; of an inline stream also the exchange
	done  bool       // the exchange is finished
	gone  bool       // the caller has reset its stream
}

var _ wire = (*ruledStream)(nil)

// begin opens the exchange of a request, and passes it on or lets it be carried.
// It is called by the goroutine that reads the caller.
func (x *ruledStream) begin(q *http2.Request, fields []http2.Field, end, tooLarge bool) {
	x.open(x.r.c, x, arrival{lane: LaneRelay, protocol: HTTP2, head: requestHead2(q, fields), ctx: x.r.c.ctx})
	switch {
	case tooLarge && len(fields) >= http2.MaxFields:
		x.malformed = &Error{Origin: OriginCaller, Reason: "too_many_fields"}
	case tooLarge:
		x.malformed = &Error{Origin: OriginCaller, Reason: "head_too_large"}
	case len(q.Method)+len(q.Path)+len(" HTTP/1.1\r\n") > detect.MaxLine:
		x.malformed = &Error{Origin: OriginCaller, Reason: "line_too_long"}
	}
	if x.malformed == nil {
		m, err := x.set.Match(x.ctx, x.record.Call, x.record.Started)
		if m.Route == nil && err == nil {
			x.record.Passed = m.Passed
			x.passInline(fields, end)
			return
		}
		if err == nil && x.p.laneOf(m.Route) == LaneExchange {
			x.refuseForLane()
			return
		}
	}
	x.fields, x.endsEarly = slices.Clone(fields), end
	x.expects = !end && strings.EqualFold(valueOf2(fields, "expect"), "100-continue")
	x.caller.Hold()
	x.request.body = body{x: &x.exchange, stream: &callerBody2{x: x}, size: declared2(fields, end)}
	if end {
		x.request.body.stream = http.NoBody
	}
	x.r.held.Add(1)
	x.r.exchanges.Add(1)
	x.p.wait.Go(x.carry)
}

// refuseForLane refuses a stream that needs the exchange lane, as not processed:
// its caller repeats it on its next connection, which takes that lane.
func (x *ruledStream) refuseForLane() {
	x.inline, x.done, x.began = true, true, true
	x.caller.Reset(http2.RefusedStream)
	x.r.goAway()
	x.finish(&Error{Origin: OriginSluice, Reason: "other_lane"})
}

// carry is the goroutine of an exchange with a route.
func (x *ruledStream) carry() {
	defer x.r.exchanges.Done()
	x.finish(x.guarded())
}

// passInline opens the stream upstream as it came.
func (x *ruledStream) passInline(fields []http2.Field, end bool) {
	x.inline = true
	x.record.Attempts = 1
	x.sent = x.record.Started
	x.request.body = body{x: &x.exchange, seen: x.p.newCapture()}
	x.response.body = body{x: &x.exchange, seen: x.p.newCapture()}
	up := x.r.upstream()
	var err error
	if x.upstream, err = up.hop.Open(x, x.caller, fields, end); err != nil {
		up.lostBy(x, err)
	}
}

// over finishes an inline stream. state is held.
func (x *ruledStream) over(err error) {
	if !x.done {
		x.done = true
		x.finish(err)
	}
}

// inlineResponse passes a head on.
func (x *ruledStream) inlineResponse(u *http2.Stream, status int, fields []http2.Field, end bool) {
	x.state.Lock()
	defer x.state.Unlock()
	if status >= 200 && !x.done {
		head := responseHead2(status, fields)
		x.response.in, x.response.out = head, head
		x.record.Status, x.began = status, true
		x.caller.DataFrom(u)
	}
	x.caller.SendHead(fields, end)
	if end {
		x.over(nil)
	}
}

// inlineData passes content of the response on.
func (x *ruledStream) inlineData(data []byte, end bool) {
	x.response.body.seen.add(data)
	x.caller.SendData(data, end)
	if end {
		x.state.Lock()
		defer x.state.Unlock()
		x.over(nil)
	}
}

// inlineTrailers passes the response's trailers on.
func (x *ruledStream) inlineTrailers(fields []http2.Field) {
	x.caller.SendTrailers(fields)
	x.state.Lock()
	defer x.state.Unlock()
	if !x.done {
		x.record.Response.Trailers = fields2(fields)
	}
	x.over(nil)
}

// inlineRequestTrailers passes the request's trailers on.
func (x *ruledStream) inlineRequestTrailers(fields []http2.Field) {
	trailers := fields2(fields)
	x.mu.Lock()
	x.request.trailers = trailers
	x.mu.Unlock()
	x.upstream.SendTrailers(fields)
}

// callerReset ends the exchange because the caller has reset its stream with
// code, or is gone.
func (x *ruledStream) callerReset(code http2.ErrCode, cause error) {
	x.state.Lock()
	defer x.state.Unlock()
	x.gone = true
	x.cancel(cause)
	if x.upstream != nil {
		x.upstream.Reset(code)
	}
	if x.inline {
		x.over(x.upstreamFailed(cause))
	}
}

// upstreamReset is called when the upstream has reset the stream. An exchange
// with a goroutine has its error already.
func (x *ruledStream) upstreamReset(u *http2.Stream, code http2.ErrCode) {
	x.state.Lock()
	defer x.state.Unlock()
	switch {
	case x.inline:
		x.caller.Reset(code)
		x.over(x.upstreamFailed(asUpstream2(u.Err())))
	case x.done:
		x.caller.Reset(code)
	}
}

// upstreamLost is called when the upstream's connection is gone.
func (x *ruledStream) upstreamLost(err error) {
	x.state.Lock()
	defer x.state.Unlock()
	if x.inline || x.done {
		code := http2.InternalError
		var refused *http2.Error
		if errors.As(err, &refused) && refused.Code == http2.RefusedStream {
			code = http2.RefusedStream
		}
		x.caller.Reset(code)
	}
	if x.inline {
		x.over(x.upstreamFailed(asUpstream2(err)))
	}
}

// notSent notes of an inline stream that there was no upstream.
func (x *ruledStream) notSent() {
	x.state.Lock()
	defer x.state.Unlock()
	x.record.Attempts = 0
}

// upstreamID is the number of the upstream's stream, 0 if it is not opened on up.
func (x *ruledStream) upstreamID(up *ruledUpstream) uint32 {
	x.state.Lock()
	u := x.upstream
	x.state.Unlock()
	if u == nil || u.Hop() != up.hop {
		return 0
	}
	return u.ID()
}

// asUpstream2 is an error of a stream upstream as upstreamFailed knows it.
func asUpstream2(err error) error {
	var e *http2.Error
	if errors.As(err, &e) && e.Stream != 0 {
		return nethttp2.StreamError{StreamID: e.Stream, Code: nethttp2.ErrCode(e.Code), Cause: err}
	}
	return err
}

// callerBody2 is the body of a request that somebody reads.
type callerBody2 struct{ x *ruledStream }

func (b *callerBody2) Read(p []byte) (int, error) {
	if x := b.x; x.expects && !x.sending && !x.continued && !x.caller.Buffered() {
		x.continued = true
		x.caller.SendHead(made2(http.StatusContinue, nil), false)
		x.r.link.Flush()
	}
	return b.x.caller.Read(p)
}

func (b *callerBody2) Close() error { return nil }

// upstreamBody2 is the body of a response that somebody reads.
type upstreamBody2 struct{ u *http2.Stream }

func (b *upstreamBody2) Read(p []byte) (int, error) {
	n, err := b.u.Read(p)
	return n, asUpstream2(err)
}

func (b *upstreamBody2) Close() error { return nil }

// fieldsOf2 are trailers as rules and observers see them, nil for none.
func fieldsOf2(trailers []http2.Field) rules.Fields {
	if trailers == nil {
		return nil
	}
	return fields2(trailers)
}
