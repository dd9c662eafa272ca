package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
	"github.com/sluice-proxy/sluice/rules"
)

// This file answers what would become of an exchange: it runs the story of
// flow.go in a lane without a wire, with breakers of its own and observers of its
// own, so that what explains is what decides.

// Question is an exchange to explain.
type Question struct {
	Direction   rules.Direction
	Peer        netip.AddrPort
	Destination netip.AddrPort // its port is match.port

	Head *rules.Head // of the request
	// Body is the request's, as on the wire. Of a gRPC call, it is one message
	// in JSON.
	Body     []byte
	Messages [][]byte // of a gRPC stream, each in JSON, in place of Body; nil: Body is the one

	Response         *rules.Head  // nil: the request alone is explained
	ResponseBody     []byte       // as Body
	ResponseMessages [][]byte     // as Messages
	ResponseCode     rules.Code   // how a gRPC call ends; "" for OK
	ResponseTrailers rules.Fields // behind the body; without the status of a call

	Failure string        // why there is no response: refused, timeout ...; "": there is one
	Took    time.Duration // how long the upstream takes, as its breaker sees it

	Now time.Time // of the exchange; zero: the clock's
}

// Explanation is what would become of an exchange.
type Explanation struct {
	Record     *Record // as observers would be told; the caller may keep it
	Params     map[string]string
	Candidates []rules.Candidate
	Messages   []*Message // of streams, and what became of each

	Request, Response Way
	Answer            *Answer      // what Sluice itself would say to the caller; nil: nothing
	Sent, Returned    []byte       // bodies as they would leave, but for those of gRPC calls
	Breaker           BreakerState // that would be asked, as it is now; the zero one if there is none
}

// Way is how steps ran on a message. The zero Way: none looks at it.
type Way struct {
	InPlace bool   // by a plan, on the message's bytes
	Why     string // not in place, and why: they ran on its value
}

// Answer is an answer of Sluice's own.
type Answer struct {
	Status  int
	GRPC    rules.Code
	Message string
	Error   string       // the value of x-sluice-error
	Fields  rules.Fields // of HTTP, x-sluice-error among them
	Body    []byte       // of HTTP
}

// explainedBody bounds what is kept of bodies that are explained.
const explainedBody = 16 * codec.MiB

// Explain says what would become of q now. Nothing is sent, no breaker counts it
// and no observer is told; but the server of a gRPC call may be asked for its
// descriptors, as it would be. The error is of the question.
func (p *Proxy) Explain(ctx context.Context, q Question) (*Explanation, error) {
	e, err := Explain(ctx, p.Config, q)
	if err != nil || e.Record.Breaker == "" {
		return e, err
	}
	e.Breaker = BreakerState{Name: e.Record.Breaker, State: string(resilience.Closed)} // as one that was not used yet
	for _, b := range p.Breakers() {
		if b.Name == e.Record.Breaker {
			e.Breaker = b
		}
	}
	return e, nil
}

// Explain says what a Proxy made of cfg would do with q. Of cfg it needs no
// listener.
func Explain(ctx context.Context, cfg Config, q Question) (*Explanation, error) {
	r := NewRehearsal(cfg)
	defer r.Close()
	e, x, err := r.explain(ctx, q)
	if err != nil {
		return nil, err
	}
	e.Candidates = x.set.Candidates(ctx, x.record.Call, x.record.Started, x.found.match, x.found.err)
	if x.route != nil {
		e.Request, e.Response = x.wayOf(true, e), x.wayOf(false, e)
		x.bodiesAfter(&e.Record.Request.Body, rules.Whole, 0, true, e.Record.Request.Steps)
		x.bodiesAfter(&e.Record.Response.Body, rules.Whole, 0, false, e.Record.Response.Steps)
		for _, m := range e.Messages {
			x.bodiesAfter(&m.In, rules.StreamMessage, m.Index, !m.Upstream, m.Steps)
		}
	}
	x.hideExplained(e)
	return e, nil
}

// Rehearsal is a Proxy without a wire that explains one exchange after the other:
// its breakers count them. It is for one goroutine.
type Rehearsal struct{ p *Proxy }

// NewRehearsal makes a Rehearsal of cfg, of which it needs no listener. Close ends
// it.
func NewRehearsal(cfg Config) *Rehearsal {
	cfg.Capture = explainedBody
	p := &Proxy{Config: cfg.withDefaults(), breakers: resilience.NewGroup(nil), watched: true, stepClock: time.Now}
	p.dialer = &intercept.Dialer{Mark: p.Mark, Timeout: p.ConnectTimeout}
	return &Rehearsal{p}
}

// Close ends the rehearsal.
func (r *Rehearsal) Close() { r.p.breakers.Close() }

// Breakers lists the breakers that exist, by name.
func (r *Rehearsal) Breakers() []BreakerState { return r.p.Breakers() }

// Exchange says what would become of q, without saying why: candidates, ways and the
// bodies after steps that ran in place are not there. It hides nothing, since what it
// is asked about is made up. The error is of the question.
func (r *Rehearsal) Exchange(ctx context.Context, q Question) (*Explanation, error) {
	e, _, err := r.explain(ctx, q)
	return e, err
}

