package proxy

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// planned2 is a call of one message each way whose route does no more than edit
// messages by plans. A plan takes less time than to hand a call to a goroutine, so
// that it runs where the message is read. Whatever is out of the ordinary turns the call
// into one with a goroutine (ruled_turn.go), before anything was done that it
// would do otherwise.
type planned2 struct {
	inline2
	found  found2
	method *protobuf.Method
	head   *http2.Head // the request's
	seen   *seenHead

	request []byte       // that waits for the caller's end; of the goroutine that reads it
	turned  *ruledStream // guarded by mu; nil: it is still this one's. Then told is nil

	// Of the goroutine that reads the upstream, once the request was sent.
	reply   *http2.Head // that waits for its message; nil: none does
	message []byte      // that waits for the trailers
}

// plan begins a planned2.
func (r *ruled) plan(s *http2.Stream, head *http2.Head, seen *seenHead, method *protobuf.Method, t *told, found found2) *planned2 {
	t.record.Route, t.record.Attempts = found.match.Route.Name(), 0
	r.c.exchanges.Add(1)
	return &planned2{inline2: inline2{r: r, caller: s, told: t}, found: found, method: method, head: head.Keep(), seen: seen}
}

// requestData sends the request, if it is whole.
func (x *planned2) requestData(data []byte, end bool) {
	switch {
	case len(x.request) > 0:
		data = append(x.request, data...)
	case !end && isMessage2(data):
		x.request = append(x.request, data...)
		return
	}
	if !end || !isMessage2(data) || !x.send(data) {
		x.turnRequest(data, nil)
	}
}

// requestTrailers ends a request that has no message, or more than one.
func (x *planned2) requestTrailers(head *http2.Head) { x.turnRequest(x.request, head) }

// isMessage2 reports whether data is one message that is not compressed, and that
// may be sent at once.
func isMessage2(data []byte) bool {
	return len(data) >= prefix2 && len(data) <= atOnce && data[0] == 0 &&
		int64(binary.BigEndian.Uint32(data[1:])) == int64(len(data)-prefix2)
}

// send sends the request's message as the steps leave it. It reports false if
// that is not for it to do.
func (x *planned2) send(data []byte) bool {
	up := x.r.upstream()
	if !up.hop.Attached() {
		return false
	}
	half := &x.told.record.Request
	left, ok := x.edit(true, data[prefix2:], half)
	if !ok {
		return false
	}
	p := x.caller.Priority()
	rank := rank2(p, x.r.owner(p))
	x.mu.Lock() // the upstream may answer at once
	defer x.mu.Unlock()
	u, err := up.hop.Open(x, x.caller, x.head, false, rank)
	if err != nil {
		up.r.forget(up, false)
		return false
	}
	x.upstream = u
	x.told.record.Attempts = 1
	if half.Edited {
		x.r.room = appendMessage2(x.r.room[:0], left, false)
		u.SendInPlace(len(data), x.r.room, true)
	} else {
		u.SendData(data, true)
	}
	return true
}

// edit runs the steps of a half on its message. It reports false if a plan cannot
// tell, or the message does not go on.
func (x *planned2) edit(fromCaller bool, message []byte, half *Half) (left []byte, ok bool) {
	route, format := x.found.match.Route, x.method.Output
	steps := route.Response()
	if fromCaller {
		steps, format = route.Request(), x.method.Input
	}
	limit := route.Limits().Message
	if int64(len(message)) > int64(limit) {
		return nil, false
	}
	left = message
	if steps != nil {
		from := x.r.caller // each side's instant is its reader's alone
		if !fromCaller {
			from = x.upstream.Hop()
		}
		in := rules.In{
			Phase: rules.Whole, Request: &x.told.call, Params: x.found.match.Params, Head: half.In,
			Now: from.Now(), Clock: x.r.c.p.stepClock,
		}
		if fromCaller {
			in.Room = x.told.edited
		} else {
			in.Response = half.In
		}
		defer func() {
			if v := recover(); v != nil {
				x.r.c.p.Log.Error("panic in a plan", "id", x.found.id, "route", route.Name(), "panic", fmt.Sprintf("%.64v", v), "stack", string(debug.Stack()))
				left, ok = nil, false
			}
		}()
		out, data, sure, err := steps.RunOn(x.r.c.ctx, in, format, message, codec.Limits{Size: limit})
		if !sure || err != nil || out.Reject != nil {
			return nil, false
		}
		if half.Steps, left = out.Steps, data; len(data) != len(message) || string(data) != string(message) {
			if half.Edited = true; fromCaller {
				x.told.edited = data
			}
		}
	}
	if x.r.c.p.watched {
		x.keep(fromCaller, format, message, left)
	}
	half.MessageCount = 1
	return left, true
}

// keep keeps a message for the observers, with what left in its place.
func (x *planned2) keep(fromCaller bool, format codec.Codec, message, left []byte) {
	from, half := OriginUpstream, &x.told.record.Response
	if fromCaller {
		from, half = OriginCaller, &x.told.record.Request
	}
	half.Body = Payload{Codec: format}
	x.told.capture(from, message, x.r.c.p.Capture)
	if half.Edited {
		half.Sent = payloadOf(left, x.r.c.p.Capture, format)
	}
}

