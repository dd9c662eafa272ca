package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
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
	if free := c.freeClient(); free != nil {
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
	if free := c.freeClient(); free != nil {
		return free, nil
	}
	return c.makeClient(ctx)
}

// freeClient reserves room on a connection that has it, nil if none does, and
// forgets those that have ended.
func (c *conn) freeClient() *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := c.clients[:0]
	var free *client
	for _, each := range c.clients {
		if each.Err() != nil || each.conn.halfClosed() {
			each.Close()
			continue
		}
		live = append(live, each)
		if free == nil && each.Reserve() == nil {
			free = each
		}
	}
	clear(c.clients[len(live):])
	c.clients = live
	return free
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
	return &upstreamConn{TCPConn: up, greeting: greeting}, nil
}

// upstreamConn is a connection to the upstream as net/http's and grpc-go's
// clients see it. What the upstream said before its caller comes first, and
// an HTTP/1 caller that half-closes after its request is mirrored: a server may
// take that for a hang-up, as it may without us.
type upstreamConn struct {
	*net.TCPConn
	greeting []byte // read by one goroutine, as those clients do

	mu      sync.Mutex // guards what follows
	sending requestState
	direct  bool   // the last write passed net/http's buffer by: nothing is left in it
	request int    // counts the requests that began
	stalled func() // ends the reading of the waiting request's body; nil if none waits
	end     error  // of what the upstream says
	ended   bool   // the caller has ended its side
	shut    bool   // and so has this one, towards the upstream
}

// requestState is how far a request has left.
type requestState uint8

const (
	requestOpen    requestState = iota
	requestWritten              // into net/http's buffer: the next write is the flush
	requestSent
)

// flushPatience is how long a flush is waited for: there is none if the
// buffer was just empty.
const flushPatience = time.Second

func (u *upstreamConn) Read(b []byte) (int, error) {
	if len(u.greeting) > 0 {
		n := copy(b, u.greeting)
		u.greeting = u.greeting[n:]
		return n, nil
	}
	n, err := u.TCPConn.Read(b)
	if err != nil {
		u.over(err)
	}
	return n, err
}

// stallPatience is how long a response that came just before the end may take
// to be noticed.
const stallPatience = 20 * time.Millisecond

// over is called when the upstream has ended. net/http does not say so while it
// waits for more of the request's body, and the caller may have paused.
func (u *upstreamConn) over(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.end = err
	request := u.request
	if u.stalled == nil || u.sending != requestOpen {
		return
	}
	time.AfterFunc(stallPatience, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.stalled != nil && u.request == request {
			u.stalled()
		}
	})
}

func (u *upstreamConn) Write(b []byte) (int, error) {
	n, err := u.TCPConn.Write(b)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.direct = false
	if u.sending == requestWritten {
		u.sent()
	}
	return n, err
}

func (u *upstreamConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := u.TCPConn.ReadFrom(r)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.direct = true
	return n, err
}

// begin is called before an HTTP/1 request is sent. stalled ends the reading of
// its body.
func (u *upstreamConn) begin(stalled func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sending, u.stalled = requestOpen, stalled
	u.request++
}

// answered is called when the request's response has begun, or will not. It
// returns how the upstream ended, nil if it has not.
func (u *upstreamConn) answered() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stalled = nil
	return u.end
}

// written is called when net/http has written a request, but for the flush.
func (u *upstreamConn) written() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sending = requestWritten
	switch {
	case u.direct:
		u.sent()
	case u.ended:
		u.expectFlush()
	}
}

// callerEnded is called when the caller has ended its side.
func (u *upstreamConn) callerEnded() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	switch u.sending {
	case requestWritten:
		u.expectFlush()
	case requestSent:
		u.shutWrite()
	}
}

// expectFlush bounds the wait for a write that may not come. mu is held.
func (u *upstreamConn) expectFlush() {
	time.AfterFunc(flushPatience, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.sending == requestWritten {
			u.sent()
		}
	})
}

// sent is called when a request has left. mu is held.
func (u *upstreamConn) sent() {
	u.sending = requestSent
	if u.ended {
		u.shutWrite()
	}
}

// shutWrite ends our side. mu is held.
func (u *upstreamConn) shutWrite() {
	u.shut = true
	_ = u.CloseWrite() // a connection that is gone says so to its reader
}

// halfClosed reports whether nothing more can be sent. A request that its
// caller had pipelined before it ended takes another connection.
func (u *upstreamConn) halfClosed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.shut
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