func (r *Rehearsal) explain(ctx context.Context, q Question) (*Explanation, *exchange, error) {
	if q.Head == nil {
		return nil, nil, errors.New("explain: no request")
	}
	told, p := new(listening), r.p
	p.Observer, p.instant = told, q.Now
	x := &dryLane{exchange: new(exchange), q: &q}
	x.seesAll = true // steps may run on it again
	protocol := HTTP1
	if media := mediaType(q.Head); media == "application/grpc" || strings.HasPrefix(media, "application/grpc+") {
		protocol = HTTP2
	}
	x.open(p.dryConn(ctx, &q), x, arrival{lane: LaneNone, protocol: protocol, head: q.Head, ctx: ctx})
	x.request.body = dryBody(x.exchange, q.Body)
	m, err := x.set.Match(ctx, x.record.Call, x.record.Started)
	x.found = &found2{m, err, x.set, x.record.ID, x.record.Started}
	e := &Explanation{Params: m.Params.Map()}
	if err = x.guarded(); errors.Is(err, errNotAsked) {
		err = nil
	}
	if x.problem != nil {
		x.cancel(errFinished)
		return nil, nil, fmt.Errorf("explain: %w", x.problem)
	}
	x.finish(err)
	e.Record, e.Messages, e.Answer = told.record, told.messages, x.answered
	e.Sent, e.Returned = x.sentBody, x.returned
	return e, x.exchange, nil
}

// dryConn is the connection that a question's exchange might have come on: to its
// destination, or to the upstream of an explicit listener where there are no other
// ones in its direction.
func (p *Proxy) dryConn(ctx context.Context, q *Question) *conn {
	c := &conn{p: p, listener: &Listener{Direction: q.Direction}, done: make(chan struct{})}
	c.Conn = Conn{Direction: q.Direction, Peer: q.Peer, Destination: q.Destination, Opened: time.Now()}
	for i := range p.Listeners {
		l := &p.Listeners[i]
		if l.Direction == q.Direction && (c.Listener == "" || l.Upstream == "") {
			c.listener, c.Listener, c.Upstream = l, l.Name, l.Upstream
		}
	}
	if c.Upstream != "" {
		c.Destination = placeOf(c.Upstream)
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.users.Store(1)
	return c
}

func dryBody(x *exchange, data []byte) body {
	return body{x: x, stream: io.NopCloser(bytes.NewReader(data)), size: int64(len(data))}
}

// listening is the observer of one exchange that is explained.
type listening struct {
	record   *Record
	messages []*Message
}

// Observe implements [Observer].
func (l *listening) Observe(e Event) {
	switch e := e.(type) {
	case *Record:
		l.record = e.Clone()
	case *Message:
		l.messages = append(l.messages, e.Clone())
	}
}

// wayOf says how the steps of a half ran.
func (x *exchange) wayOf(fromCaller bool, e *Explanation) Way {
	h, steps, reports := &x.response, x.route.Response(), e.Record.Response.Steps
	if fromCaller {
		h, steps, reports = &x.request, x.route.Request(), e.Record.Request.Steps
	}
	for _, m := range e.Messages {
		if m.Upstream != fromCaller {
			reports = append(reports[:len(reports):len(reports)], m.Steps...)
		}
	}
	if len(reports) == 0 || !touches(steps) {
		return Way{}
	}
	if slices.ContainsFunc(reports, func(r rules.StepReport) bool { return r.InPlace }) {
		return Way{InPlace: true}
	}
	format := h.body.codec
	if x.readByMessage {
		if format = x.outputCodec(); fromCaller {
			format = x.inputCodec()
		}
	}
	if m := h.body.messages; m != nil && m.form == nil {
		format = m.format
	}
	switch why := steps.Why(); {
	case why != "":
		return Way{Why: why}
	case format == nil:
		return Way{} // nothing was read
	case x.translates():
		return Way{Why: "it is turned into another format"}
	case !steps.RunsOn(format):
		return Way{Why: "nothing of " + format.Name() + " is edited in place"}
	}
	return Way{Why: "this very message leaves room for doubt"}
}

// bodiesAfter runs steps that ran in place again, on the value, for the bodies
// after each of them.
func (x *exchange) bodiesAfter(p *Payload, phase rules.Phase, index int, fromCaller bool, reports []rules.StepReport) {
	inPlace := slices.ContainsFunc(reports, func(r rules.StepReport) bool { return r.InPlace })
	if !inPlace || p.Codec == nil || !p.Whole() {
		return
	}
	value, _, err := p.Codec.Decode(p.Bytes, codec.Limits{Size: explainedBody})
	if err != nil {
		return
	}
	steps, h := x.route.Request(), &x.request
	in := rules.In{
		Phase: phase, Request: x.record.Call, Params: x.params, Body: rules.Body{Value: value}, Index: index, Now: x.record.Started,
	}
	if !fromCaller {
		steps, h = x.route.Response(), &x.response
		in.Response = h.in
	}
	in.Head = h.in
	out, _ := steps.Run(context.WithoutCancel(x.ctx), in)
	for i := range min(len(reports), len(out.Steps)) {
		if reports[i].Step == out.Steps[i].Step && reports[i].InPlace {
			reports[i].Body = out.Steps[i].Body
		}
	}
}
