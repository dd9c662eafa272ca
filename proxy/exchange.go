package proxy

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
	"github.com/sluice-proxy/sluice/rules"
)

// exchange is one request and what becomes of it. It belongs to the goroutine
// that net/http runs it on; what others may touch says so.
type exchange struct {
	p *Proxy
	c *conn
	w http.ResponseWriter
	r *http.Request

	// ctx ends when the caller is gone: its stream was reset (HTTP/2) or its
	// connection (HTTP/1, where a half-close is no reason to stop).
	ctx    context.Context //nolint:containedctx // the exchange is what lives as long as it
	cancel context.CancelCauseFunc

	record *Record // what observers will see; complete when finish hands it over
	set    *rules.Generation
	route  *rules.Route // nil: untouched
	params map[string]string

	call     callKind         // how gRPC-like the request is
	method   *protobuf.Method // of a gRPC call, once it was looked up
	request  half
	response half

	tunnel    *tunnel             // of CONNECT and Upgrade
	breaker   *resilience.Breaker // of the route and destination, if the route has one
	permit    *resilience.Permit  // to ask the upstream; settled when the outcome is known
	succeeded bool                // it was settled at a stream's first message
	sent      time.Time           // when the request went to the upstream
	answer    *http.Response      // the upstream's, or a fallback
	outcome   rules.Outcome       // of the upstream, for the breaker
	began     bool                // the caller has been sent a part of the response

	callState
}

// The rest of an exchange that is read message by message: call.go.
type callState struct {
	readByMessage bool
	told          bool // the caller was sent a status after messages
	gate          *gate
	joined        callJoin
	calls         *callConn   // whose connection the call took, nil if none yet
	watch         callWatch   // what grpc-go shows of the upstream's half
	schemaErr     error       // why method is nil
	lastMessage   codec.Value // from the upstream, for a breaker whose failure reads it
	callErr       error       // how the call ended; valid once joined

	mu     sync.Mutex // guards stream and, between the two directions, record.Error
	stream streamRules
}

// half is what is known of the request or the response on its way through.
type half struct {
	in, out  *rules.Head // as received; to be sent
	body     body
	trailers rules.Fields // guarded by exchange.mu: the request may be read longer than the exchange lasts
	messages int          // that passed one by one
}

// begin opens the exchange: its id, its instant, and the rule set that all of
// it will see.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	c := r.Context().Value(connKey{}).(*conn)
	c.users.Add(1)
	c.exchanges.Add(1)
	now := time.Now()
	x := &exchange{p: p, c: c, w: w, r: r, set: p.Rules.Load()}
	parent := c.ctx
	protocol := HTTP1
	if r.ProtoMajor == 2 {
		// A stream that was reset ends its exchange. In HTTP/1 net/http ends the
		// request's context when the caller half-closes, which is no reason.
		parent, protocol = r.Context(), HTTP2
	}
	x.ctx, x.cancel = context.WithCancelCause(parent)
	if protocol == HTTP1 {
		_ = http.NewResponseController(w).EnableFullDuplex() // net/http's HTTP/1 always can
	}

	head := requestHead(r)
	x.call = callKindOf(r)
	if x.call == callGRPC {
		protocol = GRPC
	}
	call := &rules.Request{
		ID:          p.ids.next(),
		Direction:   c.Direction,
		Head:        head,
		Peer:        c.Peer,
		Destination: c.Destination,
	}
	if x.call != callNone {
		call.Service, call.Method = splitMethod(head.Path)
	}
	x.request.in, x.request.out = head, head
	x.request.body = body{x: x, stream: r.Body, size: r.ContentLength}
	x.record = &Record{
		ID:         call.ID,
		Conn:       &c.Conn,
		Protocol:   protocol,
		Lane:       LaneExchange,
		Started:    now,
		Generation: x.set.Number,
		Call:       call,
	}
	return x
}

// tooManyFields is a check of the head that net/http does not make.
func tooManyFields(r *http.Request) bool {
	n := 0
	for _, values := range r.Header {
		n += len(values)
	}
	return n > maxFields
}
