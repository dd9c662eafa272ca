package proxy

import (
	"context"
	"net"
	"net/http"

	"github.com/sluice-proxy/sluice/proxy/internal/detect"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
)

// This file is the story of a connection and of an exchange, from top to
// bottom. What each step does stands in the file that is named beside it.

// Serve carries connections until ctx ends. It never returns an error that a
// retry could have mended: running out of descriptors, for one, is waited out.
// Call [Proxy.Drain] and [Proxy.Close] afterwards; what was accepted lives on
// until then.
func (p *Proxy) Serve(ctx context.Context) error {
	loops := make(chan error, len(p.Listeners))
	for i := range p.Listeners {
		l := &p.Listeners[i]
		p.wait.Go(func() {
			loops <- intercept.AcceptLoop(ctx, l.Net, p.acceptFailed(l), func(nc net.Conn) {
				p.wait.Go(func() { p.serveConn(l, nc) })
			})
		})
	}
	for range p.Listeners {
		if err := <-loops; err != nil {
			return err
		}
	}
	return nil
}

// serveConn takes one accepted connection to its lane.
func (p *Proxy) serveConn(l *Listener, nc net.Conn) {
	c, err := p.open(l, nc) // conn.go: id, original destination
	defer c.contain()
	if err != nil {
		c.refuse(err) // no destination, or our own connection coming back
		return
	}
	if p.knownOpen(c) {
		c.putOff() // it speaks HTTP, and its breaker is open: perhaps nobody has to ask it
	} else {
		p.wait.Go(c.dialUpstream) // sniff.go: at accept, so that a server may speak first
	}
	kind := c.sniff()
	p.noteKind(c, kind)
	switch kind {
	case detect.HTTP1, detect.TooLong:
		p.relayHTTP1(c) // relay1.go: request by request, each in the lane that it needs
	case detect.HTTP2:
		p.carryHTTP2(c) // lane.go: as frames, stream by stream, or by net/http
	case detect.TLS:
		c.splice(TLS) // splice.go
	case detect.Raw:
		c.splice(Raw)
	default: // nothing that could be told apart within HeadTimeout
		c.refuse(c.untold())
	}
}

// ServeHTTP carries one exchange. It is called by the HTTP fronts only.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := p.begin(w, r)    // netlane.go, exchange.go: id, clock, rule set pinned
	x.finish(x.guarded()) // finish.go: classifies, answers, tells the observers
}

// run is the exchange: each step returns an error, or nil to go on. The steps
// never log and never answer.
func (x *exchange) run() error {
	if err := x.match(); err != nil { // match.go
		return err
	}
	if err := x.limit(); err != nil { // limits.go: how often the route may be used
		return err
	}
	if x.readsMessages() {
		return x.wire.call() // gRPC message by message, with the same steps
	}
	if err := x.readRequest(); err != nil { // body.go: decode, only if a rule reads it
		return err
	}
	if err := x.transformRequest(); err != nil { // transform.go
		return err
	}
	if err := x.ask(); err != nil { // ask.go: fault, breaker, upstream connection
		return err
	}
	if err := x.readResponse(); err != nil {
		return err
	}
	if err := x.transformResponse(); err != nil {
		return err
	}
	return x.wire.respond() // head, body as it comes, trailers; or a tunnel
}
