package proxy

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// This file reads and writes how a gRPC-Web or Connect call ends: with the last
// envelope of its body.

// callEnd follows the bytes of a response up to what it says at its end. It
// belongs to the goroutine that copies them.
type callEnd struct {
	webForm
	stack   encoding.Stack
	plain   stream.Base64 // of a text that passes
	scratch []byte

	prefix []byte
	left   int64  // of an envelope
	ends   bool   // it is the end
	seen   bool   // there was one
	flags  byte   // its flags
	said   []byte // and what it says; at most maxEnd
}

// maxEnd is how much of a call's end is read.
const maxEnd = 16 << 10

// followsEnd prepares to follow a response, if it is one in envelopes.
func (x *exchange) followsEnd() {
	form, ok := x.webFormOf(&x.response)
	if !ok {
		return
	}
	x.end = &callEnd{webForm: form}
	x.end.stack, _ = encoding.Parse(x.response.in.Fields.Get(form.coding)) // what cannot be read says nothing
}

// follow follows the bytes of a body, be they text or not.
func (e *callEnd) follow(p []byte) {
	if !e.webForm.text {
		e.add(p)
		return
	}
	plain, err := e.plain.Decode(e.scratch[:0], p)
	e.plain.Replace(nil, len(plain), nil)
	if err != nil {
		e.plain = stream.Base64{}
	}
	e.scratch = plain
	e.add(plain)
}

// add follows the bytes of envelopes.
func (e *callEnd) add(p []byte) {
	for len(p) > 0 {
		if e.left == 0 {
			n := min(stream.EnvelopePrefix-len(e.prefix), len(p))
			e.prefix = append(e.prefix, p[:n]...)
			p = p[n:]
			if len(e.prefix) < stream.EnvelopePrefix {
				return
			}
			e.left = int64(binary.BigEndian.Uint32(e.prefix[1:]))
			if e.ends = e.envelopes.Ends(e.prefix[0]); e.ends {
				e.seen, e.flags, e.said = true, e.prefix[0], e.said[:0]
			}
			e.prefix = e.prefix[:0]
			continue
		}
		n := int(min(e.left, int64(len(p))))
		if e.ends {
			e.said = append(e.said, p[:min(n, maxEnd-len(e.said))]...)
		}
		e.left -= int64(n)
		p = p[n:]
	}
}

// followEnd follows data that passes.
func (x *exchange) followEnd(m *messageBody, data []byte) {
	if x.end != nil && !m.fromCaller {
		x.end.add(data)
	}
}

// status is what the response says at its end: INTERNAL if it says nothing, as
// for gRPC.
func (e *callEnd) status() rules.Code {
	said := e.said
	if e.flags&stream.EnvelopeCompressed != 0 {
		said, _ = e.stack.Decode(said, encoding.Limits{Size: maxEnd})
	}
	switch {
	case !e.seen:
		return "INTERNAL"
	case e.envelopes.End == connectEnd:
		return connectStatus(said)
	}
	for line := range strings.Lines(string(said)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "grpc-status") {
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
				return rules.CodeOf(n)
			}
		}
	}
	return "UNKNOWN"
}

// connectStatus is the code in an EndStreamResponse.
func connectStatus(said []byte) rules.Code {
	v, _, err := json.Codec{}.Decode(said, codec.Limits{})
	if err != nil {
		return "UNKNOWN"
	}
	end, _ := v.(map[string]any)
	failed, _ := end["error"].(map[string]any)
	if failed == nil {
		return "OK"
	}
	name, _ := failed["code"].(string)
	code := rules.Code(strings.ToUpper(name))
	if name == "canceled" {
		code = "CANCELLED"
	}
	if _, ok := code.Number(); !ok {
		return "UNKNOWN"
	}
	return code
}

// connectCode is a code's name in Connect.
func connectCode(code rules.Code) string {
	if code == "CANCELLED" {
		return "canceled"
	}
	return strings.ToLower(string(code))
}

// endStatus is the status that the upstream ended a gRPC-Web or Connect call with,
// "" if that is not known.
func (x *exchange) endStatus() rules.Code {
	switch {
	case x.response.in == nil:
	case x.kind == callWeb && x.response.in.Fields.Has("Grpc-Status"): // trailers only
		return x.grpcStatus()
	case x.end != nil:
		return x.end.status()
	}
	return ""
}

// isFramed reports whether the caller reads a status behind messages, so that an
// answer is 200.
func (x *exchange) isFramed() bool {
	_, ok := webFormOf(x.kind, mediaType(x.request.in))
	return ok
}

