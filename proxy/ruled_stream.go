package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	nethttp2 "golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// ruledStream is an exchange with a route on a ruled connection: a stream of the
// caller, and the one of the upstream once there is one.
type ruledStream struct {
	exchange
	r      *ruled
	caller *http2.Stream

	// Of the exchange's goroutine.
	fields    []http2.Field // the request's head as it came
	reply     []http2.Field // the response's head as it came
	replyEnds bool          // the head is all of the response
	pumped    bool          // pump was started: somebody sends the request's body until it ends
	expects   bool          // the caller waits for 100 Continue
	continued bool          // it was told so from here, since a step reads the body
	waiting   io.ReadCloser // the request's body, until it is known whether it becomes a WebSocket; nil: it does not wait
	sending   bool          // the request goes to the upstream, which decides now

	// upstream is written once, by the exchange's goroutine and with state held.
	upstream *http2.Stream

	state    sync.Mutex     // guards what follows
	done     bool           // the exchange is finished
	gone     bool           // the caller has reset its stream
	priority http2.Priority // what the caller said last of the stream
	on       stream2        // that it depends on; nil for none, and once it was opened upstream
}

var _ wire = (*ruledStream)(nil)

// found2 is what was found of a request before it was known whether its exchange
// has a story of its own: the match, and what was matched.
type found2 struct {
	match   rules.Match
	err     error
	set     *rules.Generation
	id      string
	started time.Time
}

// adopt makes the exchange the one that the match was of.
func (x *exchange) adopt(found *found2) {
	x.found, x.set = found, found.set
	x.asked.ID, x.record.ID = found.id, found.id
	x.record.Generation, x.record.Started = found.set.Number, found.started
}

// matched is the match that was found, else it looks for it.
func (x *exchange) matched() (rules.Match, error) {
	if x.found != nil {
		return x.found.match, x.found.err
	}
	return x.set.Match(x.ctx, x.record.Call, x.record.Started)
}

// begin opens the exchange of a request and lets it be carried. found is nil for
// a malformed one. It is called by the goroutine that reads the caller.
func (x *ruledStream) begin(head *http2.Head, seen *seenHead, end bool, malformed error, found *found2) {
	x.open(x.r.c, x, arrival{lane: LaneRelay, protocol: HTTP2, head: seen.head, ctx: x.r.c.ctx})
	x.malformed = malformed
	if found != nil {
		x.adopt(found)
	}
	if p := x.caller.Priority(); p.Said {
		x.prioritize(p, x.r.owner(p))
	}
	x.fields = head.Fields
	if !head.Kept {
		x.fields = slices.Clone(head.Fields)
	}
	x.websocket = asksWebSocket2(&head.Request)
	x.expects = !end && strings.EqualFold(valueOf2(head.Fields, "expect"), "100-continue")
	x.caller.Hold()
	x.request.body = body{x: &x.exchange, stream: &callerBody2{x: x}, size: declared2(head.Fields, end)}
	if end {
		x.request.body.stream = http.NoBody
	}
	x.r.held.Add(1)
	x.r.exchanges.Add(1)
	x.p.wait.Go(x.carry)
}

// carry is the goroutine of an exchange with a route.
func (x *ruledStream) carry() {
	defer x.r.exchanges.Done()
	defer x.r.c.contain()
	x.finish(x.guarded())
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
}

// upstreamReset is called when the upstream has reset the stream. The exchange
// has its error already, if it is not over.
func (x *ruledStream) upstreamReset(_ *http2.Stream, code http2.ErrCode) {
	x.state.Lock()
	defer x.state.Unlock()
	if x.done {
		x.caller.Reset(code)
	}
}

// upstreamLost is called when the upstream's connection is gone.
func (x *ruledStream) upstreamLost(error) { x.upstreamReset(nil, http2.InternalError) }

// prioritize notes what the caller says of the stream, or passes it on.
func (x *ruledStream) prioritize(p http2.Priority, on stream2) {
	x.state.Lock()
	u := x.upstream
	if x.priority = p; u == nil && !x.done {
		x.on = on
	}
	x.state.Unlock()
	if u != nil {
		u.Prioritize(*rank2(p, on))
	}
}

func (x *ruledStream) callerStream() *http2.Stream { return x.caller }

func (x *ruledStream) upstreamStream() *http2.Stream {
	x.state.Lock()
	defer x.state.Unlock()
	return x.upstream
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
		x.caller.SendHead(http2.NewHead(made2(http.StatusContinue, nil)), false)
		x.r.link.Flush()
	}
	n, err := b.x.caller.Read(p)
	b.x.shade.half(true).passed(p[:n], err)
	return n, err
}

func (b *callerBody2) Close() error { return nil }

// upstreamBody2 is the body of a response that somebody reads.
type upstreamBody2 struct {
	u      *http2.Stream
	shaded *shaded
}

func (b *upstreamBody2) Read(p []byte) (int, error) {
	n, err := b.u.Read(p)
	b.shaded.passed(p[:n], err)
	return n, asUpstream2(err)
}

func (b *upstreamBody2) Close() error { return nil }
