package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// respond sends the response to the caller: the head, the body as it comes,
// and the trailers.
func (x *netLane) respond() error {
	if x.tunnel != nil && x.tunnel.opened {
		return x.pass() // tunnel.go: CONNECT and Upgrade
	}
	if x.record.Answered == answeredFallback {
		x.answered = x.fallenBack() //nolint:bodyclose // its body is x.response.body
	}
	switch {
	case x.stepsTrailers() && x.trailersOnly():
		if err := x.stepTrailersOnly(); err != nil {
			return err
		}
	case !x.trailed():
		x.skipTrailers()
	}
	x.judgeBody()
	body, size := x.response.body.outgoing()
	defer body.Close()
	x.sendHead(x.response.out, size)
	if err := x.copyBody(body, size); err != nil {
		failed, ok := x.endFailed(err)
		if !ok {
			return err
		}
		x.sendTrailers(header(failed))
		return nil
	}
	return x.endResponse()
}

// sendHead writes the head of the response. Date and Content-Type are not made
// up where the upstream sent none.
func (x *netLane) sendHead(head *rules.Head, size int64) {
	h := x.w.Header()
	for name, values := range header(head.Fields, "Date", "Content-Type") {
		h[name] = values
	}
	bodiless := x.r.Method == http.MethodHead || head.Status == http.StatusNotModified
	switch {
	case bodiless:
		h["Content-Length"] = x.answered.Header["Content-Length"]
		if x.touchesResponse() {
			h["Content-Length"] = nil // the length of what the steps would leave is not known
		}
	case x.saysLength(size):
		setLength(h, size)
	default:
		h["Content-Length"] = nil
	}
	if x.answered.Close || x.p.draining.Load() {
		h["Connection"] = []string{"close"}
	}
	for name := range x.answered.Trailer {
		h.Add("Trailer", name)
	}
	x.record.Status = head.Status
	x.began = true
	x.w.WriteHeader(head.Status)
}

// saysLength reports whether the response's length is declared. Where HTTP/1
// has no other way to frame an empty body but a length or a chunk, HTTP/2 has.
func (x *netLane) saysLength(size int64) bool {
	if size < 0 || x.response.out.Status == http.StatusNoContent {
		return false
	}
	if x.c.protocol == HTTP1 {
		return len(x.answered.Trailer) == 0 && !x.trailed()
	}
	_, said := x.answered.Header["Content-Length"]
	return said || x.response.body.isEdited || x.record.Answered == answeredFallback
}

// touchesResponse reports whether the route could edit the response's body.
func (x *exchange) touchesResponse() bool {
	return x.route != nil && (x.route.Response().Needs().Edits || x.translates())
}

// headPatience is how long a head waits for the first bytes of its body, so
// that both leave together.
const headPatience = time.Millisecond

// soon flushes a head whose body is late. Nothing else may write until stop.
type soon struct {
	timer *time.Timer
	mu    sync.Mutex // guards over, and flushing
	over  bool
}

func flushSoon(flush func() error) *soon {
	s := new(soon)
	s.timer = time.AfterFunc(headPatience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.over {
			_ = flush() // an error is met again by what follows
		}
	})
	return s
}

func (s *soon) stop() {
	if s.timer.Stop() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// copyBody passes the body on as it comes: whatever has arrived is flushed
// before the next wait.
func (x *netLane) copyBody(body io.Reader, size int64) error {
	flush := http.NewResponseController(x.w).Flush
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	flushed := false
	head := flushSoon(flush)
	for copied := int64(0); ; {
		n, err := body.Read(*buf)
		x.deadlines.moved()
		head.stop()
		if n > 0 {
			if _, werr := x.w.Write((*buf)[:n]); werr != nil {
				return x.callerGone()
			}
			copied += int64(n)
			if copied != size {
				if flush() != nil {
					return x.callerGone()
				}
				flushed = true
			}
			x.streamed()
		}
		switch {
		case err == io.EOF:
			if !flushed && len(x.answered.Trailer) > 0 {
				_ = flush() // trailers after no data need a head of their own
			}
			return nil
		case err != nil:
			return x.upstreamFailed(err)
		case n == 0 && !flushed:
			_ = flush()
		}
	}
}

// trailed reports whether steps may leave trailers behind the body: in HTTP/1 only
// behind one in chunks.
func (x *netLane) trailed() bool {
	if !x.trailersBehind() || !x.hasBody() || x.trailersOnly() {
		return false
	}
	return x.c.protocol != HTTP1 || x.fronted() && (slices.Contains(x.answered.TransferEncoding, "chunked") ||
		x.response.body.messages != nil && x.answered.ContentLength >= 0 && x.answered.ProtoAtLeast(1, 1))
}

// endResponse runs the steps over the trailers and sends them.
func (x *netLane) endResponse() error {
	if !x.trailed() {
		x.sendTrailers(x.answered.Trailer)
		if len(x.answered.Trailer) > 0 {
			x.record.Response.Trailers = endToEnd(x.answered.Trailer)
		}
		return nil
	}
	err := x.stepEnd(endToEnd(x.answered.Trailer))
	out, _ := x.trailersOut()
	if err != nil {
		var ok bool
		if out, ok = x.endFailed(err); !ok {
			_ = http.NewResponseController(x.w).Flush() // what was sent so far: the abort is of its end
			return err
		}
	}
	x.sendTrailers(header(out))
	return nil
}

// sendTrailers passes trailers on: those that were announced by name, others
// by net/http's prefix.
func (x *netLane) sendTrailers(trailer http.Header) {
	if len(trailer) == 0 {
		return
	}
	h := x.w.Header()
	announced := h["Trailer"]
	for name, values := range trailer {
		known := false
		for _, a := range announced {
			known = known || a == name
		}
		if !known {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// streamed is told that a part of the body went on. The breaker counts a stream of
// calls' messages or events as a success at its first message.
func (x *exchange) streamed() {
	if x.permit == nil || x.response.body.size >= 0 || x.kind != callGRPC && x.end == nil && !strings.HasPrefix(x.response.in.Fields.Get("Content-Type"), "text/event-stream") {
		return
	}
	x.succeedEarly()
}

// abortOf says whether err must end in an abort because a part of the response
// has left, or because nothing but a reset tells the truth.
func (x *exchange) abortOf(err error) bool {
	if err == nil || x.told {
		return false
	}
	if x.began || x.c.ctx.Err() != nil {
		return true
	}
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Origin {
	case OriginCaller:
		return e.Reason == "cancelled" || e.Reason == "reset"
	case OriginUpstream:
		return x.route == nil // refused stays refused, reset stays reset
	}
	return false
}
