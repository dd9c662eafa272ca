package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// This file keeps what a route's redact names from the observers. What they are
// told is made anew before they are; what is sent is not looked at. A message of
// which it is not known what to hide is withheld as a whole.

// redactMost is how long a message may be for its parts to be hidden. Longer ones
// are withheld: all of one has to be read for the little of it that is shown.
const redactMost = 256 * codec.KiB

// mostSeen is how much of a body at hand is needed for what observers see of it.
func (x *exchange) mostSeen() codec.Bytes {
	if x.p.watched && x.redact.Load().HidesBody() {
		return max(x.p.Capture, redactMost)
	}
	return x.p.Capture
}

// hides adds to what is hidden of x: by the route that it was matched to, and by those
// that a stream has met since.
func (x *exchange) hides(r *rules.Redact) {
	if r == nil {
		return
	}
	x.mu.Lock()
	x.redact.Store(x.redact.Load().And(r))
	x.mu.Unlock()
}

// hide hides it from the record, which is complete.
func (x *exchange) hide() {
	if r := x.redact.Load(); r != nil && x.p.watched && !x.seesAll {
		hider{x, r}.record(&x.record)
	}
}

// hider hides.
type hider struct {
	x *exchange
	r *rules.Redact
}

func (h hider) record(e *Record) {
	call := *e.Call
	call.Head = h.head(e.Call.Head)
	e.Call = &call
	h.half(&e.Request, true)
	h.half(&e.Response, false)
	if e.Error != nil && e.Error.Origin == OriginRule && e.Error.Err != nil {
		said := *e.Error
		said.Err = errWithheld
		e.Error = &said
	}
}

// errWithheld stands for the cause of a rule's error, which may say what was in
// a message.
var errWithheld = errors.New("withheld, since the route redacts")

func (h hider) half(of *Half, fromCaller bool) {
	in, out := of.In, of.Out
	of.In = h.head(in)
	of.Out = of.In
	if out != in {
		of.Out = h.head(out)
	}
	of.Trailers, of.TrailersOut = h.r.Fields(of.Trailers), h.r.Fields(of.TrailersOut)
	of.Steps = h.steps(of.Steps)
	body := &h.x.response.body
	if fromCaller {
		body = &h.x.request.body
	}
	if h.x.readByMessage || body.enveloped() { // the one message of a call, without what it came in
		in, out = nil, nil
	}
	h.payload(&of.Body, in, fromCaller)
	h.payload(&of.Sent, out, fromCaller)
}

// head hides fields, and the message in the query of a Connect call by GET.
func (h hider) head(head *rules.Head) *rules.Head {
	hidden := h.r.Head(head)
	if head == nil || h.x.kind != callConnect || head.Method != http.MethodGet || !h.r.HidesBody() || !strings.Contains(head.Query, "message") {
		return hidden
	}
	plain := *hidden
	plain.Query = rules.Redacted
	return &plain
}

func (h hider) steps(reports []rules.StepReport) []rules.StepReport {
	for i := range reports {
		s := &reports[i]
		s.Head = h.head(s.Head)
		if s.Body == nil {
			continue
		}
		if strings.Contains(s.Step, "trailers[") {
			s.Body = h.r.View(s.Body)
			continue
		}
		hidden, err := h.r.Value(context.WithoutCancel(h.x.ctx), s.Body, h.x.record.Started)
		if err != nil {
			hidden = rules.Redacted
		}
		s.Body = hidden
	}
	return reports
}

// message hides parts of one message of a stream.
func (h hider) message(e *Message) {
	call := *e.Call
	call.Head = h.head(e.Call.Head)
	e.Call = &call
	e.Steps = h.steps(e.Steps)
	h.payload(&e.In, nil, !e.Upstream)
	for i := range e.Out {
		h.payload(&e.Out[i], nil, !e.Upstream)
	}
}

// payload hides parts of a payload: of the body that came with a head or, if that is
// nil, of one message.
func (h hider) payload(p *Payload, head *rules.Head, fromCaller bool) {
	if !h.r.HidesBody() || p.Size == 0 && len(p.Bytes) == 0 {
		return
	}
	format, text, err := h.text(p, head, fromCaller)
	if err != nil {
		*p = Payload{Size: p.Size, Withheld: err.Error()}
		return
	}
	p.Redacted, p.Encoding, p.Codec = int64(len(text)), "", codec.Codec(json.Codec{})
	if format != p.Codec.Name() {
		p.Codec = shownAs{name: format}
	}
	p.Bytes = text[:min(int64(len(text)), int64(h.x.p.Capture))]
}

// shownAs is the codec of what redact left of a message: JSON, whatever the
// message was written in.
type shownAs struct {
	json.Codec
	name string
}

// Name is that of the format that the message was written in.
func (s shownAs) Name() string { return s.name }

// What is said of payloads that are withheld.
var (
	errPart     = errors.New("redact: only a part of it is known")
	errTooLong  = errors.New("redact: it is too long")
	errCoding   = errors.New("redact: its coding cannot be undone")
	errNoFormat = errors.New("redact: nobody knows how to read it")
	errUnlike   = errors.New("redact: it is not of its format")
)

