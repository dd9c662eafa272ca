package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/rules"
)

// This file is what an exchange with a route does with its bytes, in a
// goroutine of its own.

// send implements [wire].
func (x *ruledStream) send() error {
	x.startDeadlines()
	x.sent, x.sending = time.Now(), true
	body, _ := x.request.body.outgoing()
	fields := edited2(x.fields, x.request.in, x.request.out, editedLength2(&x.request.body))
	end := body == http.NoBody
	if err := x.openUpstream(http2.NewHead(fields), end); err != nil {
		return err
	}
	switch {
	case end:
	case x.websocket && x.route != nil && (x.route.Request() != nil || x.route.Response() != nil):
		x.waiting = body // its messages meet steps once both have agreed, not before
	default:
		x.upload(body)
	}
	x.r.link.Flush()
	for {
		head, end, err := x.upstream.ReadHead()
		if err != nil {
			return asUpstream2(err)
		}
		if head.Status < 200 {
			if head.Status != http.StatusContinue || !x.continued {
				x.caller.SendHead(head, false)
				x.r.link.Flush()
			}
			continue
		}
		x.replied(head, end)
		return nil
	}
}

// openUpstream opens the exchange's stream. A connection that turns out to be
// going away before that does not count.
func (x *ruledStream) openUpstream(head *http2.Head, end bool) error {
	for range maxUnsent {
		up, err := x.r.connected(x.ctx)
		if err != nil {
			return err
		}
		x.state.Lock()
		p, on := x.priority, x.on
		x.state.Unlock()
		u, err := up.hop.Open(x, nil, head, end, rank2(p, on))
		if err != nil {
			x.r.forget(up, false)
			continue
		}
		x.record.Attempts = 1
		x.state.Lock()
		x.upstream = u
		gone := x.gone
		late, on := x.priority != p, x.on
		p = x.priority
		x.on = nil
		x.state.Unlock()
		if gone {
			u.Reset(http2.Cancel)
		}
		if timeout := x.timedOut(); timeout != nil {
			u.Interrupt(timeout) // expire saw no stream
		}
		if late { // it was said meanwhile
			u.Prioritize(*rank2(p, on))
		}
		return nil
	}
	return &Error{Origin: OriginUpstream, Reason: intercept.WasReset, Err: errors.New("every connection was going away")}
}

// What the content-length of a head becomes, if not a length.
const (
	lengthStays = -1
	lengthGoes  = -2 // nobody knows it
)

// editedLength2 is the content-length that a head gets for its body.
func editedLength2(b *body) int64 {
	switch {
	case b.messages != nil:
		return lengthGoes
	case b.isEdited:
		return int64(len(b.edited))
	}
	return lengthStays
}

// upload sends the request's body: what is at hand at once, else as it comes,
// in a goroutine.
func (x *ruledStream) upload(body io.ReadCloser) {
	x.pumped = true
	if x.request.body.whole || x.request.body.isEdited {
		if body.(*bytesBody).Len() <= atOnce {
			x.pump(body)
			return
		}
	}
	x.r.exchanges.Add(1)
	x.p.wait.Go(func() {
		defer x.r.exchanges.Done()
		defer x.r.c.contain()
		x.pump(body)
	})
}

// atOnce is how much of a body is sent without waiting for windows: no more than
// may wait in a stream.
const atOnce = 16 << 10

// pump copies the request's body upstream. An error of either side is met by the
// exchange, which waits for the response.
func (x *ruledStream) pump(body io.Reader) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := readOn(body, *buf)
		x.deadlines.moved()
		last := errors.Is(err, io.EOF)
		if ownError(err) {
			x.upstream.Reset(http2.Cancel) // which wakes the exchange, that has the error
			x.caller.Discard()
			return
		}
		var trailers *http2.Head
		if last {
			trailers = x.caller.Trailers()
		}
		if n > 0 || last && trailers == nil {
			if x.upstream.Write((*buf)[:n], last && trailers == nil) != nil {
				x.caller.Discard()
				return
			}
		}
		if err != nil {
			if trailers != nil {
				x.mu.Lock()
				x.request.trailers = fields2(trailers.Fields)
				x.mu.Unlock()
				x.upstream.SendTrailers(trailers)
				x.r.link.Flush()
			}
			return
		}
	}
}

