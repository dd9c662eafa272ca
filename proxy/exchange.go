package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
	"github.com/sluice-proxy/sluice/rules"
)

// exchange is one request and what becomes of it. It belongs to the goroutine
// that its lane runs it on; what others may touch says so.
type exchange struct {
	p    *Proxy
	c    *conn
	wire wire

	// ctx ends when the caller is gone: its stream was reset (HTTP/2) or its
	// connection (HTTP/1, where a half-close is no reason to stop).
	ctx    context.Context //nolint:containedctx // the exchange is what lives as long as it
	cancel context.CancelCauseFunc

	record    Record        // what observers will see; complete when finish hands it over
	asked     rules.Request // record.Call
	set       *rules.Generation
	found     *found2      // the match, where the lane had to know it first; nil: it is looked for
	malformed error        // why the head is refused before it is matched; nil if it is not
	route     *rules.Route // nil: untouched
	params    rules.Params

	shade    *shade // what is kept for a route in shadow; nil: there is none
	inShadow bool   // its own route is one: limits and faults do not act, and new rules do not reach its messages

	kind     callKind         // how gRPC-like the request is
	method   *protobuf.Method // of a gRPC call, once it was looked up
	request  half
	response half

	faulty    bool                // the route's fault is for it, by the message
	breaker   *resilience.Breaker // of the route and destination, if the route has one
	permit    *resilience.Permit  // to ask the upstream; settled when the outcome is known
	succeeded bool                // it was settled at a stream's first message
	deadlines *deadlines          // nil: the route has none
	sent      time.Time           // when the request went to the upstream
	outcome   rules.Outcome       // of the upstream, for the breaker
	began     bool                // the caller has been sent a part of the response
	told      bool                // the caller was sent a status after messages
	late      error               // that status
	end       *callEnd            // what the response of a gRPC-Web or Connect call says at its end; nil if nobody looks
	websocket bool                // the request asks for a WebSocket
	sized     bool                // the request's body has to have a length: it is HTTP/1.0
	unread    bool                // nobody here can read what its ends have agreed on

	// Of a call that is read message by message: callmessage.go.
	readByMessage bool
	schemaErr     error      // why method is nil
	status        rules.Code // $response.grpc_status: of a unary response once it has ended; "" until then
	lastMessage   judged     // from the upstream, for a breaker whose failure reads it

	explains bool // its caller is told which record is of it: explain_live.go
	seesAll  bool // nothing is hidden from the observers: they hide it themselves

	redact atomic.Pointer[rules.Redact] // what is hidden from the observers; nil: nothing. Stored with mu held

	mu     sync.Mutex // guards stream and, between the two directions, record.Error and trailers
	stream streamRules
}

// call is a request of this connection as it was received.
func (c *conn) call(head *rules.Head, kind callKind) rules.Request {
	q := rules.Request{Direction: c.Direction, Head: head, Peer: c.Peer, Destination: c.Destination}
	if kind != callNone {
		q.Service, q.Method = splitMethod(head.Path)
	}
	return q
}

// now is the instant that steps see.
func (x *exchange) now() time.Time {
	if !x.p.instant.IsZero() {
		return x.p.instant
	}
	return time.Now()
}

// touchable reports whether a route could match exchanges like this one, or an
// answer of Sluice's own could be due.
func (x *exchange) touchable() bool { return x.c.mayTouch(x.set.Set) }

// half is what is known of the request or the response on its way through.
type half struct {
	in, out  *rules.Head // as received; to be sent
	body     body
	trailers rules.Fields // of the request guarded by exchange.mu: it may be read longer than the exchange lasts
	messages atomic.Int64 // that passed one by one
}

// arrival is a request as its lane read it.
type arrival struct {
	lane     Lane
	protocol Protocol // GRPC is found out here
	head     *rules.Head
	ctx      context.Context //nolint:containedctx // the parameter of open that it is
	shared   bool            // the exchange ends with ctx alone, and cannot be cancelled on its own
}

// open opens the exchange: its id, its instant, and the rule set that all of it
// will see. finish ends it.
func (x *exchange) open(c *conn, w wire, a arrival) {
	c.users.Add(1)
	c.exchanges.Add(1)
	x.p, x.c, x.wire = c.p, c, w
	x.set = c.p.Rules.Load()
	x.ctx, x.cancel = a.ctx, func(error) {}
	if !a.shared {
		x.ctx, x.cancel = context.WithCancelCause(a.ctx)
	}
	x.kind = callKindOf(a.head, a.protocol)
	x.asked = c.call(a.head, x.kind)
	x.asked.ID = c.p.ids.next()
	if x.kind == callGRPC {
		a.protocol = GRPC
	}
	x.request.in, x.request.out = a.head, a.head
	if c.p.asksToExplain(a.head) {
		x.explained()
	}
	x.record = Record{
		ID:         x.asked.ID,
		Conn:       &c.Conn,
		Protocol:   a.protocol,
		Lane:       a.lane,
		Started:    x.now(),
		Generation: x.set.Number,
		Call:       &x.asked,
	}
}
