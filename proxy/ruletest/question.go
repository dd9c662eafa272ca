package ruletest

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// question is the exchange of the case.
func (r *runner) question() (proxy.Question, error) {
	c := r.c
	q := proxy.Question{
		Direction: c.Direction, Now: c.Now,
		Peer:        netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 50000), // RFC 5737, 3
		Destination: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 2}), c.Port),
	}
	said, err := r.written(&c.Request, true)
	if err != nil {
		return q, fmt.Errorf("request: %w", err)
	}
	q.Head, q.Body, q.Messages = said.head, said.body, said.messages
	if c.Response == nil {
		return q, nil
	}
	if err := r.answer(&q, c.Response); err != nil {
		return q, fmt.Errorf("response: %w", err)
	}
	return q, nil
}

// answer gives a question its response.
func (r *runner) answer(q *proxy.Question, m *rules.CaseMessage) error {
	said, err := r.written(m, false)
	if err != nil {
		return err
	}
	q.Response, q.ResponseBody, q.ResponseMessages = said.head, said.body, said.messages
	q.ResponseCode, q.ResponseTrailers = m.GRPC, m.Trailers
	return nil
}

// written is a message as the proxy is asked about it.
type written struct {
	head     *rules.Head
	body     []byte
	messages [][]byte
}

// written writes a message of the case in the format of its head.
func (r *runner) written(m *rules.CaseMessage, fromCaller bool) (written, error) {
	out := written{head: m.Head}
	if !m.Body.Given {
		return out, nil
	}
	if isCall(r.c) {
		return r.writtenCall(out, &m.Body)
	}
	format, err := r.format(&out, m, fromCaller)
	if err != nil {
		return out, err
	}
	switch b := &m.Body; {
	case b.Text != nil:
		out.body = []byte(*b.Text)
	case b.Messages != nil:
		framed, ok := format.(stream.Format)
		if !ok {
			return out, errors.New("messages: their content type is none of a stream")
		}
		for _, v := range b.Messages {
			message, err := framed.Encode(nil, v)
			if err != nil {
				return out, fmt.Errorf("messages: %w", err)
			}
			out.body = append(out.body, framed.Terminate(message)...)
		}
	case b.Value != nil:
		if out.body, err = format.Encode(nil, b.Value); err != nil {
			return out, fmt.Errorf("body: %w; text: says it as it stands", err)
		}
	}
	coding, err := encoding.Parse(out.head.Fields.Values("Content-Encoding")...)
	if err != nil {
		return out, nil //nolint:nilerr // a coding that nobody knows is what the case is about
	}
	out.body, err = coding.Encode(out.body)
	return out, err
}

// writtenCall writes the messages of a gRPC call, which are asked about in JSON.
func (r *runner) writtenCall(out written, b *rules.CaseBody) (written, error) {
	encode := func(v codec.Value) ([]byte, error) { return r.cfg.Codecs.Default().Encode(nil, v) }
	var err error
	if b.Messages == nil {
		out.body, err = encode(b.Value)
		return out, err
	}
	out.messages = [][]byte{}
	for _, v := range b.Messages {
		message, err := encode(v)
		if err != nil {
			return out, err
		}
		out.messages = append(out.messages, message)
	}
	return out, nil
}

// format is that of a body, by what the route or the head says, else JSON or, of
// messages, lines of it. A head that does not say it is completed.
func (r *runner) format(out *written, m *rules.CaseMessage, fromCaller bool) (codec.Codec, error) {
	route := r.c.Route
	name := string(route.Format())
	if !fromCaller && route.UpstreamFormat() != "" {
		name = ""
	}
	contentType := out.head.Fields.Get("Content-Type")
	switch {
	case name != "":
	case contentType != "":
		format, ok := r.cfg.Codecs.ByContentType(contentType)
		if !ok && m.Body.Text == nil {
			return nil, fmt.Errorf("body: nothing is known of %.80q; text: says it as it stands", contentType)
		}
		return format, nil
	case m.Body.Messages != nil:
		name = "ndjson"
	case !fromCaller && route.UpstreamFormat() != "":
		name = string(route.UpstreamFormat())
	default:
		name = "json"
	}
	format, ok := r.cfg.Codecs.ByName(name)
	if !ok {
		return nil, fmt.Errorf("body: there is no format %s", name)
	}
	if contentType == "" && route.Format() == "" {
		head := *out.head
		head.Fields = append(head.Fields[:len(head.Fields):len(head.Fields)], rules.Field{Name: "content-type", Value: r.cfg.Codecs.TypeOf(name)})
		out.head = &head
	}
	return format, nil
}

// isCall reports whether the case is a gRPC call, whose messages stand in frames.
func isCall(c *rules.Case) bool {
	media := c.Request.Head.Fields.Get("Content-Type")
	return media == "application/grpc" || len(media) > 17 && media[:17] == "application/grpc+"
}