// readOn reads from a body. The end of one at hand comes with its last bytes, so
// that both leave in one frame.
func readOn(body io.Reader, b []byte) (int, error) {
	n, err := body.Read(b)
	if at, ok := body.(*bytesBody); ok && err == nil && at.Len() == 0 {
		err = io.EOF
	}
	return n, err
}

// replied notes the head of a final response.
func (x *ruledStream) replied(d *http2.Head, end bool) {
	x.reply, x.replyEnds = d.Fields, end
	head := responseHead2(d.Status, d.Fields)
	x.response.in, x.response.out = head, x.pointed(head)
	x.response.body = body{x: &x.exchange, stream: &upstreamBody2{x.upstream, x.shade.half(false)}, size: declared2(d.Fields, end)}
	if end {
		x.response.body.stream = http.NoBody
	}
	x.headCame()
}

// cutShort ends a response, a part of which has left, with err: as gRPC does it,
// if it can.
func (x *ruledStream) cutShort(err error) error {
	failed, ok := x.endFailed(err)
	if !ok {
		return err
	}
	x.caller.SendTrailers(http2.NewHead(lower2(failed)))
	x.r.link.Flush()
	return nil
}

// respond implements [wire].
func (x *ruledStream) respond() error {
	fallback := x.record.Answered == answeredFallback
	x.judgeBody()
	body, size := x.response.body.outgoing()
	if fallback && size == 0 {
		body = http.NoBody
	}
	end := body == http.NoBody && (x.replyEnds || fallback && x.response.trailers == nil)
	switch {
	case !x.stepsTrailers():
	case end && x.trailersOnly():
		if err := x.stepTrailersOnly(); err != nil {
			return err
		}
	case end && x.hasBody() && x.trailersBehind():
		end = false // there may be trailers
	case end || !x.trailersBehind():
		x.skipTrailers()
	}
	fields := x.outgoingReply(fallback, size)
	x.record.Status = x.response.out.Status
	x.began = true
	x.caller.SendHead(http2.NewHead(fields), end)
	switch {
	case end:
		x.r.link.Flush()
		return nil
	case x.waiting != nil && x.readsWebSocket():
		return x.passWebSocket() // websocket_sides.go
	case x.waiting != nil:
		x.upload(x.waiting)
	}
	return x.download(body)
}

// trailers are those of the response as they leave, nil for none.
func (x *ruledStream) trailers() (*http2.Head, error) {
	var came *http2.Head
	switch {
	case x.record.Answered != answeredFallback:
		came = x.upstream.Trailers()
	case x.response.trailers != nil:
		came = http2.NewHead(lower2(x.response.trailers))
	}
	var seen rules.Fields
	if came != nil {
		seen = fields2(came.Fields)
	}
	if !x.trailersBehind() {
		if len(seen) > 0 {
			x.record.Response.Trailers = seen
		}
		return came, nil
	}
	if err := x.stepEnd(seen); err != nil {
		failed, ok := x.endFailed(err)
		if !ok {
			return nil, err
		}
		return http2.NewHead(lower2(failed)), nil
	}
	switch out, same := x.trailersOut(); {
	case same:
		return came, nil
	case len(out) == 0:
		return nil, nil //nolint:nilnil // as documented: there are none
	default:
		return http2.NewHead(lower2(out)), nil
	}
}

// outgoingReply is the response's head as it leaves.
func (x *ruledStream) outgoingReply(fallback bool, size int64) []http2.Field {
	b, head := &x.response.body, x.response.out
	if fallback {
		fields := made2(head.Status, head.Fields)
		if size >= 0 && !bodiless(head.Status) {
			fields = append(fields, http2.Field{Name: "content-length", Value: strconv.FormatInt(size, 10)})
		}
		return fields
	}
	fields := edited2(x.reply, x.response.in, head, editedLength2(b))
	if noBody := x.request.in.Method == http.MethodHead || head.Status == http.StatusNotModified; noBody && x.touchesResponse() {
		kept := make([]http2.Field, 0, len(fields))
		for _, f := range fields { // the length of what the steps would leave is not known
			if f.Name != "content-length" {
				kept = append(kept, f)
			}
		}
		return kept
	}
	return fields
}

