package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// expectContinue is how long the body of a request with Expect: 100-continue
// waits for the upstream's word before it is sent all the same, as a client may
// that sent one itself (RFC 9110, 10.1.1).
const expectContinue = time.Second

// transports make client connections over connections that are dialled here:
// one exchange uses one of them, once, and nothing is ever repeated, which
// http.Transport's own pool would do for a GET on a connection that died.
type transports struct{ http1, http2 *http.Transport }

func newTransports() transports {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return ctx.Value(dialledKey{}).(net.Conn), nil
	}
	transport := func(set func(*http.Protocols)) *http.Transport {
		var protocols http.Protocols
		set(&protocols)
		return &http.Transport{
			DialContext:            dial,
			DisableCompression:     true,
			Protocols:              &protocols,
			MaxResponseHeaderBytes: int64(maxHead),
			ExpectContinueTimeout:  expectContinue,
			HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerStream:     int(streamWindow),
				MaxReceiveBufferPerConnection: int(sessionWindow),
			},
		}
	}
	return transports{
		http1: transport(func(p *http.Protocols) { p.SetHTTP1(true) }),
		http2: transport(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }),
	}
}

// dialledKey carries a connection to a transport's DialContext, the only way
// that NewClientConn offers.
type dialledKey struct{}

// client is a client connection to the upstream, and what it runs over.
type client struct {
	*http.ClientConn
	conn *upstreamConn
}

// client returns a client connection to the upstream with room for one more
// request: the one dialled at accept, or, if that is gone or full, a new one.
func (c *conn) client(ctx context.Context) (*client, error) {
	if free, _ := c.freeClient(); free != nil {
		return free, nil
	}
	// One at a time: of many streams that begin at once the first dials, and the
	// others find room on its connection.
	select {
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		free, settled := c.freeClient()
		switch {
		case free != nil:
			return free, nil
		case settled == nil:
			return c.makeClient(ctx)
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// freeClient reserves room on a connection that has it, nil if none does, and
// forgets those that have ended. Where it is not known yet how much room there
// is, settled tells when to ask again: a client of net/http that has promised
// more streams than its upstream then allows waits for itself.
func (c *conn) freeClient() (free *client, settled <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := c.clients[:0]
	for _, each := range c.clients {
		if each.Err() != nil || each.conn.halfClosed() {
			each.Close()
			continue
		}
		live = append(live, each)
		switch {
		case free != nil:
		case c.protocol == HTTP2 && each.InFlight() > 0 && !each.conn.isSettled():
			settled = each.conn.settled
		case each.Reserve() == nil:
			free = each
		}
	}
	clear(c.clients[len(live):])
	c.clients = live
	return free, settled
}

func (c *conn) makeClient(ctx context.Context) (*client, error) {
	nc, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	transport := c.p.transports.http1
	if c.protocol == HTTP2 {
		transport = c.p.transports.http2
	}
	cc, err := transport.NewClientConn(context.WithValue(ctx, dialledKey{}, nc), "http", "upstream:80")
	if err != nil {
		nc.Close()
		return nil, err
	}
	made := &client{cc, nc}
	if err := made.Reserve(); err != nil {
		made.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		made.Close()
		return nil, errEnded
	default:
	}
	c.clients = append(c.clients, made)
	if c.callerEnded.Load() {
		nc.callerEnded()
	}
	return made, nil
}

// connect returns a connection to the upstream that nobody uses yet.
func (c *conn) connect(ctx context.Context) (*upstreamConn, error) {
	up, greeting, err := c.take()
	if err != nil {
		return nil, err
	}
	if up == nil {
		if up, err = c.dial(ctx); err != nil {
			return nil, err
		}
	}
	return &upstreamConn{TCPConn: up, greeting: greeting, settled: make(chan struct{})}, nil
}

// callerEnds is called when an HTTP/1 caller has ended its side: there will be
// no further request but those that it pipelined.
func (c *conn) callerEnds() {
	if c.protocol != HTTP1 {
		return
	}
	c.callerEnded.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, each := range c.clients {
		each.conn.callerEnded()
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
