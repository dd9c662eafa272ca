package proxy

import (
	"context"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// judge runs the failure of the route's breaker over o and, if it reads that, the
// upstream's message before response steps: null over the limit, or if it cannot
// be decoded. Its value is made only if it has to be.
func (x *exchange) judge(o rules.Outcome) (failed bool, err error) {
	b := x.route.Breaker()
	if b.FailureReadsBody() {
		m := x.judgedMessage()
		if m.format != nil {
			if failed, sure := b.FailedOn(o, m.format, m.data, m.limits, x.record.Started); sure {
				return failed, nil
			}
			if v, _, err := m.format.Decode(m.data, m.limits); err == nil {
				m.value = v
			}
		}
		o.Body = m.value
	}
	return b.Failed(context.WithoutCancel(x.ctx), o, x.record.Started)
}

// judged is the message that a breaker judges: as it stands, of a format, or as a
// value where a step needed that. The zero judged is no message, or one that
// nobody can read.
type judged struct {
	format codec.Codec // nil: there is value alone
	data   []byte
	limits codec.Limits
	value  codec.Value
}

func (x *exchange) judgedMessage() judged {
	b := &x.response.body
	if x.readByMessage || b.enveloped() {
		return x.lastMessage
	}
	limits := codec.Limits{Size: x.route.Limits().Body}
	switch {
	case b.original != nil:
		return judged{value: b.input.Value}
	case b.undecoded != nil:
		return judged{format: b.codec, data: b.undecoded, limits: limits}
	case b.judged == nil:
		return judged{}
	}
	p := b.judged.payload()
	format, ok := x.formatOf(&x.response)
	if !ok || !p.Whole() || p.Size == 0 {
		return judged{}
	}
	whole := body{x: x, raw: p.Bytes}
	whole.undo(x.response.in.Fields, format, limits)
	return judged{format: whole.codec, data: whole.plain, limits: limits}
}

// judgeBody keeps the response's body as it passes for a breaker whose failure
// reads it, and looks for the status at the end of one that has it there.
func (x *exchange) judgeBody() {
	if x.permit == nil {
		return
	}
	b := &x.response.body
	if x.route.Breaker().FailureReadsBody() && !b.whole {
		b.judged = newCapture(int(x.route.Limits().Body))
	}
	if b.messages != nil {
		return
	}
	if x.followsEnd(); x.end != nil {
		if b.judged == nil {
			b.judged = newCapture(0)
		}
		b.judged.follow = x.end.follow
	}
}

// judgesMessages reports whether a breaker's failure reads what the upstream sends
// message by message.
func (x *exchange) judgesMessages() bool {
	b := x.route.Breaker()
	return (x.readByMessage || x.response.body.enveloped()) && b != nil && b.FailureReadsBody()
}

// judgesWeb reports whether a breaker's failure reads the messages of a half of a
// gRPC-Web or Connect call.
func (x *exchange) judgesWeb(h *half) bool {
	if b := x.route.Breaker(); h != &x.response || b == nil || !b.FailureReadsBody() {
		return false
	}
	_, framed := x.webFormOf(h)
	return framed || x.readsProto(h)
}

// keepJudged remembers the message of an upstream's stream, of which b is what the
// steps have of it, if they needed its value.
func (x *exchange) keepJudged(m *streamed, b *body) {
	last := &x.lastMessage
	last.format, last.value = nil, nil
	switch {
	case b != nil:
		last.value = b.input.Value
	case m.failed == nil && m.format != nil:
		last.format, last.limits = m.format, codec.Limits{Size: x.route.Limits().Message}
		last.data = append(last.data[:0], m.data...) // it is gone once it is sent
	}
}
