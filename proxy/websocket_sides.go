package proxy

import (
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
)

// webSocketConns are the two connections of a WebSocket over HTTP/1.
type webSocketConns struct{ caller, up *net.TCPConn }

// Close ends both connections at once.
func (w webSocketConns) Close() {
	intercept.Reset(w.caller)
	intercept.Reset(w.up)
}

// carryWebSocket carries a WebSocket over HTTP/1 to its end. said and replied
// were read before.
func (x *exchange) carryWebSocket(lane Lane, caller, up *net.TCPConn, said, replied []byte) {
	x.c.race.enter(lane, webSocketConns{caller, up})
	x.newWebSocket(
		&webSocketConn{tcp: caller, in: sock.NewReader(caller, &x.p.buffers, slices.Clone(said))},
		&webSocketConn{tcp: up, in: sock.NewReader(up, &x.p.buffers, slices.Clone(replied))},
	).run()
	up.Close()
	x.c.end(x.c.failure())
}

// webSocketConn is a side whose bytes are those of a connection.
type webSocketConn struct {
	tcp  *net.TCPConn
	in   *sock.Reader
	lent int // of what is buffered in in, to receive's caller
}

func (c *webSocketConn) receive() ([]byte, error) {
	c.in.Discard(c.lent)
	c.lent = 0
	if len(c.in.Buffered()) == 0 {
		if _, err := c.in.Fill(); err != nil {
			return nil, err
		}
	}
	got := c.in.Buffered()
	c.lent = len(got)
	return got, nil
}

func (c *webSocketConn) say(b []byte) error {
	_, err := c.tcp.Write(b)
	return err
}

func (c *webSocketConn) sayEnd() { _ = c.tcp.CloseWrite() } // a connection that is gone says so to its reader

func (c *webSocketConn) hearsLast() { c.tcp.SetReadDeadline(time.Now().Add(splice.DefaultHalfClose)) }

func (c *webSocketConn) leaveBy(until time.Time) { c.tcp.SetDeadline(until) }

func (c *webSocketConn) deaf(error) { intercept.Reset(c.tcp) }

func (c *webSocketConn) reset(error) { intercept.Reset(c.tcp) }

// webSocketStream is a side whose bytes are the DATA of a stream (RFC 8441): its
// END_STREAM is what a connection's end is over HTTP/1, and its RST_STREAM what
// a reset is.
type webSocketStream struct {
	s     *http2.Stream
	leave *time.Timer // nil until leaveBy
}

func (c *webSocketStream) receive() ([]byte, error) { return c.s.Take() }

func (c *webSocketStream) say(b []byte) error { return c.s.Write(b, false) }

func (c *webSocketStream) sayEnd() { _ = c.s.Write(nil, true) } // a stream that is over says so to its reader

// hearsLast does nothing: a stream may be half-closed for as long as its
// connection lives.
func (c *webSocketStream) hearsLast() {}

func (c *webSocketStream) leaveBy(until time.Time) {
	c.leave = time.AfterFunc(time.Until(until), func() { c.s.Interrupt(os.ErrDeadlineExceeded) })
}

// deaf lets the side go on: the one that hears nothing has ended or reset its
// stream, which its own way meets.
func (c *webSocketStream) deaf(error) { c.s.Discard() }

func (c *webSocketStream) reset(err error) { c.s.Reset(resetCode2(err)) }

func (c *webSocketStream) stop() {
	if c.leave != nil {
		c.leave.Stop()
	}
}

// asksWebSocket2 reports whether a request asks for a WebSocket over HTTP/2 (RFC
// 8441, 5).
func asksWebSocket2(q *http2.Request) bool {
	return q.Method == http.MethodConnect && strings.EqualFold(q.Protocol, "websocket")
}

// passWebSocket carries the messages of a WebSocket, whose head has left.
func (x *ruledStream) passWebSocket() error {
	x.r.link.Flush()
	caller, up := &webSocketStream{s: x.caller}, &webSocketStream{s: x.upstream}
	w := x.newWebSocket(caller, up)
	w.run()
	caller.stop()
	up.stop()
	x.state.Lock()
	gone := x.gone
	x.state.Unlock()
	switch {
	case w.refused != nil:
		x.told = true // by a Close frame
		return w.refused
	case gone || w.toUpstream.failed != nil && w.toCaller.failed == nil:
		return x.callerGone()
	case w.toCaller.failed != nil:
		return x.upstreamFailed(asUpstream2(w.toCaller.failed))
	}
	return nil
}
