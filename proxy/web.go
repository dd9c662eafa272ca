package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// This file knows what the bodies of gRPC-Web (github.com/grpc/grpc, doc/PROTOCOL-WEB.md)
// and Connect (connectrpc.com/docs/protocol) are made of. Their messages meet
// the steps of a route as those of gRPC do, but as bodies of HTTP.

// webForm is how a body of such a call holds its messages.
type webForm struct {
	envelopes stream.Envelopes // of a request, without an end
	coding    string           // the field that names the coding of compressed messages
	text      bool             // all is base64
	json      bool             // messages are JSON, else protobuf
}

// webEnd is the flag of what ends the responses of gRPC-Web, connectEnd of those
// of Connect.
const (
	webEnd     = 0x80
	connectEnd = 2
)

// webFormOf is the form of a media type in calls of a kind. ok is false if that
// is no body of messages in envelopes, or one that nobody can read.
func webFormOf(kind callKind, media string) (form webForm, ok bool) {
	switch kind {
	case callWeb:
		subtype, _ := strings.CutPrefix(media, "application/grpc-web")
		subtype, form.text = strings.CutPrefix(subtype, "-text")
		form.envelopes, form.coding = stream.Envelopes{Name: "grpc-web", End: webEnd}, "Grpc-Encoding"
		return form, subtype == "" || subtype == "+proto"
	case callConnect:
		form.envelopes, form.coding = stream.Envelopes{Name: "connect", End: connectEnd}, "Connect-Content-Encoding"
		form.json = media == "application/connect+json"
		return form, form.json || media == "application/connect+proto"
	}
	return webForm{}, false
}

// webFormOf is the form of a half's body.
func (x *exchange) webFormOf(h *half) (webForm, bool) {
	if x.kind != callWeb && x.kind != callConnect || x.record.Call.Service == "" || x.translates() {
		return webForm{}, false
	}
	return webFormOf(x.kind, mediaType(h.in))
}

// enveloped is what has to be known of one half of a call to read its messages.
type enveloped struct {
	webForm
	codec   codec.Codec // nil: not known
	unknown error       // why
	unary   bool        // there is one message
	stack   encoding.Stack
	uncoded error          // why stack does not say how messages are compressed
	limit   codec.Bytes    // of a message
	plain   *stream.Base64 // nil: the body is no text
	garbled error          // why the text cannot be read any further
}

// readEnvelopes prepares for the steps of a call's messages.
func (x *exchange) readEnvelopes(h *half, form webForm) {
	e := &enveloped{webForm: form}
	steps := x.route.Response()
	request := h == &x.request
	if request {
		steps = x.route.Request()
		e.envelopes.End = 0 // a caller has nothing to say behind its messages
	}
	e.limit = codec.Bytes(x.messageLimit(steps))
	if form.json {
		e.codec = json.Codec{}
	} else {
		e.codec, e.unknown = x.protoOf(h)
	}
	if m := x.method; m != nil {
		e.unary = request && !m.ClientStreaming || !request && !m.ServerStreaming
	}
	name := h.in.Fields.Get(form.coding)
	if e.stack, e.uncoded = encoding.Parse(name); e.uncoded == nil && e.stack.Identity() {
		e.uncoded = fmt.Errorf("a message is compressed, and the head does not say how: %w", &encoding.UnknownError{Name: "identity"})
	}
	if form.text {
		e.plain = new(stream.Base64)
	}
	if !request {
		x.followsEnd() // webend.go
	}
	x.readMessages(h, nil, e)
}

// open takes a message out of its envelope.
func (e *enveloped) open(envelope []byte) (m streamed, flags byte) {
	m = streamed{format: e.codec, unknown: e.unknown}
	flags, data, err := e.envelopes.Open(envelope)
	switch {
	case err != nil:
		m.failed, m.reason = err, rules.ReasonDecode
	case flags&stream.EnvelopeCompressed == 0:
		m.data = data
	case e.uncoded != nil:
		m.failed = e.uncoded
	default:
		m.data, m.failed = e.stack.Decode(data, encoding.Limits{Size: e.limit})
	}
	return m, flags
}

// seal appends a message in an envelope, compressed if the flags say so.
func (e *enveloped) seal(dst, message []byte, flags byte) ([]byte, error) {
	if flags&stream.EnvelopeCompressed != 0 {
		var err error
		if message, err = e.stack.Encode(message); err != nil {
			return nil, err
		}
	}
	return stream.AppendEnvelope(dst, flags, message), nil
}

// stepEnvelope takes a message through its steps.
func (m *messageBody) stepEnvelope(envelope []byte) {
	e := m.enveloped
	message, flags := e.open(envelope)
	left, edited, err := m.step(message)
	if err != nil {
		m.err = err
		return
	}
	if !edited {
		m.pass(envelope)
		return
	}
	var out []byte
	for i := 0; i < len(left) && err == nil; i++ {
		out, err = e.seal(out, left[i], flags)
	}
	if err != nil {
		if m.err = m.x.encodeFailed(nameOfHalf(m.fromCaller), err); m.err == nil {
			m.pass(envelope)
		}
		return
	}
	m.replace(len(envelope), out)
}

// textReader reads the bytes of a body that is base64 text.
type textReader struct {
	m    *messageBody
	text [messagePiece / 4]byte
}

