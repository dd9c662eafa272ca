package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/rules"
)

// This file runs the steps of routes in shadow: the story of flow.go on what was
// kept of an exchange, in the lane without a wire that also explains.

const (
	shadowTime = 5 * time.Second      // that one exchange may take, with asking for its descriptors
	shadowRest = 2 * time.Millisecond // of work, after which as long is rested
)

// work runs what is in the queue, one after the other, until ctx ends.
// It rests as long as it works, so that at most half a processor is taken from
// the traffic.
func (s *shadows) work(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	<-rest.C
	var owed time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-s.queue:
			sock.Tell() // who has read quietly before may be waited for
			began := time.Now()
			s.run(ctx, h)
			owed += time.Since(began)
		}
		if owed < shadowRest {
			continue
		}
		rest.Reset(owed)
		owed = 0
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
	}
}

// run tells what h's route would have done.
func (s *shadows) run(ctx context.Context, h *shade) {
	defer func() {
		h.forget()
		if v := recover(); v != nil {
			s.p.Log.Error("panic in a route in shadow", "id", h.call.ID, "route", h.match.Route.Name(), "panic", fmt.Sprintf("%.64v", v))
			h.say(&Shadowed{Outcome: ShadowError, Reason: string(rules.ReasonPanic)})
		}
	}()
	if f := h.failed; f != nil {
		h.say(&Shadowed{Outcome: ShadowError, Reason: string(f.Reason), Step: f.Step})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shadowTime)
	defer cancel()
	h.say(h.outcome(ctx))
}

// errCut ends a body of which not all was kept.
var errCut = errors.New("not all of it was kept")

