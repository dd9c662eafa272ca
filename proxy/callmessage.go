package proxy

import (
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
	in := rules.In{
		Phase:    rules.StreamHead,
		Request:  x.record.Call,
		Params:   x.params,
		Response: response,
		Head:     h.out,
		Now:      x.now(),
		Limiter:  x,
		Clock:    time.Now,
	}
	x.showStatus(&in, steps)
	out, err := steps.Run(x.ctx, in)
	seen.Steps = append(seen.Steps, out.Steps...)
	if err != nil {
		return x.stepFailed(err, nil, "")
	}
	if out.Reject != nil {
		return &rejection{out.Reject}
	}
	h.out = out.Head
	x.faulty = x.faulty || out.Fault
	return nil
}

// stepMessage runs the steps over one message and returns what leaves in its
// place: the message itself if nothing changed it.
func (x *exchange) stepMessage(phase rules.Phase, fromCaller bool, m *frame) ([]*frame, error) {
	format := x.outputCodec()
	if fromCaller {
		format = x.inputCodec()
	}
	if fromCaller || x.record.Attempts > 0 { // else it is a fallback's
		x.shade.half(fromCaller).addMessage(m.bytes())
	}
	left, edited, err := x.stepStreamed(phase, fromCaller, streamed{data: m.bytes(), format: format, unknown: x.schemaErr})
	if err != nil {
		return nil, err
	}
	if !edited {
		return []*frame{m}, nil
	}
	frames := make([]*frame, len(left))
	for i := range left {
		frames[i] = newFrame(left[i])
	}
	return frames, nil
}
