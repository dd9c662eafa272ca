package proxy

import (
	"cmp"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
)

// relayed is a stream of a verbatim connection while it is open: from its first
// HEADERS until both sides ended it or one reset it. It is guarded by
// verbatim.mu, and afterwards belongs to the way that ended it.
type relayed struct {
	id    uint32
	ended ended
	told  *told  // what the observers will be told; nil if nobody watches
	err   *Error // how it broke; nil if it did not
}

// ended is which sides of a stream have sent END_STREAM.
type ended uint8

const (
	callerEnded ended = 1 << iota
	upstreamEnded
)

// maxRelayed bounds the open streams of a connection, whatever the peers allow
// each other.
const maxRelayed = 10000

// head looks at a header block that is whole.
func (w *way) head() error {
	seen, err := w.readHead(w.block.Bytes())
	w.block.Drop()
	switch {
	case errors.Is(err, http2.ErrHeadTooLarge):
		return &http2.Error{Code: http2.EnhanceYourCalm, Reason: err.Error()}
	case err != nil:
		return err
	case w.block.Promised != 0:
		return nil // a push is not looked at
	case w.from == OriginUpstream:
		w.response(seen)
		return nil
	case w.block.Stream > w.last && w.block.Stream%2 == 1:
		return w.open(seen)
	}
	w.trailers(seen)
	return nil
}

// open begins a stream with the head of its request.
func (w *way) open(seen *seenHead) error {
	v := w.v
	w.last = w.block.Stream
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.streams) >= maxRelayed {
		return &http2.Error{Code: http2.EnhanceYourCalm, Reason: "too many open streams"}
	}
	var t *told
	if v.observed {
		t = w.describe(seen)
	}
	var s *relayed
	if n := len(v.spare); n > 0 {
		s = v.spare[n-1]
		v.spare = v.spare[:n-1]
	} else {
		s = new(relayed)
	}
	*s = relayed{id: w.last, told: t}
	v.streams[s.id] = s
	v.c.exchanges.Add(1)
	if w.block.End {
		w.end(s)
	}
	return nil
}

// describe begins the record of an exchange.
func (w *way) describe(seen *seenHead) *told {
	c := w.v.c
	t := allTold.Get().(*told)
	call, record := &t.call, &t.record // field by field: a literal of this size is made on the stack and copied
	call.ID, call.Direction, call.Head = c.p.ids.next(), c.Direction, seen.head
	call.Peer, call.Destination = c.Peer, c.Destination
	call.Service, call.Method = seen.service, seen.method
	record.ID, record.Conn, record.Call = call.ID, &c.Conn, call
	record.Protocol, record.Lane = HTTP2, LaneRelay
	record.Started, record.Generation, record.Attempts = w.now, c.p.Rules.Load().Number, 1
	if seen.kind == callGRPC {
		t.record.Protocol = GRPC
	}
	seen.begin(&t.record.Request)
	t.shade = c.shadeOf(c.p.Rules.Load(), call, w.now, nil)
	return t
}

// response takes a response's head, an interim one's or trailers.
func (w *way) response(seen *seenHead) {
	v := w.v
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.streams[w.block.Stream]
	if s == nil {
		return // it was reset meanwhile
	}
	if t := s.told; t != nil {
		switch {
		case t.record.Response.In != nil:
			t.record.Response.Trailers = seen.head.Fields
		case seen.head.Status >= 200:
			seen.begin(&t.record.Response)
			t.record.Status = seen.head.Status
		}
	}
	if w.block.End {
		w.end(s)
	}
}

// trailers takes a request's.
func (w *way) trailers(seen *seenHead) {
	v := w.v
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.streams[w.block.Stream]
	if s == nil {
		return
	}
	if t := s.told; t != nil {
		t.record.Request.Trailers = seen.head.Fields
	}
	if w.block.End {
		w.end(s)
	}
}

// addContent notes a part of what passes of the content of w.stream, and
// whether that ends its side.
func (w *way) addContent(part []byte, ends bool) {
	if !ends && (!w.v.observed || len(part) == 0) {
		return
	}
	v := w.v
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.streams[w.stream]
	if s == nil {
		return
	}
	if s.told != nil && len(part) > 0 {
		s.told.capture(w.from, part, v.c.p.Capture)
	}
	if ends {
		w.end(s)
	}
}

