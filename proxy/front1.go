package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// front1 carries one HTTP/1 request of the exchange lane. It stands where
// net/http's server would, behind the strict heads of package http1: it makes
// an *http.Request of a head, takes the response as an http.ResponseWriter,
// and leaves the connection where the next head begins.
type front1 struct {
	r        *relay1
	c        *conn
	in       *sock.Reader
	request  *http.Request
	body     front1Body
	response front1Response

	listening sync.WaitGroup // listen
	hijacked  bool
}

// serveOne carries the request whose head is in the first n bytes of the
// caller's buffer. keep is false if the connection is over.
func (p *Proxy) serveOne(r *relay1, head *http1.Request, n int) (keep bool) {
	return serveOne1(p, r, head, n)
}

func serveOne1(handler http.Handler, r *relay1, head *http1.Request, n int) (keep bool) {
	f := &front1{r: r, c: r.c, in: r.in}
	f.response.begin(f, head)
	f.body.begin(f, head)
	f.request = request1(context.WithValue(r.c.ctx, connKey{}, r.c), r.c, head, &f.body)
	r.in.Discard(n) // head is no more
	f.c.expectRequest()
	if f.body.frame.Done() {
		f.listen()
	}
	aborted := f.serve(handler)
	if !aborted && !f.hijacked {
		f.response.finish()
	}
	f.takeBack()
	if aborted || f.hijacked || f.c.ctx.Err() != nil {
		return false
	}
	return f.settle()
}

// serve runs the exchange. It reports whether that has reset the connection.
func (f *front1) serve(handler http.Handler) (aborted bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		aborted = true
		if v == http.ErrAbortHandler { //nolint:errorlint // a panic's value, as net/http compares it
			return
		}
		f.c.p.Log.Error("panic around an exchange", "panic", fmt.Sprintf("%.64v", v), "stack", string(debug.Stack()))
		f.c.abort(&Error{Origin: OriginSluice, Reason: "panic"})
	}()
	handler.ServeHTTP(&f.response, f.request)
	return false
}

// listen reads on behind the request, so that the caller's end is noticed while
// it waits for the response. takeBack ends it.
func (f *front1) listen() {
	f.listening.Go(func() {
		for {
			_, err := f.in.Fill()
			if err == nil {
				f.c.spoke() // another request that was pipelined: on to what follows it
				continue
			}
			if !errors.Is(err, io.EOF) || len(f.in.Buffered()) == 0 {
				f.c.heard(err)
			}
			return
		}
	})
}

// expectRequest is called before a request, whose caller may end its side at any
// time from now on: the upstream connection that carried the last request may be
// told so only once it has got this one.
func (c *conn) expectRequest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, each := range c.clients {
		each.conn.expectRequest()
	}
}

func (u *upstreamConn) expectRequest() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sending, u.direct = requestOpen, false
}

// heard notes an error of reading the caller.
func (c *conn) heard(err error) {
	switch {
	case errors.Is(err, io.EOF):
		c.callerEnds()
	case isReset(err):
		c.cancel(&Error{Origin: OriginCaller, Reason: "reset", Err: err})
	}
}

// takeBack ends whatever reads the caller for the exchange: the upstream's half
// of it may still do so when it is over.
func (f *front1) takeBack() {
	f.c.tcp.SetReadDeadline(past)
	f.body.stop()
	f.listening.Wait()
	f.c.tcp.SetReadDeadline(time.Time{}) // what ends the connection looks for who is reading after it has ended c.ctx
}

// settle decides about the connection after an exchange that ended well. A body
// that nobody has read is dropped if it is short, and ends the connection if not.
func (f *front1) settle() (keep bool) {
	w, b := &f.response, &f.body
	if w.err != nil || w.length >= 0 && w.written != w.length && !w.bodiless {
		return false
	}
	if !w.closes && b.drop() {
		return true
	}
	if _, err := f.in.TryFill(); len(f.in.Buffered()) > 0 || err == nil && !b.frame.Done() {
		f.r.linger()
	}
	return false
}

// hijack hands the connection over, with what was read of it already.
func (f *front1) hijack() (net.Conn, *bufio.ReadWriter, error) {
	f.takeBack()
	if f.c.ctx.Err() != nil {
		return nil, nil, context.Cause(f.c.ctx)
	}
	f.hijacked = true
	f.c.p.watch.Remove(f.r.callerWatched)
	nc := &frontConn{TCPConn: f.c.tcp, conn: f.c, first: f.in.Take()}
	return nc, bufio.NewReadWriter(bufio.NewReaderSize(nc, 16), bufio.NewWriterSize(nc, 16)), nil
}