// download copies the response's body to the caller as it comes.
func (x *ruledStream) download(body io.Reader) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if u := x.upstream; u != nil && !u.Buffered() {
		x.r.link.Flush() // the head does not wait for the body
	}
	for {
		n, err := readOn(body, *buf)
		x.deadlines.moved()
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return x.cutShort(x.upstreamFailed(err))
		}
		var tail *http2.Head
		if last {
			var err error
			if tail, err = x.trailers(); err != nil {
				return err
			}
		}
		if n > 0 || last && tail == nil {
			if x.caller.Write((*buf)[:n], last && tail == nil) != nil {
				return x.callerGone()
			}
			if n > 0 {
				x.streamed()
			}
		}
		if last {
			if tail != nil {
				x.caller.SendTrailers(tail)
				x.r.link.Flush()
			}
			return nil
		}
	}
}

// answer implements [wire].
func (x *ruledStream) answer(a *answer) {
	fields := append(x.pointer(), rules.Field{Name: errorHeader, Value: a.headerValue()})
	if a.retryAfter > 0 {
		fields = append(fields, rules.Field{Name: "retry-after", Value: strconv.Itoa(a.retryAfter)})
	}
	if x.kind == callGRPC {
		n, _ := a.code.Number()
		fields = append(fields,
			rules.Field{Name: "content-type", Value: x.request.in.Fields.Get("Content-Type")},
			rules.Field{Name: "grpc-status", Value: strconv.Itoa(n)},
			rules.Field{Name: "grpc-message", Value: rules.EncodeGRPCMessage(a.message)})
		x.caller.SendHead(http2.NewHead(made2(http.StatusOK, fields)), true)
		return
	}
	status, more, body := x.said(a) // webend.go
	head := http2.NewHead(append(made2(status, append(fields, more...)), http2.Field{Name: "content-length", Value: strconv.Itoa(len(body))}))
	if x.request.in.Method == http.MethodHead {
		x.caller.SendHead(head, true)
		return
	}
	x.caller.SendHead(head, false)
	x.caller.SendData(body, true)
}

// finished implements [wire].
func (x *ruledStream) finished(err error, abort bool) {
	x.state.Lock()
	u := x.upstream
	x.done, x.on = true, nil
	x.state.Unlock()
	x.settleStreams(u, abort, err != nil || x.record.Answered != "")
	x.r.link.FlushTogether() // before it counts no more: else a reset of the connection may overtake it
	x.r.held.Add(-1)
	x.r.maybeLeave()
	x.r.link.Flush()
}

// settleStreams leaves nothing open but what the two peers may still say. local
// means that the end was Sluice's word.
func (x *ruledStream) settleStreams(u *http2.Stream, abort, local bool) {
	if u != nil && (abort || local) {
		u.Reset(http2.Cancel)
	}
	if u != nil {
		u.Discard()
	}
	switch {
	case abort:
		x.caller.Reset(abortCode2(u))
	case x.caller.PeerEnded():
	case u == nil || local:
		x.caller.Reset(http2.NoError) // the rest of the request is of no use
	case u.Err() != nil:
		x.caller.Reset(abortCode2(u))
	case x.pumped:
		return // pump goes on until the caller or the upstream ends
	default:
		x.caller.Reset(http2.NoError)
		u.Reset(http2.Cancel)
	}
	x.caller.Discard()
}

// abortCode2 is the code that a caller's stream is reset with: the one that the
// upstream reset its own with.
func abortCode2(u *http2.Stream) http2.ErrCode {
	if u == nil {
		return http2.InternalError
	}
	return resetCode2(u.Err())
}

// resetCode2 is the code that a stream is reset with because another one ended
// with err.
func resetCode2(err error) http2.ErrCode {
	var e *http2.Error
	if errors.As(err, &e) && e.Reason == http2.ResetByPeer {
		return e.Code
	}
	return http2.InternalError
}
