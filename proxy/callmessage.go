package proxy

import (
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/rules"
)

// describe looks the method's messages up. Without an answer the call goes on:
// a step that needs a message fails with the reason, and on_error decides.
func (x *exchange) describe() {
	if err := x.findMethod(); err != nil {
		x.schemaErr = err
	}
}

// inputCodec reads the caller's messages, nil if nobody knows their type.
func (x *exchange) inputCodec() codec.Codec {
	if x.method == nil {
		return nil
	}
	return x.method.Input
}

// outputCodec reads the upstream's messages, nil if nobody knows their type.
func (x *exchange) outputCodec() codec.Codec {
	if x.method == nil {
		return nil
	}
	return x.method.Output
}

// findMethod asks for the descriptors of the call's method, once.
func (x *exchange) findMethod() error {
	if x.method != nil {
		return nil
	}
	call := x.record.Call
	if x.p.Methods == nil || call.Service == "" {
		return protobuf.ErrUnknownMethod
	}
	m, err := x.p.Methods.Find(x.ctx, x.p.server(x.c.listener, x.c.address(), call.Head.Host), call.Service, call.Method)
	if err != nil {
		return err
	}
	x.method = m
	return nil
}

// stepHead runs steps over the head of a half whose messages come one by one.
func (x *exchange) stepHead(steps *rules.Steps, h *half, seen *Half, response *rules.Head) error {
	if steps == nil {
		return nil
	}
	out, err := steps.Run(x.ctx, rules.In{
		Phase:    rules.StreamHead,
		Request:  x.record.Call,
		Params:   x.params,
		Response: response,
		Head:     h.out,
		Now:      time.Now(),
	})
	seen.Steps = append(seen.Steps, out.Steps...)
	if err != nil {
		return x.stepFailed(err, nil, "")
	}
	if out.Reject != nil {
		return &rejection{out.Reject}
	}
	h.out = out.Head
	return nil
}

// stepMessage runs the steps over one message and returns what leaves in its
// place: the message itself if nothing changed it.
func (x *exchange) stepMessage(phase rules.Phase, fromCaller bool, m *frame) ([]*frame, error) {
	h, seen, format := &x.response, &x.record.Response, x.outputCodec
	if fromCaller {
		h, seen, format = &x.request, &x.record.Request, x.inputCodec
	}
	index := h.messages
	h.messages++
	now := x.rulesNow()
	steps := now.steps(fromCaller)
	judged := !fromCaller && x.route.Breaker() != nil && x.route.Breaker().FailureReadsBody()
	idle := steps == nil || phase == rules.StreamMessage && !steps.Needs().Body && !steps.Needs().Edits
	if idle && !judged {
		x.observe(fromCaller, index, m, nil, nil)
		return []*frame{m}, nil
	}
	b := body{x: x}
	b.decodeMessage(m.bytes(), format(), x.schemaErr, x.route.Limits())
	if judged {
		x.lastMessage = b.input.Value
	}
	if idle {
		x.observe(fromCaller, index, m, nil, nil)
		return []*frame{m}, nil
	}
	in := rules.In{
		Phase:   phase,
		Request: x.record.Call,
		Params:  now.params,
		Head:    h.out,
		Body:    b.input,
		Index:   index,
		Now:     time.Now(),
	}
	if !fromCaller {
		in.Response = h.in
	}
	out, err := steps.Run(x.ctx, in)
	whole := phase != rules.StreamMessage
	if whole {
		seen.Steps = append(seen.Steps, out.Steps...)
	}
	if err != nil {
		if err := x.stepFailed(err, b.input.Err, b.reason); err != nil {
			return nil, err
		}
		x.observe(fromCaller, index, m, nil, out.Steps)
		return []*frame{m}, nil
	}
	if out.Reject != nil {
		x.observe(fromCaller, index, m, nil, out.Steps)
		return nil, &rejection{out.Reject}
	}
	left := []*frame{m}
	if out.Edited {
		if left, err = x.encodeAll(&b, m, out.Messages, fromCaller); err != nil {
			return nil, err
		}
	}
	if whole {
		h.out = out.Head
	}
	x.observe(fromCaller, index, m, left, out.Steps)
	return left, nil
}

// encodeAll writes the results of a message's steps.
func (x *exchange) encodeAll(b *body, m *frame, values []codec.Value, fromCaller bool) ([]*frame, error) {
	left := make([]*frame, 0, len(values))
	for _, v := range values {
		encoded, err := b.codec.Encode(b.original, v)
		if err != nil {
			name := "response"
			if fromCaller {
				name = "request"
			}
			if err := x.encodeFailed(name, err); err != nil {
				return nil, err
			}
			return []*frame{m}, nil
		}
		left = append(left, newFrame(encoded))
	}
	return left, nil
}

// decodeMessage reads one message for its steps.
func (b *body) decodeMessage(data []byte, format codec.Codec, unknown error, limits rules.Limits) {
	if format == nil {
		b.fail(rules.ReasonNoSchema, unknown)
		return
	}
	value, original, err := format.Decode(data, codec.Limits{Size: limits.Message})
	if err != nil {
		b.fail(reasonOf(err, rules.ReasonDecode), err)
		return
	}
	b.input.Value, b.original, b.codec = value, original, format
}

// streamRules is what a stream's next message meets.
type streamRules struct {
	generation uint64
	route      *rules.Route // nil: none any more
	params     map[string]string
}

func (s *streamRules) steps(fromCaller bool) *rules.Steps {
	switch {
	case s.route == nil:
		return nil
	case fromCaller:
		return s.route.Request()
	}
	return s.route.Response()
}

// rulesNow returns the rules in force for the next message. A stream sees new
// rules at its next message: at a new generation its head is matched again.
// Head steps do not run again, and the upstream stays. A head that cannot be
// matched keeps the rules it had, and so does a call of one message each way.
func (x *exchange) rulesNow() streamRules {
	if x.method != nil && !x.method.ClientStreaming && !x.method.ServerStreaming {
		return x.stream
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	set := x.p.Rules.Load()
	if set.Number != x.stream.generation {
		x.stream.generation = set.Number
		if m, err := set.Match(x.ctx, x.record.Call, time.Now()); err == nil {
			x.stream.route, x.stream.params = m.Route, m.Params
		}
	}
	return x.stream
}

// observe tells of one message of a stream.
func (x *exchange) observe(fromCaller bool, index int, m *frame, left []*frame, steps []rules.StepReport) {
	format := x.outputCodec()
	if fromCaller {
		format = x.inputCodec()
	}
	capture := x.p.Capture
	in := payloadOf(m.bytes(), capture, format)
	edited := len(left) != 1 && left != nil || len(left) == 1 && left[0] != m
	var out []Payload
	if edited {
		for _, f := range left {
			out = append(out, payloadOf(f.bytes(), capture, format))
		}
	}
	unary := x.method != nil && !(fromCaller && x.method.ClientStreaming || !fromCaller && x.method.ServerStreaming)
	if unary {
		half := &x.record.Response
		if fromCaller {
			half = &x.record.Request
		}
		half.Body, half.Edited = in, edited
		if len(out) > 0 {
			half.Sent = out[0]
		}
		return
	}
	x.p.Observer.Observe(&Message{
		Exchange: x.record.ID, Route: x.record.Route, Call: x.record.Call, Upstream: !fromCaller, Index: index,
		At: time.Now(), In: in, Out: out, Edited: edited, Steps: slices.Clone(steps),
	})
}
