package proxy

import (
	"context"
	"net"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/rules"
)

// server is an upstream as a source of descriptors.
func (p *Proxy) server(l *Listener, address, authority string) protobuf.Server {
	return protobuf.Server{
		Key:       string(l.Direction) + " " + address,
		Authority: authority,
		Dial:      func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, l, address) },
	}
}

// Describe finds the codecs of a gRPC method that was called, for observers
// who show messages that no rule looked at. Nil codecs mean that nobody knows.
// It may ask the upstream, and is not for the data path.
func (p *Proxy) Describe(ctx context.Context, q *rules.Request) (input, output codec.Codec) {
	if p.Methods == nil || q.Service == "" {
		return nil, nil
	}
	for i := range p.Listeners {
		l := &p.Listeners[i]
		if l.Direction != q.Direction || (l.Upstream == "") != q.Destination.IsValid() {
			continue
		}
		address := l.Upstream
		if address == "" {
			address = q.Destination.String()
		}
		if m, err := p.Methods.Find(ctx, p.server(l, address, q.Head.Host), q.Service, q.Method); err == nil {
			return m.Input, m.Output
		}
	}
	return nil, nil
}
