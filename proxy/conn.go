package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/rules"
)

// conn is one accepted connection and what belongs to it upstream.
type conn struct {
	Conn
	p        *Proxy
	listener *Listener
	tcp      *net.TCPConn
	protocol Protocol
	lane     Lane
	sni      string
	alpn     []string

	// ctx ends when the caller resets the connection or the proxy closes.
	ctx    context.Context //nolint:containedctx // the connection's life, which its exchanges share
	cancel context.CancelCauseFunc

	race  race          // who speaks first
	first []byte        // what the caller said while it was told apart
	pipe  *splice.Pipe  // in the splice lane
	relay relayConn     // in the relay lane; guarded by mu
	ends  sync.Once     // guards the end of the connection
	done  chan struct{} // closed at its end

	users     atomic.Int64 // the connection itself until its end, and each exchange in flight
	exchanges atomic.Int64 // in flight
	quietAt   atomic.Int64 // when it last spoke or an exchange ended, in Unix nanoseconds

	callerEnded atomic.Bool // an HTTP/1 caller has ended its side

	askedAt time.Time // when a verbatim connection was first asked to go away; guarded by p.mu

	making chan struct{} // holds one while a client connection is made

	mu      sync.Mutex // guards what follows
	clients []*client
	calls   *callConn // for gRPC calls whose messages a route reads
}

// open describes a connection that was just accepted. With an error the conn is
// good for refuse only.
func (p *Proxy) open(l *Listener, nc net.Conn) (*conn, error) {
	c := &conn{
		p: p, listener: l, tcp: nc.(*net.TCPConn), protocol: Unknown, lane: LaneNone, done: make(chan struct{}), making: make(chan struct{}, 1),
		Conn: Conn{
			ID:        p.ids.next(),
			Direction: l.Direction,
			Listener:  l.Name,
			Upstream:  l.Upstream,
			Opened:    time.Now(),
		},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.Peer = addrPort(nc.RemoteAddr())
	c.quietAt.Store(c.Opened.UnixNano())
	c.users.Store(1)
	c.race.init()
	if !p.add(c) {
		return c, &Error{Origin: OriginSluice, Reason: "closed"}
	}
	err := c.locate()
	if err == nil {
		p.Observer.Observe(&ConnOpened{c.Conn})
	}
	return c, err
}

// acceptFailed tells that a listener could not accept, and goes on.
func (p *Proxy) acceptFailed(l *Listener) func(error, time.Duration) {
	return func(err error, wait time.Duration) {
		p.Log.Error("accept failed", "listener", l.Name, "error", err, "wait", wait.String())
	}
}

// locate finds where the connection was going.
func (c *conn) locate() error {
	if c.Upstream != "" {
		c.Destination = placeOf(c.Upstream)
		if c.p.dialer.IsOutgoing(c.Peer, addrPort(c.tcp.LocalAddr())) {
			return &Error{Origin: OriginSluice, Reason: "loop", Err: intercept.ErrLoop}
		}
		return nil
	}
	locate := c.listener.Destination
	if locate == nil {
		locate = intercept.OriginalDestination
	}
	destination, err := locate(c.tcp)
	if err != nil {
		return &Error{Origin: OriginSluice, Reason: "no_destination", Err: err}
	}
	c.Destination = destination
	if c.listener.Dial != nil {
		return nil // another network's addresses say nothing about ours
	}
	if c.p.own.IsOwn(destination) || c.p.dialer.IsOutgoing(c.Peer, destination) {
		return &Error{Origin: OriginSluice, Reason: "loop", Err: intercept.ErrLoop}
	}
	return nil
}

// address is where the upstream is dialled.
func (c *conn) address() string {
	if c.Upstream != "" {
		return c.Upstream
	}
	return c.Destination.String()
}

// port is the destination's port, for matching.
func (c *conn) port() uint16 { return c.Destination.Port() }

// placeOf is the destination of a connection for an upstream that is given as
// host:port: without an address, but with its port.
func placeOf(upstream string) netip.AddrPort {
	_, port, _ := net.SplitHostPort(upstream)
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.Addr{}, uint16(n))
}

// dial makes a connection to the upstream.
func (c *conn) dial(ctx context.Context) (*net.TCPConn, error) {
	if c.listener.Transparent {
		ctx, cancel := context.WithTimeout(ctx, c.p.ConnectTimeout)
		defer cancel()
		return c.p.dialer.DialFrom(ctx, c.address(), c.Peer.Addr())
	}
	return c.p.dial(ctx, c.listener, c.address())
}