// end notes that src has ended its side of s. v.mu is held.
func (w *way) end(s *relayed) {
	s.ended |= w.side
	s.told.ended(w.from)
	if s.ended == callerEnded|upstreamEnded {
		w.close(s)
	}
}

// close ends s. v.mu is held.
func (w *way) close(s *relayed) {
	delete(w.v.streams, s.id)
	w.done = append(w.done, s)
}

// resetStream takes a RST_STREAM.
func (w *way) resetStream(f *http2.Frame) error {
	v, code := w.v, f.ErrCode()
	v.mu.Lock()
	s := v.streams[f.Stream]
	answered := s != nil && s.ended&upstreamEnded != 0
	if s != nil {
		if !answered {
			s.err = &Error{Origin: w.from, Reason: intercept.WasReset, Err: &http2.Error{Code: code, Stream: f.Stream, Reason: "reset by its peer"}}
			if w.from == OriginCaller && code == http2.Cancel {
				s.err.Reason = "cancelled"
			}
		}
		w.close(s)
	}
	v.mu.Unlock()
	switch {
	case w.from == OriginCaller && s != nil && !answered:
		return w.guard.Reset(w.now)
	case w.from == OriginUpstream && !answered && code != http2.NoError:
		// The caller made it do so, or the other way round; the connection ends
		// either way. NO_ERROR says that the answer did not need the rest.
		return w.back.guard.Reset(w.now)
	}
	return nil
}

// forgetAfter takes an upstream's GOAWAY: it will not look at newer streams.
func (w *way) forgetAfter(f *http2.Frame) {
	v, last := w.v, f.LastStream()
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, s := range v.streams {
		if id > last {
			s.err = &Error{Origin: OriginUpstream, Reason: intercept.WasReset, Err: &http2.Error{Code: f.ErrCode(), Stream: id, Reason: "refused by GOAWAY"}}
			w.close(s)
		}
	}
}

// tell tells the observers of the streams that ended.
func (w *way) tell() {
	if len(w.done) == 0 {
		return
	}
	v := w.v
	for _, s := range w.done {
		if t := s.told; t != nil {
			s.told = nil // first: an observer that panics is not told again, and keeps what it was lent
			v.c.p.Observer.Observe(t.finish(w.now, s.err))
			t.finishShade()
			t.forget()
		}
	}
	v.c.exchanges.Add(-int64(len(w.done)))
	v.mu.Lock()
	for _, s := range w.done {
		*s = relayed{}
		v.spare = append(v.spare, s)
	}
	v.mu.Unlock()
	clear(w.done)
	w.done = w.done[:0]
	if v.c.p.draining.Load() {
		v.goAway() // a connection that began since has had its exchange
	}
}

// cutStreams ends the streams that are still open when the connection ends.
func (v *verbatim) cutStreams() {
	w := &v.toCaller
	w.now = time.Now()
	v.mu.Lock()
	for _, s := range v.streams {
		if s.ended&upstreamEnded == 0 {
			s.err = v.cutError()
		}
		w.close(s)
	}
	v.mu.Unlock()
	v.toUpstream.tell() // of what had ended when a panic ended the way
	w.tell()
}

// ended notes that a side has ended its connection, before the other one can
// know of it.
func (v *verbatim) ended(by Origin) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.endedFirst = cmp.Or(v.endedFirst, by)
}

// cutError is why an exchange ended with its connection. Who ended that first
// is to blame, whatever the other side made of it.
func (v *verbatim) cutError() *Error {
	var e *Error
	switch {
	case v.c.failure() != nil:
		return asError(v.c.failure())
	case v.blamed != nil:
		return &Error{Origin: v.blamed.from, Reason: intercept.Protocol, Err: v.err}
	case errors.As(v.err, &e) && (e.Origin == v.endedFirst || v.endedFirst == ""):
		return e
	case v.endedFirst == OriginCaller:
		return &Error{Origin: OriginCaller, Reason: "cancelled", Err: v.err}
	}
	return &Error{Origin: OriginUpstream, Reason: intercept.WasReset, Err: v.err}
}
