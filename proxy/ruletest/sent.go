package ruletest

import (
	"fmt"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// sent is a request or response as it leaves.
type sent struct {
	head   *rules.Head
	grpc   rules.Code // of a call's response
	body   []byte     // of HTTP, without content coding
	format codec.Codec
	err    error // why there is no value

	trailers rules.Fields

	value    codec.Value
	messages []any // of a stream; else nil
}

// request is what goes to the upstream.
func (g *got) request(c *rules.Case, codecs *codec.Registry) *sent {
	out := &sent{head: g.Record.Request.Out}
	if isCall(c) {
		g.callMessages(out, &g.Record.Request, false)
		return out
	}
	name := c.Route.Format()
	if g.Record.Route == c.Route.Name() && c.Route.UpstreamFormat() != "" {
		name = ""
	}
	out.read(g.Sent, name, codecs)
	return out
}

// response is what goes to the caller, nil if there is none.
func (g *got) response(c *rules.Case, codecs *codec.Registry) *sent {
	r := g.Record
	if a := g.Answer; a != nil {
		out := &sent{head: &rules.Head{Status: a.Status, Fields: a.Fields}, grpc: a.GRPC}
		if !isCall(c) {
			out.read(a.Body, "", codecs)
		}
		return out
	}
	if r.Response.Out == nil {
		return nil
	}
	out := &sent{head: r.Response.Out, grpc: r.GRPCStatus, trailers: r.Response.Trailers}
	if r.Response.TrailersOut != nil {
		out.trailers = r.Response.TrailersOut
	}
	if isCall(c) {
		g.callMessages(out, &r.Response, true)
		return out
	}
	name := c.Route.Format()
	if c.Route.UpstreamFormat() != "" || r.Answered != "" {
		name = ""
	}
	out.read(g.Returned, name, codecs)
	return out
}

// read takes a body of HTTP apart.
func (s *sent) read(wire []byte, name rules.Format, codecs *codec.Registry) {
	coding, err := encoding.Parse(s.head.Fields.Values("Content-Encoding")...)
	if err == nil {
		s.body, err = coding.Decode(wire, encoding.Limits{})
	}
	if err != nil {
		s.body, s.err = wire, err
		return
	}
	if len(s.body) == 0 {
		return
	}
	if name != "" {
		s.format, _ = codecs.ByName(string(name))
	} else {
		s.format, _ = codecs.ByContentType(s.head.Fields.Get("Content-Type"))
	}
	if framed, ok := s.format.(stream.Format); ok {
		s.split(framed)
		return
	}
	if s.format == nil {
		s.err = fmt.Errorf("nothing is known of the content type %q", s.head.Fields.Get("Content-Type"))
		return
	}
	s.value, _, s.err = s.format.Decode(s.body, codec.Limits{})
}

// split takes a stream's messages apart.
func (s *sent) split(format stream.Format) {
	s.messages = []any{}
	splitter := format.Split(codec.Limits{})
	for rest := s.body; len(rest) > 0; {
		n, message, err := splitter.Next(rest, true)
		if err != nil || n == 0 {
			s.err = err
			return
		}
		rest = rest[n:]
		if message == nil {
			continue
		}
		v, _, err := format.Decode(slices.Clone(message), codec.Limits{})
		if err != nil {
			s.err = err
			return
		}
		s.messages = append(s.messages, v)
	}
}

// callMessages are the messages of one half of a call: the one of a unary half is
// its body, those of a stream were told one by one.
func (g *got) callMessages(out *sent, half *proxy.Half, upstream bool) {
	decode := func(p *proxy.Payload) codec.Value {
		if p.Codec == nil {
			out.err = fmt.Errorf("the method's messages have no descriptor")
			return nil
		}
		out.format = p.Codec
		v, _, err := p.Codec.Decode(p.Bytes, codec.Limits{})
		if err != nil {
			out.err = err
		}
		return v
	}
	for _, m := range g.Messages {
		if m.Upstream != upstream {
			continue
		}
		left := m.Out
		if !m.Edited {
			left = []proxy.Payload{m.In}
		}
		if out.messages == nil {
			out.messages = []any{}
		}
		for i := range left {
			out.messages = append(out.messages, decode(&left[i]))
		}
	}
	if out.messages != nil {
		return
	}
	p := &half.Body
	if half.Edited {
		p = &half.Sent
	}
	if p.Codec == nil && p.Size == 0 {
		return
	}
	out.value = decode(p)
}