// dial connects to what is behind a listener.
func (p *Proxy) dial(ctx context.Context, l *Listener, address string) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.ConnectTimeout)
	defer cancel()
	if l.Dial != nil {
		return l.Dial(ctx, address)
	}
	return p.dialer.Dial(ctx, address)
}

// refuse ends a connection that takes no lane, with a reset.
func (c *conn) refuse(err error) {
	c.lane = LaneNone
	c.abort(err)
	c.end(err)
}

// abort resets the caller's connection because of cause; whoever carries it
// will end it.
func (c *conn) abort(cause error) {
	c.cancel(cause)
	intercept.Reset(c.tcp)
	if pipe := c.race.pipe(); pipe != nil {
		pipe.Close()
	}
}

// panicked is the error of a connection whose goroutine has panicked, which is
// logged without what passes.
func (c *conn) panicked(v any) error {
	c.p.Log.Error("panic in a connection", "id", c.ID, "panic", fmt.Sprintf("%.64v", v), "stack", string(debug.Stack()))
	return &Error{Origin: OriginSluice, Reason: string(rules.ReasonPanic)}
}

// contain is deferred by the goroutines of a connection, which is aborted if one
// panics: it must not take the process with it.
func (c *conn) contain() {
	if v := recover(); v != nil {
		c.abort(c.panicked(v))
	}
}

// contained is run, with a panic as its error.
func (c *conn) contained(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = c.panicked(v)
			c.abort(err)
		}
	}()
	return run()
}

// mayHangUp reports whether an idle connection can be closed while draining. A
// caller of HTTP/2 has to know before, or its next streams are lost: it is asked
// to go away, and has that long to hear it. A ruled connection ends by itself
// once its caller has heard.
func (c *conn) mayHangUp(patience time.Duration) bool {
	switch c.relayed().(type) {
	case *ruled:
		return false
	case *verbatim:
		if c.askedAt.IsZero() {
			c.askedAt = time.Now()
		}
		return time.Since(c.askedAt) > patience
	}
	return true
}

// hangUp closes the caller's connection, which is idle, without a reset.
func (c *conn) hangUp() {
	if r, ok := c.relayed().(interface{ hangUp() }); ok {
		r.hangUp()
		return
	}
	c.cancel(errEnded)
	c.tcp.Close()
}

// end closes both sides and tells the observers, once.
func (c *conn) end(err error) {
	c.ends.Do(func() {
		defer c.release()
		c.cancel(errEnded)
		c.tcp.Close()
		c.race.close()
		c.mu.Lock()
		close(c.done)
		clients, calls := c.clients, c.calls
		c.clients, c.calls = nil, nil
		c.mu.Unlock()
		for _, client := range clients {
			client.Close()
		}
		if calls != nil {
			calls.close()
		}
		closed := &ConnClosed{
			Conn: c.Conn, Protocol: c.protocol, Lane: c.lane, SNI: c.sni, ALPN: c.alpn,
			Duration: time.Since(c.Opened),
			Error:    asError(err),
		}
		if c.pipe != nil {
			stats := c.pipe.Stats()
			closed.Sent, closed.Received = stats.AtoB, stats.BtoA
		}
		c.p.Observer.Observe(closed)
	})
}

// release takes back one use of the connection. Its last one makes the proxy
// forget it.
func (c *conn) release() {
	if c.users.Add(-1) == 0 {
		c.p.remove(c)
	}
}

// idleFor returns how long the connection has been silent without an exchange:
// between two of them, or before its first word. It is zero for a connection
// that has an exchange or is spliced.
func (c *conn) idleFor() time.Duration {
	if c.exchanges.Load() > 0 || c.race.laneOf() == LaneSplice {
		return 0
	}
	return time.Since(time.Unix(0, c.quietAt.Load()))
}

// setRelay notes who carries the connection in the relay lane.
func (c *conn) setRelay(r relayConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relay = r
}

// spoke notes that the caller said something.
func (c *conn) spoke() { c.quietAt.Store(time.Now().UnixNano()) }

// errEnded is the cause of a connection's context at its ordinary end.
var errEnded = errors.New("connection ended")

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
