package proxy

import (
	"net/http"

	"github.com/sluice-proxy/sluice/proxy/internal/detect"
)

// netLane carries an exchange by net/http, and a gRPC call whose messages a
// route touches by grpc-go: the exchange lane.
type netLane struct {
	*exchange
	w http.ResponseWriter
	r *http.Request

	answered *http.Response // the upstream's, or a fallback's
	tunnel   *tunnel        // of CONNECT and Upgrade

	// Of a call that is read message by message: call.go.
	gate    *gate
	joined  callJoin
	calls   *callConn // whose connection the call took, nil if none yet
	watch   callWatch // what grpc-go shows of the upstream's half
	callErr error     // how the call ended; valid once joined
}

var _ wire = (*netLane)(nil)

// begin opens the exchange of a request that net/http has read.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *netLane {
	c := r.Context().Value(connKey{}).(*conn)
	x := &netLane{exchange: new(exchange), w: w, r: r}
	a := arrival{lane: LaneExchange, protocol: HTTP1, head: requestHead(r), ctx: c.ctx}
	if r.ProtoMajor == 2 {
		// A stream that was reset ends its exchange. In HTTP/1 net/http ends the
		// request's context when the caller half-closes, which is no reason.
		a.protocol, a.ctx = HTTP2, r.Context()
	} else {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1 always can
	}
	x.open(c, x, a)
	x.malformed = checkHead(r)
	x.websocket = x.upgrades() && lists(r.Header["Upgrade"], "websocket")
	x.request.body = body{x: x.exchange, stream: r.Body, size: r.ContentLength}
	return x
}

// checkHead makes the checks of a head that net/http does not make.
func checkHead(r *http.Request) error {
	n := 0
	for _, values := range r.Header {
		n += len(values)
	}
	switch {
	case n > maxFields:
		return &Error{Origin: OriginCaller, Reason: "too_many_fields"}
	case len(r.Method)+len(r.RequestURI)+len(" HTTP/1.1\r\n") > detect.MaxLine:
		return &Error{Origin: OriginCaller, Reason: "line_too_long"}
	}
	return nil
}

// call implements [wire].
func (x *netLane) call() error { return x.serveCall() }

// send implements [wire].
func (x *netLane) send() error {
	x.startDeadlines()
	if err := x.roundTrip(); err != nil { // send.go
		return err
	}
	head := responseHead(x.answered)
	x.response.in, x.response.out = head, x.pointed(head)
	x.response.body = body{x: x.exchange, stream: x.answered.Body, size: x.answered.ContentLength}
	if x.shade != nil && x.answered.Body != http.NoBody {
		x.response.body.stream = x.shade.response.reader(x.answered.Body, x.answered.ContentLength)
	}
	x.headCame()
	return nil
}

// finished implements [wire].
func (x *netLane) finished(err error, abort bool) {
	defer x.closeTunnel()
	if x.expects() && !x.request.body.continued() {
		x.c.tcp.SetReadDeadline(past) // net/http closes the connection; it need not wait for the body
	}
	if abort {
		if x.c.protocol == HTTP1 {
			// A clean end would be a lie, and in HTTP/1.0 or a body without a length
			// the only other thing net/http can do.
			x.c.abort(err)
		}
		panic(http.ErrAbortHandler)
	}
}

// fallenBack is the route's fallback as net/http has responses.
func (x *netLane) fallenBack() *http.Response {
	out := x.response.out
	resp := &http.Response{StatusCode: out.Status, Header: header(out.Fields), ProtoMajor: 1, ProtoMinor: 1, ContentLength: x.response.body.size}
	if len(x.response.trailers) > 0 {
		resp.Trailer = header(x.response.trailers)
	}
	return resp
}