// response keeps a head that waits for its message, or passes it on.
func (x *planned2) response(u *http2.Stream, head *http2.Head, end bool) {
	switch {
	case head.Status < 200:
		x.caller.SendHead(head, false)
	case !x.r.saysGRPC(head, end), end && x.found.match.Route.Response() != nil:
		x.turnResponse(u, head, end, nil, nil)
	case end || x.found.match.Route.Response() == nil:
		x.inline2.response(u, head, end)
	default:
		x.reply = head.Keep()
	}
}

// saysGRPC reports whether a response is gRPC's. It is for the goroutine that reads
// the upstream.
func (r *ruled) saysGRPC(head *http2.Head, end bool) bool {
	if end {
		return notGRPC(head.Status, head.Fields, true) == nil
	}
	seen := r.seen(head, response2)
	if !seen.isGRPC {
		seen.isGRPC = notGRPC(head.Status, head.Fields, false) == nil
	}
	return seen.isGRPC
}

// data keeps a message, or passes it on.
func (x *planned2) data(up *ruledUpstream, data []byte, end bool) {
	switch u := x.upstreamStream(); {
	case x.reply == nil && end:
		x.inline2.data(up, data, false)
		x.turnEnd(errNoTrailers)
	case x.reply == nil:
		x.inline2.data(up, data, false)
	case x.message != nil || end || !isMessage2(data):
		x.turnResponse(u, x.reply, false, append(x.message, data...), nil)
	default:
		x.message = append(x.message, data...)
	}
}

// errNoTrailers is a call that ends with a message.
var errNoTrailers = status.Error(codes.Internal, "the call ended without trailers")

// trailers passes on how the call ended, and what waits for that.
func (x *planned2) trailers(up *ruledUpstream, head *http2.Head) {
	if x.reply != nil && !x.respond() {
		x.turnResponse(x.upstreamStream(), x.reply, false, x.message, head)
		return
	}
	x.mu.Lock()
	if x.told != nil {
		x.unframe()
	}
	x.mu.Unlock()
	x.inline2.trailers(up, head)
}

// respond sends the response's message as the steps leave it. It reports false if
// that is not for it to do.
func (x *planned2) respond() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told == nil || x.message == nil {
		return x.told == nil
	}
	half, seen := &x.told.record.Response, x.r.seen(x.reply, response2)
	seen.begin(half)
	left, ok := x.edit(false, x.message[prefix2:], half)
	if !ok {
		*half = Half{}
		return false
	}
	x.told.record.Status = x.reply.Status
	x.caller.DataFrom(x.upstream)
	x.caller.SendHead(x.reply, false)
	if half.Edited {
		x.caller.SendInPlace(len(x.message), appendMessage2(nil, left, false), false)
	} else {
		x.caller.SendData(x.message, false)
	}
	x.reply, x.message = nil, nil
	return true
}

// unframe makes the bytes that passed a message, if they are one. mu is held.
func (x *planned2) unframe() {
	half := &x.told.record.Response
	b := half.Body.Bytes
	if x.told.record.Status == 0 || half.MessageCount > 0 || len(b) < prefix2 || b[0] != 0 || int64(binary.BigEndian.Uint32(b[1:])) != half.Body.Size-prefix2 {
		return
	}
	copy(b, b[prefix2:])
	half.Body = Payload{Bytes: b[:len(b)-prefix2], Size: half.Body.Size - prefix2, Codec: x.method.Output}
	half.MessageCount = 1
}

// callerReset ends the exchange because the caller has reset its stream.
func (x *planned2) callerReset(code http2.ErrCode, cause error) {
	if y := x.other(); y != nil {
		y.callerReset(code, cause)
		return
	}
	x.inline2.callerReset(code, cause)
}

// upstreamReset is called when the upstream has reset the stream.
func (x *planned2) upstreamReset(u *http2.Stream, code http2.ErrCode) {
	switch y := x.other(); {
	case y != nil:
		y.upstreamReset(u, code)
	case x.begun():
		x.turnEnd(u.Err())
	default:
		x.turnResponse(u, x.reply, false, x.message, nil)
	}
}

// upstreamLost is called when the upstream's connection is gone.
func (x *planned2) upstreamLost(err error) {
	switch y := x.other(); {
	case y != nil:
		y.upstreamLost(err)
	case x.begun():
		x.turnEnd(err)
	default:
		x.turnResponse(x.upstreamStream(), nil, false, nil, nil)
	}
}

// prioritize passes on what the caller says of the stream.
func (x *planned2) prioritize(p http2.Priority, on stream2) {
	if y := x.other(); y != nil {
		y.prioritize(p, on)
	} else if u := x.upstreamStream(); u != nil {
		u.Prioritize(*rank2(p, on))
	}
}

func (x *planned2) upstreamStream() *http2.Stream {
	x.mu.Lock()
	y, u := x.turned, x.upstream
	x.mu.Unlock()
	if y != nil && u == nil {
		return y.upstreamStream()
	}
	return u
}

// other is who carries the call once it was turned, nil if that is x.
func (x *planned2) other() *ruledStream {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.turned
}

// begun reports whether the caller was sent a part of the response.
func (x *planned2) begun() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.told != nil && x.told.record.Status != 0
}