// Read reads what is there of whole quanta, which may be nothing. p has room for
// them.
func (r *textReader) Read(p []byte) (int, error) {
	e := r.m.enveloped
	n, err := r.m.text.Read(r.text[:min(len(r.text), len(p))])
	plain, garbled := e.plain.Decode(p[:0], r.text[:n])
	switch {
	case garbled != nil:
		e.garbled = garbled
		return len(plain), nil //nolint:nilerr // whoever reads on behind it is told again
	case errors.Is(err, io.EOF) && !e.plain.Whole():
		e.garbled = &codec.SyntaxError{Format: "base64", Msg: "found the end, expected four characters of it"}
	}
	return len(plain), err
}

// isConnect reports whether a caller speaks Connect for sure: callConnect is also
// what only looks like it.
func (x *exchange) isConnect() bool {
	in := x.request.in
	media := mediaType(in)
	return x.kind == callConnect && (media == "application/proto" || strings.HasPrefix(media, "application/connect+") ||
		in.Fields.Get("Connect-Protocol-Version") != "" || in.Method == http.MethodGet && strings.Contains(in.Query, "connect=v1"))
}

// readsProto reports whether a half is a unary message of Connect in protobuf.
func (x *exchange) readsProto(h *half) bool {
	return x.kind == callConnect && x.record.Call.Service != "" && !x.translates() && x.route.Format() == "" && mediaType(h.in) == "application/proto"
}

// hasNoMessage reports whether a half of a call is no message: a request that has
// it in its query, or a response that says why there is none.
func (x *exchange) hasNoMessage(h *half) bool {
	if x.kind != callConnect {
		return false
	}
	media := mediaType(x.request.in)
	if h == &x.response && h.in.Status != http.StatusOK {
		return media == "application/proto" || strings.HasPrefix(media, "application/connect+")
	}
	return false
}

// inQuery reports whether a call has its message where no step reads it.
func (x *exchange) inQuery() bool {
	in := x.request.in
	return x.kind == callConnect && in.Method == http.MethodGet && strings.Contains(in.Query, "message=")
}

// protoOf is the codec of a half's messages in protobuf. Its error says why there
// is none. It asks once, and not while messages of the request are read by what
// was found before.
func (x *exchange) protoOf(h *half) (codec.Codec, error) {
	if x.method == nil && x.schemaErr == nil {
		x.schemaErr = protobuf.ErrUnknownMethod
		if x.request.body.messages == nil {
			x.schemaErr = x.findMethod()
		}
	}
	switch {
	case x.schemaErr != nil:
		return nil, x.schemaErr
	case h == &x.request:
		return x.method.Input, nil
	}
	return x.method.Output, nil
}

// refusesLate reports whether a message of the request may be refused when a part
// of the response has left, so that it has to be known where one ends.
func (x *exchange) refusesLate(h *half) bool {
	return h == &x.response && x.request.body.enveloped() && !x.request.body.messages.enveloped.unary
}

// acceptWeb leaves of the codings that a caller takes for messages those that can
// be undone here, if steps read the response's.
func (x *exchange) acceptWeb() {
	if _, ok := x.webFormOf(&x.request); !ok || !touches(x.route.Response()) && !x.stepsTrailers() {
		return
	}
	name := "Grpc-Accept-Encoding"
	if x.kind == callConnect {
		name = "Connect-Accept-Encoding"
	}
	said := x.request.in.Fields.Get(name)
	var known []string
	all := true
	for coding := range strings.SplitSeq(said, ",") {
		if _, err := encoding.Parse(coding); err == nil {
			known = append(known, strings.TrimSpace(coding))
		} else {
			all = false
		}
	}
	if all {
		return
	}
	head := *x.request.out
	if head.Fields = head.Fields.With(name); len(known) > 0 {
		head.Fields = head.Fields.With(name, strings.Join(known, ", "))
	}
	x.request.out = &head
}

// readWeb reads a half of a gRPC-Web or Connect call. done is false if its body
// is none of theirs, or one that any call of HTTP may have.
func (x *exchange) readWeb(h *half) (done bool, err error) {
	b := &h.body
	form, framed := x.webFormOf(h)
	switch {
	case h == &x.request && (x.inQuery() || framed && x.sized):
		b.input.Skipped = "skipped_format"
	case !x.translates() && x.hasNoMessage(h), framed && b.size == 0:
		b.none = true
	case framed:
		x.readEnvelopes(h, form)
	case x.readsProto(h):
		return true, x.readProto(h)
	default:
		return false, nil
	}
	return true, nil
}

// readProto reads a body that is one message in protobuf. One of no bytes is a
// message with nothing in it.
func (x *exchange) readProto(h *half) error {
	b := &h.body
	c, err := x.protoOf(h)
	if err != nil {
		b.fail(rules.ReasonNoSchema, err)
		return nil
	}
	limits := codec.Limits{Size: x.route.Limits().Message}
	if err := b.load(int64(limits.Size)); err != nil {
		return err
	}
	if !b.whole {
		b.failTooLarge(int64(limits.Size))
		return nil
	}
	b.undo(h.in.Fields, c, limits)
	if b.input.Err == nil && x.editsInPlace(h, c) {
		b.undecoded = b.plain // as in read
		return nil
	}
	b.decode(limits)
	return nil
}

// enveloped reports whether the body's messages are told of one by one.
func (b *body) enveloped() bool { return b.messages != nil && b.messages.enveloped != nil }