// text is what is left of a payload, as JSON, and the name of its format. Its error
// says nothing of what is in it.
func (h hider) text(p *Payload, head *rules.Head, fromCaller bool) (format string, text []byte, err error) {
	switch {
	case p.Size > int64(redactMost):
		return "", nil, errTooLong
	case !p.Whole():
		return "", nil, errPart
	}
	data := p.Bytes
	if p.Encoding != "" {
		coding, err := encoding.Parse(p.Encoding)
		if err == nil {
			data, err = coding.Decode(data, encoding.Limits{Size: redactMost})
		}
		if err != nil {
			return "", nil, errCoding
		}
	}
	messages, reader, err := h.messages(data, p.Codec, head, fromCaller)
	if err != nil {
		return "", nil, err
	}
	values := make([]any, len(messages))
	for i, m := range messages {
		value, _, err := reader.Decode(m, codec.Limits{Size: redactMost})
		if err != nil {
			return "", nil, errUnlike
		}
		if values[i], err = h.r.Value(context.WithoutCancel(h.x.ctx), value, h.x.record.Started); err != nil {
			return "", nil, err
		}
	}
	if len(values) == 1 {
		return reader.Name(), json.AppendCompact(nil, values[0]), nil
	}
	return reader.Name(), json.AppendCompact(nil, values), nil
}

// messages cuts a payload into its messages, and finds what reads them. It does
// not wait for anybody who knows: what is asked for now is there for the next one.
func (h hider) messages(data []byte, format codec.Codec, head *rules.Head, fromCaller bool) ([][]byte, codec.Codec, error) {
	if head == nil { // it is one message
		if format == nil {
			return nil, nil, errNoFormat
		}
		return [][]byte{data}, format, nil
	}
	media := mediaType(head)
	form, framed := webFormOf(h.x.kind, media)
	if h.x.kind == callGRPC {
		form, framed = webForm{envelopes: stream.Envelopes{Name: "grpc"}, coding: "Grpc-Encoding", json: media == "application/grpc+json"}, true
	}
	switch of, streams := format.(stream.Format); {
	case form.text:
		return nil, nil, errNoFormat
	case framed && form.json:
		return h.open(data, form, head, json.Codec{})
	case framed:
		return h.open(data, form, head, h.described(fromCaller))
	case streams:
		return h.cut(data, of)
	case format == nil && h.x.kind == callConnect && media == "application/proto":
		format = h.described(fromCaller)
	}
	if format == nil {
		return nil, nil, errNoFormat
	}
	return [][]byte{data}, format, nil
}

// cut cuts the messages out of what they are framed in.
func (h hider) cut(data []byte, format stream.Format) ([][]byte, codec.Codec, error) {
	var messages [][]byte
	for splitter := format.Split(codec.Limits{Size: redactMost}); len(data) > 0; {
		n, message, err := splitter.Next(data, true)
		if err != nil || n == 0 {
			return nil, nil, errUnlike
		}
		if message != nil {
			messages = append(messages, message)
		}
		data = data[n:]
	}
	return messages, format, nil
}

// open takes the messages out of their envelopes.
func (h hider) open(data []byte, form webForm, head *rules.Head, format codec.Codec) ([][]byte, codec.Codec, error) {
	if format == nil {
		return nil, nil, errNoFormat
	}
	stack, uncoded := encoding.Parse(head.Fields.Get(form.coding))
	var messages [][]byte
	for splitter := form.envelopes.Split(codec.Limits{Size: redactMost}); len(data) > 0; {
		n, envelope, err := splitter.Next(data, true)
		if err != nil || n == 0 {
			return nil, nil, errUnlike
		}
		data = data[n:]
		if envelope == nil {
			continue // the end of a stream
		}
		flags, message, err := form.envelopes.Open(envelope)
		if err == nil && flags&stream.EnvelopeCompressed != 0 {
			if err = uncoded; err == nil {
				message, err = stack.Decode(message, encoding.Limits{Size: redactMost})
			}
		}
		if err != nil {
			return nil, nil, errUnlike
		}
		messages = append(messages, message)
	}
	return messages, format, nil
}

// described is what reads the call's messages, by what is known of its method by
// now; nil if that is nothing.
func (h hider) described(fromCaller bool) codec.Codec {
	x, m := h.x, h.x.method
	if m == nil && x.p.Methods != nil && x.asked.Service != "" {
		ctx, cancel := context.WithDeadline(context.Background(), time.Time{})
		defer cancel()
		var err error
		if m, err = x.p.Methods.Find(ctx, x.p.server(x.c.listener, x.c.address(), x.asked.Head.Host), x.asked.Service, x.asked.Method); err != nil {
			return nil
		}
	}
	switch {
	case m == nil:
		return nil
	case fromCaller:
		return m.Input
	}
	return m.Output
}

// hideMessage is hide for a message of a stream, which has its steps for itself.
func (x *exchange) hideMessage(e *Message) {
	if r := x.redact.Load(); r != nil && !x.seesAll {
		e.Out = slices.Clone(e.Out)
		hider{x, r}.message(e)
	}
}

// hideExplained hides from an explanation what it may not show.
func (x *exchange) hideExplained(e *Explanation) {
	r := x.redact.Load()
	for i := range e.Candidates {
		c := &e.Candidates[i]
		if name, ok := strings.CutPrefix(c.Why, "headers."); ok && r.And(c.Route.Redact()).HidesHeader(name) {
			c.Want, c.Got = rules.Redacted, rules.Redacted
		}
	}
	if r == nil {
		return
	}
	if r.HidesBody() {
		e.Sent, e.Returned = nil, nil // Record has what of them may be seen
	}
	h := hider{x, r}
	h.record(e.Record)
	for _, m := range e.Messages {
		h.message(m)
	}
}
