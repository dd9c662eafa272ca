package proxy

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// This file runs the steps over trailers on the last envelope of a gRPC-Web or
// Connect response, which says what gRPC says in trailers.

// stepsWebEnd reports whether a half of a call ends with an envelope that has
// steps.
func (x *exchange) stepsWebEnd(h *half) bool {
	if h != &x.response || !x.stepsTrailers() {
		return false
	}
	_, framed := x.webFormOf(h)
	return framed
}

// endOf is how many of the next bytes are the end of the response, if steps look
// at it. whole is false if more of it has to come.
func (m *messageBody) endOf() (n int, whole bool) {
	if m.enveloped == nil || m.fromCaller || len(m.in) == 0 || !m.x.stepsTrailers() || !m.enveloped.envelopes.Ends(m.in[0]) {
		return 0, true
	}
	if len(m.in) < stream.EnvelopePrefix {
		return 0, m.final
	}
	size := stream.EnvelopePrefix + int(binary.BigEndian.Uint32(m.in[1:]))
	switch {
	case size > maxEnd:
		return 0, true
	case len(m.in) < size:
		return 0, m.final
	}
	return size, true
}

// stepEnd takes the end of the response through its steps.
func (m *messageBody) stepEnd(envelope []byte) {
	x, e := m.x, m.enveloped
	x.followEnd(m, envelope) // what the upstream said is what a breaker judges
	flags, said := envelope[0], envelope[stream.EnvelopePrefix:]
	var err error
	if flags&stream.EnvelopeCompressed != 0 {
		if err = e.uncoded; err == nil {
			said, err = e.stack.Decode(said, encoding.Limits{Size: maxEnd})
		}
	}
	var came rules.Fields
	var end map[string]any // of Connect
	switch {
	case err != nil:
	case e.envelopes.End == connectEnd:
		came, end, err = readConnectEnd(said)
	default:
		came = readWebEnd(said)
	}
	if err != nil {
		failed := &rules.StepError{Route: x.route, Step: "trailers", Reason: rules.ReasonDecode, Err: err}
		if m.err = x.onError(failed, func() {}); m.err == nil {
			m.passSeen(envelope)
		}
		return
	}
	if m.err = x.stepEnd(came); m.err != nil {
		return
	}
	out, same := x.trailersOut()
	if same {
		m.passSeen(envelope)
		return
	}
	x.record.GRPCStatus = codeOfStatus(out.Get("Grpc-Status"))
	if end != nil {
		said = writeConnectEnd(end, out)
	} else {
		said = writeWebEnd(out)
	}
	if flags&stream.EnvelopeCompressed != 0 {
		if said, m.err = e.stack.Encode(said); m.err != nil {
			return
		}
	}
	m.replace(len(envelope), stream.AppendEnvelope(nil, flags, said))
}

// passSeen lets an end go on as it came, that followEnd has seen.
func (m *messageBody) passSeen(data []byte) {
	if m.text != nil {
		data = m.enveloped.plain.Pass(nil, data)
	}
	m.write(data)
}

// readWebEnd reads trailers as lines of HTTP/1.
func readWebEnd(said []byte) rules.Fields {
	var fields rules.Fields
	for line := range strings.Lines(string(said)) {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); ok && name != "" {
			fields = append(fields, rules.Field{Name: name, Value: strings.TrimSpace(value)})
		}
	}
	return fields
}

func writeWebEnd(fields rules.Fields) []byte {
	var said []byte
	for _, f := range fields {
		said = append(said, strings.ToLower(f.Name)+": "+f.Value+"\r\n"...)
	}
	return said
}

// readConnectEnd reads an EndStreamResponse as trailers of gRPC.
func readConnectEnd(said []byte) (rules.Fields, map[string]any, error) {
	v, _, err := json.Codec{}.Decode(said, codec.Limits{})
	if err != nil {
		return nil, nil, err
	}
	end, ok := v.(map[string]any)
	if !ok {
		return nil, nil, &codec.SyntaxError{Format: "connect", Msg: "found no object, expected the end of a stream"}
	}
	n, _ := connectStatus(said).Number()
	fields := rules.Fields{{Name: "grpc-status", Value: strconv.Itoa(n)}}
	if failed, _ := end["error"].(map[string]any); failed != nil {
		if message, _ := failed["message"].(string); message != "" {
			fields = append(fields, rules.Field{Name: "grpc-message", Value: rules.EncodeGRPCMessage(message)})
		}
	}
	metadata, _ := end["metadata"].(map[string]any)
	names := make([]string, 0, len(metadata))
	for name := range metadata {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values, _ := metadata[name].([]any)
		for _, v := range values {
			value, _ := v.(string)
			fields = append(fields, rules.Field{Name: name, Value: value})
		}
	}
	return fields, end, nil
}

// writeConnectEnd writes trailers of gRPC onto an EndStreamResponse.
func writeConnectEnd(end map[string]any, fields rules.Fields) []byte {
	out := map[string]any{}
	for name, v := range end {
		out[name] = v
	}
	delete(out, "metadata")
	if code := codeOfStatus(fields.Get("grpc-status")); code == "OK" {
		delete(out, "error")
	} else {
		failed := map[string]any{}
		if was, _ := end["error"].(map[string]any); was != nil {
			for name, v := range was {
				failed[name] = v
			}
		}
		failed["code"] = connectCode(code)
		delete(failed, "message")
		if message := fields.Get("grpc-message"); message != "" {
			failed["message"] = rules.DecodeGRPCMessage(message)
		}
		out["error"] = failed
	}
	metadata := map[string]any{}
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		if name != "grpc-status" && name != "grpc-message" {
			values, _ := metadata[f.Name].([]any)
			metadata[f.Name] = append(values, f.Value)
		}
	}
	if len(metadata) > 0 {
		out["metadata"] = metadata
	}
	return jsonText(out)
}
