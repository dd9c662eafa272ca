package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/sluice-proxy/sluice/codec"
)

// Limits of a head in the exchange lane.
const (
	maxHead       = 60 * codec.KiB
	maxFields     = 100
	maxStreams    = 100
	streamWindow  = 64 * codec.KiB
	sessionWindow = codec.MiB
)

// httpFront reads HTTP/2 requests off connections with net/http and hands them
// to the proxy: the exchange lane. Connections arrive by serveHTTP2 instead of a
// listener.
type httpFront struct {
	server *http.Server
	conns  *handover
}

// newFront starts a front. p.mu is held, or p is not shared yet.
func (p *Proxy) newFront() *httpFront {
	f := &httpFront{conns: &handover{conns: make(chan net.Conn), done: make(chan struct{})}}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	f.server = &http.Server{
		Handler:                      p,
		Protocols:                    &protocols,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the upstream's
		ReadHeaderTimeout:            p.HeadTimeout,
		MaxHeaderBytes:               int(maxHead),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     int(streamWindow),
			MaxReceiveBufferPerConnection: int(sessionWindow),
		},
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc.(*frontConn).conn)
		},
		ConnState: func(nc net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				c := nc.(*frontConn).conn
				c.end(c.failure())
			}
		},
		ErrorLog: log.New(io.Discard, "", 0), // what fails is seen by the exchange
	}
	p.fronts = append(p.fronts, f)
	p.wait.Go(func() { _ = f.server.Serve(f.conns) }) // ends when the front is closed
	return f
}

// serveHTTP2 hands c to the front, which ends it.
func (p *Proxy) serveHTTP2(c *conn) {
	c.protocol, c.lane = HTTP2, LaneExchange
	c.race.enter(LaneExchange, nil)
	nc := &frontConn{TCPConn: c.tcp, conn: c, first: c.first}
	c.first = nil
	for f := p.front(); f != nil; f = p.front() {
		select {
		case f.conns.conns <- nc:
			return
		case <-f.conns.done: // draining has just replaced it
		}
	}
	c.refuse(&Error{Origin: OriginSluice, Reason: "closed"})
}

// sayGoAway sends a graceful GOAWAY on every connection. It gives up on those
// that do not end; [httpFront.close] ends them.
func (f *httpFront) sayGoAway() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()                   // begin the shutdown, do not wait for it
	_ = f.server.Shutdown(ctx) // ctx's error: that is how not to wait
}

func (f *httpFront) close() {
	f.conns.Close()
	f.server.Close()
}

// handover is a net.Listener whose connections were accepted elsewhere.
type handover struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case nc := <-h.conns:
		return nc, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }

// frontConn is a connection as net/http's server sees it: the bytes that were
// read to tell it apart come first, and a reset by the caller ends the
// exchanges on it, while a mere half-close does not.
type frontConn struct {
	*net.TCPConn
	conn *conn

	mu    sync.Mutex // Read may be called by the handler and by the server's background reader in turn
	first []byte
}

func (f *frontConn) Read(b []byte) (int, error) {
	f.mu.Lock()
	if len(f.first) > 0 {
		n := copy(b, f.first)
		f.first = f.first[n:]
		f.mu.Unlock()
		return n, nil
	}
	f.mu.Unlock()
	n, err := f.TCPConn.Read(b)
	switch {
	case err == nil:
		f.conn.spoke()
	case errors.Is(err, io.EOF):
		f.conn.callerEnds()
	case isReset(err):
		f.conn.cancel(&Error{Origin: OriginCaller, Reason: "reset", Err: err})
	}
	return n, err
}

// unread returns what was read to tell the connection apart and net/http has
// not asked for yet. Nothing reads f any more.
func (f *frontConn) unread() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// connKey finds the conn in a request's context, the only way that net/http
// offers to get from a request to its connection.
type connKey struct{}

// failure is why the connection is ending, nil if it ends well.
func (c *conn) failure() error {
	var e *Error
	if errors.As(context.Cause(c.ctx), &e) {
		return e
	}
	return nil
}

// quiet notes that an exchange ended.
func (c *conn) quiet() {
	c.spoke()
	c.exchanges.Add(-1)
	if c.p.draining.Load() {
		if r := c.relayed(); r != nil {
			r.goAway() // who came while draining has got what it came for
		}
	}
	c.release()
}