// outcome runs the steps.
func (h *shade) outcome(ctx context.Context) *Shadowed {
	told := new(listening)
	cfg := h.of.p.Config
	cfg.Observer, cfg.Capture = told, shadeBody
	p := &Proxy{Config: cfg, dialer: h.of.p.dialer, breakers: resilience.NewGroup(nil), watched: true, stepClock: time.Now}
	c := &conn{p: p, Conn: h.conn, listener: h.listener, protocol: h.protocol, done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	defer c.cancel(errFinished)
	c.users.Store(1)

	x := &dryLane{exchange: new(exchange), q: &Question{Head: h.call.Head, Response: h.reply}, shade: h}
	x.open(c, x, arrival{lane: LaneNone, protocol: h.protocol, head: h.call.Head, ctx: c.ctx})
	x.adopt(&found2{match: h.match, set: h.set, id: h.call.ID, started: h.started})
	x.inShadow, x.seesAll, x.websocket = true, true, h.websocket
	x.hides(h.redact)
	x.request.body = h.request.body(x.exchange)
	err := x.guarded()
	cut := errors.Is(err, errCut)
	if cut || errors.Is(err, errNotAsked) {
		err = nil
	}
	x.finish(err)
	e := &Shadowed{Answer: x.answered}
	h.classify(e, told, err, cut)
	e.Steps = bare(e.Steps, told.record.Request.Steps)
	e.Steps = bare(e.Steps, told.record.Response.Steps)
	for _, m := range told.messages {
		e.Steps = bare(e.Steps, m.Steps)
	}
	if e.Outcome != ShadowUnchanged && h.of.tally.samples(h.match.Route.Name(), e.Outcome, h.set.Set) {
		e.Record, e.Messages = told.record, told.messages
		x.hideSample(e)
	}
	return e
}

// hideSample hides from a sample what the exchange's route and the one in shadow
// redact.
func (x *exchange) hideSample(e *Shadowed) {
	r := x.redact.Load()
	if r == nil {
		return
	}
	h := hider{x, r}
	h.record(e.Record)
	for _, m := range e.Messages {
		h.message(m)
	}
}

// classify says what came of it, with the error that the exchange ended with. cut
// says that the steps have not seen all that passed.
func (h *shade) classify(e *Shadowed, told *listening, err error, cut bool) {
	r := told.record
	var reject *rejection
	switch {
	case errors.As(err, &reject):
		e.Outcome, e.Step = ShadowReject, reject.Step
	case r.Error != nil && errors.Is(r.Error.Err, errCut):
		e.Outcome, e.Reason = ShadowSkipped, h.whyCut()
	case r.Error != nil:
		e.Outcome, e.Reason, e.Step = ShadowError, r.Error.Reason, r.Error.Step
	case changed(&r.Request) || changed(&r.Response) || slices.ContainsFunc(told.messages, func(m *Message) bool { return m.Edited }):
		e.Outcome = ShadowChange
	case cut:
		e.Outcome, e.Reason = ShadowSkipped, h.whyCut()
	case h.websocket && (h.request.wanted || h.response.wanted):
		e.Outcome, e.Reason = ShadowSkipped, "websocket"
	default:
		e.Outcome = ShadowUnchanged
	}
}

// whyCut is why not all of the exchange was there.
func (h *shade) whyCut() string {
	if h.request.cut || h.response.cut {
		return "too_large"
	}
	return "cut_short"
}

// changed reports whether a half would have left differently.
func changed(h *Half) bool {
	return h.Edited || h.TrailersOut != nil || h.In != nil && h.Out != nil && h.In != h.Out && !sameHead(h.In, h.Out)
}

func sameHead(a, b *rules.Head) bool {
	return a.Method == b.Method && a.Path == b.Path && a.Query == b.Query && a.Host == b.Host && a.Status == b.Status &&
		slices.Equal(a.Fields, b.Fields)
}

// shadedAnswer takes the response of a call that was kept through its steps. done
// says that it has no trailers of its own; cut is errCut if the request was not
// kept whole.
func (x *dryLane) shadedAnswer(cut error) (done bool, err error) {
	h := x.shade
	only := len(h.trailers) == 0
	status := codeOfStatus(h.trailers.Get("Grpc-Status"))
	if only {
		status = codeOfStatus(h.reply.Fields.Get("Grpc-Status"))
	}
	if only || x.method != nil && !x.method.ServerStreaming {
		x.status = cmp.Or(status, h.status) // else it comes after the messages
	}
	ends := only && status != ""
	if err = x.callHalf(false, nil, nil); ends && errors.Is(err, errCut) {
		err = nil // there were no messages to be cut
	}
	if err != nil || !ends || cut != nil {
		return err != nil, err
	}
	return true, x.stepTrailersOnly()
}

// trails reports whether the response has room for trailers.
func (h *shade) trails() bool {
	return h.protocol != HTTP1 || h.response.size < 0 || len(h.trailers) > 0
}

// bare appends reports without what they hold on to.
func bare(to, reports []rules.StepReport) []rules.StepReport {
	for _, r := range reports {
		r.Head, r.Body = nil, nil
		to = append(to, r)
	}
	return to
}

// body is what was kept as the body of an exchange. Of what is not wanted there
// is none.
func (d *shaded) body(x *exchange) body {
	if !d.wanted || d.ended && !d.cut {
		return dryBody(x, d.data)
	}
	return body{x: x, stream: io.NopCloser(io.MultiReader(bytes.NewReader(d.data), cutReader{})), size: d.size}
}

type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, errCut }

// messages are those of a half of a call that were kept whole, without their
// encoding; the error is errCut if there were more.
func (h *shade) messages(fromCaller bool, limits rules.Limits) (messages [][]byte, err error) {
	d, head := h.half(fromCaller), h.reply
	if fromCaller {
		head = h.call.Head
	}
	split, coding := stream.Envelopes{Name: "grpc"}, messages2{encoding: head.Fields.Get("Grpc-Encoding"), limit: int(limits.Message)}
	for rest := d.data; len(rest) > 0; {
		n, envelope, err := split.Split(codec.Limits{}).Next(rest, true)
		if err != nil {
			return messages, err
		}
		flags, data, err := split.Open(envelope)
		if err != nil {
			return messages, errCut // the last one
		}
		if flags == stream.EnvelopeCompressed {
			if data, err = coding.undo(data); err != nil {
				return messages, err
			}
		}
		messages, rest = append(messages, data), rest[n:]
	}
	if d.wanted && (!d.ended || d.cut) {
		return messages, errCut
	}
	return messages, nil
}
