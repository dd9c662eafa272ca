package proxy

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/rules"
)

// streamed is one message of a stream, whatever the stream is made of.
type streamed struct {
	data    []byte
	format  codec.Codec  // nil: not known
	unknown error        // then it fails the step that reads it; nil: the step is skipped
	lenient bool         // what is not of the format has none
	failed  error        // why there is no data; nil if there is
	reason  rules.Reason // of failed; "": content_encoding
}

// stepStreamed runs the steps over one message of a stream. If edited, left is
// what leaves in its place; else the message goes on as its bytes.
func (x *exchange) stepStreamed(phase rules.Phase, fromCaller bool, m streamed) (left [][]byte, edited bool, err error) {
	h, seen := &x.response, &x.record.Response
	if fromCaller {
		h, seen = &x.request, &x.record.Request
	}
	index := int(h.messages.Add(1)) - 1
	now := x.rulesNow()
	steps := now.steps(fromCaller)
	judged := !fromCaller && x.judgesMessages()
	idle := steps == nil || phase == rules.StreamMessage && !steps.Needs().Body && !steps.Needs().Edits
	if idle {
		if judged {
			x.keepJudged(&m, nil)
		}
		x.observe(fromCaller, index, &m, nil, false, nil)
		return nil, false, nil
	}
	in := rules.In{
		Phase:   phase,
		Request: x.record.Call,
		Params:  now.params,
		Head:    h.out,
		Index:   index,
		Now:     x.now(),
		Limiter: x,
		Clock:   x.p.stepClock,
	}
	if !fromCaller {
		in.Response = h.in
		x.showStatus(&in, steps)
	}
	if m.format == nil && m.unknown != nil && steps.ReadsNumbers() {
		m.format = protobuf.Raw() // steps that name fields by name would find none, and judge by that
	}
	if m.failed == nil && steps.RunsOn(m.format) {
		limits := codec.Limits{Size: x.route.Limits().Message}
		if out, data, sure, err := steps.RunOn(x.ctx, in, m.format, m.data, limits); sure && err == nil {
			if judged {
				x.keepJudged(&m, nil)
			}
			return x.steppedInPlace(phase, fromCaller, index, &m, &out, data)
		}
	}
	b := body{x: x}
	b.decodeMessage(&m, x.route.Limits())
	if judged {
		x.keepJudged(&m, &b)
	}
	in.Body, in.Clock = b.input, time.Now
	out, err := steps.Run(x.ctx, in)
	whole := phase != rules.StreamMessage
	if whole {
		seen.Steps = append(seen.Steps, out.Steps...)
	}
	if err != nil {
		if err := x.stepFailed(err, b.input.Err, b.reason); err != nil {
			return nil, false, err
		}
		x.observe(fromCaller, index, &m, nil, false, out.Steps)
		return nil, false, nil
	}
	if out.Reject != nil {
		x.observe(fromCaller, index, &m, nil, false, out.Steps)
		return nil, false, &rejection{out.Reject}
	}
	if out.Edited {
		if left, edited, err = x.encodeAll(&b, &m, out.Messages, fromCaller); err != nil {
			return nil, false, err
		}
	}
	if whole {
		h.out = out.Head
		x.faulty = x.faulty || out.Fault
	}
	x.observe(fromCaller, index, &m, left, edited, out.Steps)
	return left, edited, nil
}

// steppedInPlace is the rest of stepStreamed for steps that ran on a message that
// was not decoded.
func (x *exchange) steppedInPlace(phase rules.Phase, fromCaller bool, index int, m *streamed, out *rules.Out, data []byte) (left [][]byte, edited bool, err error) {
	if phase != rules.StreamMessage {
		h, seen := &x.response, &x.record.Response
		if fromCaller {
			h, seen = &x.request, &x.record.Request
		}
		h.out, seen.Steps = out.Head, append(seen.Steps, out.Steps...)
	}
	if out.Edited && !bytes.Equal(data, m.data) {
		left, edited = [][]byte{data}, true
	}
	if out.Reject != nil {
		left, edited, err = nil, false, &rejection{out.Reject}
	}
	x.observe(fromCaller, index, m, left, edited, out.Steps)
	return left, edited, err
}

// encodeAll writes the results of a message's steps. The message alone, as it
// came, is no edit.
func (x *exchange) encodeAll(b *body, m *streamed, values []codec.Value, fromCaller bool) (left [][]byte, edited bool, err error) {
	left = make([][]byte, 0, len(values))
	for _, v := range values {
		encoded, err := b.codec.Encode(b.original, v)
		if err != nil {
			return nil, false, x.encodeFailed(nameOfHalf(fromCaller), err) // nil: the message goes on as it came
		}
		left = append(left, encoded)
	}
	if len(left) == 1 && bytes.Equal(left[0], m.data) {
		return nil, false, nil
	}
	return left, true, nil
}

// decodeMessage reads one message for its steps.
func (b *body) decodeMessage(m *streamed, limits rules.Limits) {
	switch {
	case m.failed != nil:
		reason := m.reason
		if reason == "" {
			reason = rules.ReasonEncoding
		}
		b.fail(reasonOf(m.failed, reason), m.failed)
		return
	case m.format != nil:
	case m.unknown == nil:
		b.input.Skipped = "skipped_format"
		return
	default:
		b.fail(rules.ReasonNoSchema, m.unknown)
		return
	}
	value, original, err := m.format.Decode(m.data, codec.Limits{Size: limits.Message})
	var syntax *codec.SyntaxError
	switch {
	case m.lenient && errors.As(err, &syntax):
		b.input.Skipped = "skipped_format"
		return
	case err != nil:
		b.fail(reasonOf(err, rules.ReasonDecode), err)
		return
	}
	b.input.Value, b.original, b.codec = value, original, m.format
}

// streamRules is what a stream's next message meets.
type streamRules struct {
	generation uint64
	route      *rules.Route // nil: none any more
	params     rules.Params
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
	if x.inShadow || x.method != nil && !x.method.ClientStreaming && !x.method.ServerStreaming {
		return x.stream
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	set := x.p.Rules.Load()
	if set.Number != x.stream.generation {
		x.stream.generation = set.Number
		if m, err := set.Match(x.ctx, x.record.Call, x.now()); err == nil {
			x.stream.route, x.stream.params = m.Route, m.Params
			if m.Route != nil {
				x.redact.Store(x.redact.Load().And(m.Route.Redact()))
			}
		}
	}
	return x.stream
}

// observe tells of one message of a stream, and of what left in its place.
func (x *exchange) observe(fromCaller bool, index int, m *streamed, left [][]byte, edited bool, steps []rules.StepReport) {
	if !x.p.watched {
		return
	}
	capture := x.mostSeen()
	in := payloadOf(m.data, capture, m.format)
	var out []Payload
	if edited {
		for _, data := range left {
			out = append(out, payloadOf(data, capture, m.format))
		}
	}
	unary := index == 0 && x.method != nil && !(fromCaller && x.method.ClientStreaming || !fromCaller && x.method.ServerStreaming)
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
	e := &Message{
		Exchange: x.record.ID, Route: x.record.Route, Call: x.record.Call, Upstream: !fromCaller, Index: index,
		At: time.Now(), In: in, Out: out, Edited: edited, Steps: slices.Clone(steps),
	}
	x.hideMessage(e)
	x.p.Observer.Observe(e)
}
