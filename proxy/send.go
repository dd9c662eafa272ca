package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
)

// roundTrip sends the request once, and is done when a response has begun. A
// connection that turned out to be going away before anything of the request
// left on it does not count: the request goes on the next one.
func (x *netLane) roundTrip() error {
	x.sent = time.Now()
	if x.opensTunnel() {
		x.record.Attempts = 1
		return x.sendTunnel()
	}
	for range maxUnsent {
		client, err := x.c.client(x.ctx)
		if err != nil {
			return err
		}
		out := x.outgoing()
		var left unsent
		if out.Body != nil && out.Body != http.NoBody {
			left.ReadCloser, out.Body = out.Body, &left
		}
		x.answered, err = client.RoundTrip(out.WithContext(httptrace.WithClientTrace(x.ctx, x.trace(client, &left.began))))
		if ended := client.conn.answered(); ended != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			err = ended // the reading of the body was ended for it
		}
		if left.began.Load() {
			x.record.Attempts = 1
		}
		switch {
		case err != nil && !left.began.Load() && x.ctx.Err() == nil:
			continue
		case err != nil:
			return err
		case x.answered.StatusCode < 200:
			x.answered.Body.Close()
			return errUnasked
		}
		return nil
	}
	return &Error{Origin: OriginUpstream, Reason: intercept.WasReset, Err: errors.New("every connection was going away")}
}

// maxUnsent is how many connections may turn out to be going away, one after
// the other, before an exchange gives up.
const maxUnsent = 4

// unsent is the body of a request that may still go on another connection.
// net/http closes the body of a request that failed; before anything was
// written that would lose it.
type unsent struct {
	io.ReadCloser
	began atomic.Bool // the head was written
}

func (u *unsent) Close() error {
	if !u.began.Load() {
		return nil
	}
	return u.ReadCloser.Close()
}

// trace is what has to be known of the request on its way.
func (x *netLane) trace(client *client, began *atomic.Bool) *httptrace.ClientTrace {
	if x.c.protocol == HTTP1 {
		client.conn.begin(func() { _ = x.c.tcp.SetReadDeadline(past) })
	}
	trace := &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { began.Store(true) },
		WroteHeaders:     func() { began.Store(true) },
	}
	if x.c.protocol == HTTP1 {
		trace.WroteRequest = func(httptrace.WroteRequestInfo) { client.conn.written() }
	}
	if x.fronted() {
		trace.Got1xxResponse = x.interim
	}
	if x.expects() {
		trace.GotFirstResponseByte = func() { x.request.body.refused.Store(true) }
		trace.Got100Continue = func() { x.request.body.refused.Store(false) }
	}
	return trace
}

// errUnasked is an upstream that switches protocols although nobody asked.
var errUnasked = errors.New("a final response with an interim status")

// outgoing is the request as it goes to the upstream.
func (x *netLane) outgoing() *http.Request {
	head, in := x.request.out, x.r
	body, size := x.request.body.outgoing()
	out := &http.Request{
		Method:        head.Method,
		URL:           target(head, x.request.in, in, x.authority()),
		Host:          head.Host,
		Proto:         "HTTP/1.1", // else net/http does not wait where the caller expects 100
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header(head.Fields, "User-Agent"),
		Body:          body,
		ContentLength: size,
		// GetBody stays nil: nothing may be sent twice.
	}
	if _, ok := in.Header["Content-Length"]; ok && size == 0 {
		out.Body = http.NoBody
	}
	if out.Body == http.NoBody {
		out.Body = nil
		if _, ok := in.Header["Content-Length"]; ok && x.c.protocol == HTTP1 {
			// Says Content-Length: 0 where the caller did, but for GET and HEAD.
			out.Body, out.TransferEncoding = http.NoBody, []string{"identity"}
		}
	}
	if x.upgrades() {
		out.Header["Connection"] = []string{"Upgrade"}
		out.Header["Upgrade"] = in.Header["Upgrade"]
		if settings, ok := in.Header["Http2-Settings"]; ok {
			out.Header["Connection"] = []string{"Upgrade, HTTP2-Settings"}
			out.Header["Http2-Settings"] = settings
		}
	}
	if size < 0 || len(in.Trailer) > 0 {
		out.Trailer = make(http.Header, len(in.Trailer))
		for name := range in.Trailer {
			out.Trailer[name] = nil
		}
		copyTrailer := func() {
			for name, values := range in.Trailer {
				out.Trailer[name] = values
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			x.request.trailers = endToEnd(in.Trailer)
		}
		if p, ok := body.(*passing); ok {
			p.atEOF = copyTrailer
		} else {
			copyTrailer()
			out.ContentLength = -1
		}
	}
	return out
}

// authority fills the URL field that net/http wants; Host is what is sent.
func (x *netLane) authority() string {
	if host := x.request.out.Host; host != "" {
		return host
	}
	return x.c.address()
}

// expects reports whether the caller waits for the upstream's word before it
// sends its body.
func (x *netLane) expects() bool {
	return x.c.protocol == HTTP1 && x.fronted() && x.r.ContentLength != 0 && strings.EqualFold(x.r.Header.Get("Expect"), "100-continue")
}

// fronted reports whether interim responses can reach the caller.
func (x *netLane) fronted() bool { return x.r.ProtoAtLeast(1, 1) }

// interim passes a 1xx response on (RFC 9110, 15.2).
func (x *netLane) interim(status int, fields textproto.MIMEHeader) error {
	if status == http.StatusSwitchingProtocols || status == http.StatusContinue && x.request.body.continued() {
		return nil
	}
	x.request.body.refused.Store(false)
	h := x.w.Header()
	for name, values := range fields {
		if !hopByHop[name] {
			h[name] = values
		}
	}
	x.w.WriteHeader(status)
	clear(h)
	return nil
}
