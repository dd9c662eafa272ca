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

// client returns a client connection to the upstream with room for one more
// request: the one dialled at accept, or, if that is gone or full, a new one.
func (c *conn) client(ctx context.Context) (*http.ClientConn, error) {
	c.mu.Lock()
	live := c.clients[:0]
	var free *http.ClientConn
	for _, client := range c.clients {
		if client.Err() != nil {
			client.Close()
			continue
		}
		live = append(live, client)
		if free == nil && client.Reserve() == nil {
			free = client
		}
	}
	c.clients = live
	c.mu.Unlock()
	if free != nil {
		return free, nil
	}
	nc, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	transport := c.p.transports.http1
	if c.protocol == HTTP2 {
		transport = c.p.transports.http2
	}
	client, err := transport.NewClientConn(context.WithValue(ctx, dialledKey{}, nc), "http", "upstream:80")
	if err != nil {
		nc.Close()
		return nil, err
	}
	if err := client.Reserve(); err != nil {
		client.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		client.Close()
		return nil, errAborted
	default:
	}
	c.clients = append(c.clients, client)
	return client, nil
}

// connect returns a connection to the upstream that nobody uses yet.
func (c *conn) connect(ctx context.Context) (net.Conn, error) {
	up, greeting, err := c.take()
	if err != nil {
		return nil, err
	}
	if up == nil {
		if up, err = c.dial(ctx); err != nil {
			return nil, err
		}
	}
	if len(greeting) > 0 {
		return &greeted{TCPConn: up, greeting: greeting}, nil
	}
	return up, nil
}

// greeted is an upstream that spoke just when its caller did.
type greeted struct {
	*net.TCPConn
	greeting []byte // read by one goroutine, as net/http's clients do
}

func (g *greeted) Read(b []byte) (int, error) {
	if len(g.greeting) > 0 {
		n := copy(b, g.greeting)
		g.greeting = g.greeting[n:]
		return n, nil
	}
	return g.TCPConn.Read(b)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