// said is an answer of Sluice's own in the protocol of its caller, without the
// fields that all answers have.
func (x *exchange) said(a *answer) (status int, fields rules.Fields, body []byte) {
	contentType := x.request.in.Fields.Get("Content-Type")
	switch {
	case x.isFramed() && x.kind == callWeb: // trailers only
		n, _ := a.code.Number()
		return http.StatusOK, rules.Fields{
			{Name: "Content-Type", Value: contentType},
			{Name: "Grpc-Status", Value: strconv.Itoa(n)},
			{Name: "Grpc-Message", Value: rules.EncodeGRPCMessage(a.message)},
		}, nil
	case x.isFramed():
		return http.StatusOK, rules.Fields{{Name: "Content-Type", Value: contentType}}, connectEnding(a.code, a.message, "")
	case x.isConnect():
		return a.status, rules.Fields{{Name: "Content-Type", Value: "application/json"}}, connectError(a.code, a.message)
	}
	body, contentType = x.errorBody(a)
	return a.status, rules.Fields{{Name: "Content-Type", Value: contentType}}, body
}

// jsonText is a value that has a form in JSON.
func jsonText(v codec.Value) []byte {
	text, _ := json.Codec{}.Encode(nil, v) // strings and maps of them: it always has
	return text
}

// connectError is a unary response of Connect that is an error.
func connectError(code rules.Code, message string) []byte {
	return jsonText(map[string]any{"code": connectCode(code), "message": message})
}

// connectEnding is the end of a stream of Connect. where is the value of
// errorHeader, "" for none.
func connectEnding(code rules.Code, message, where string) []byte {
	end := map[string]any{}
	if code != "OK" {
		end["error"] = map[string]any{"code": connectCode(code), "message": message}
	}
	if where != "" {
		end["metadata"] = map[string]any{strings.ToLower(errorHeader): []any{where}}
	}
	return stream.AppendEnvelope(nil, connectEnd, jsonText(end))
}

// webEnding is the end of a response of gRPC-Web.
func webEnding(code rules.Code, message, where string) []byte {
	n, _ := code.Number()
	said := "grpc-status: " + strconv.Itoa(n) + "\r\n"
	if message != "" {
		said += "grpc-message: " + rules.EncodeGRPCMessage(message) + "\r\n"
	}
	if where != "" {
		said += strings.ToLower(errorHeader) + ": " + where + "\r\n"
	}
	return stream.AppendEnvelope(nil, webEnd, []byte(said))
}

// ending is the end of a response of the form.
func (f *webForm) ending(code rules.Code, message, where string) []byte {
	if f.envelopes.End == connectEnd {
		return connectEnding(code, message, where)
	}
	return webEnding(code, message, where)
}

// tellsEnd ends a response, a part of which has left, with what a step made of
// one of its messages, as gRPC tells it in trailers. It reports false if there is
// no such end, or somebody else's.
func (m *messageBody) tellsEnd() bool {
	if m.enveloped == nil || m.fromCaller || m.x.told || errors.Is(m.err, io.EOF) {
		return false
	}
	x := m.x
	err := x.upstreamFailed(m.err)
	if !ownError(err) && !x.isTimeout(err) {
		return false
	}
	x.late, x.told = err, true
	a := x.answerFor(err)
	x.record.GRPCStatus = a.code
	m.err = nil
	m.replace(0, m.enveloped.ending(a.code, a.message, a.headerValue()))
	if m.err == nil {
		m.in, m.err = nil, io.EOF
	}
	m.release()
	return true
}

// webFallBack is fallBack for calls whose messages are enveloped, or protobuf.
func (x *exchange) webFallBack(a *rules.Answer) bool {
	code := a.GRPC
	if code == "" {
		code = "OK"
	}
	contentType := x.request.in.Fields.Get("Content-Type")
	form, framed := webFormOf(x.kind, mediaType(x.request.in))
	var data []byte
	if code == "OK" {
		format, err := codec.Codec(json.Codec{}), error(nil)
		if !form.json {
			format, err = x.protoOf(&x.response)
		}
		if err == nil {
			data, err = format.Encode(nil, a.Body)
		}
		if err != nil {
			return false
		}
	}
	head := &rules.Head{Status: http.StatusOK, Fields: a.Headers.With("Content-Type", contentType)}
	switch {
	case framed:
		if code == "OK" {
			data = stream.AppendEnvelope(nil, 0, data)
		}
		data = append(data, form.ending(code, a.Message, "")...)
		if form.text {
			data = base64.StdEncoding.AppendEncode(nil, data)
		}
	case code != "OK":
		head.Status, data = a.Status, connectError(code, a.Message)
		head.Fields = head.Fields.With("Content-Type", "application/json")
	}
	x.fallen(head, data, int64(len(data)))
	return true
}
