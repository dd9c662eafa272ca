package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/proxy/internal/websocket"
	"github.com/sluice-proxy/sluice/rules"
)

// webSocket is a caller and an upstream that speak WebSocket to each other on a
// route with steps: text messages meet them one by one, all else passes. Where
// there are no steps the two are spliced.
type webSocket struct {
	x                    *exchange
	toUpstream, toCaller webSocketWay
	refusing             sync.Once
}

// webSocketWay is one direction of a webSocket.
type webSocketWay struct {
	from, to *net.TCPConn
	in       *sock.Reader
	masked   bool // as a client's frames are

	mu     sync.Mutex // guards stream and over, and writes to to
	stream *websocket.Stream
	out    []byte
	over   bool // nothing more goes on
}

// opensWebSocket reports whether the exchange has become a WebSocket.
func (x *exchange) opensWebSocket() bool {
	return x.websocket && x.response.in.Status == http.StatusSwitchingProtocols
}

// readsWebSocket reports whether its messages may meet steps.
func (x *exchange) readsWebSocket() bool {
	return x.opensWebSocket() && x.route != nil && (x.route.Request() != nil || x.route.Response() != nil) && !x.unread
}

// stepUpgrade runs the steps over the head of the response that opens a
// WebSocket. What the two ends may have agreed on has to be known here too.
func (x *exchange) stepUpgrade(steps *rules.Steps) error {
	if _, _, ok := websocket.Negotiated(x.response.in.Fields.Values("Sec-WebSocket-Extensions")); !ok {
		failed := &rules.StepError{Route: x.route, Step: "response", Reason: rules.ReasonEncoding, Err: errExtension}
		if err := x.onError(failed, func() { x.unread = true }); err != nil {
			return err
		}
	}
	return x.stepHead(steps, &x.response, &x.record.Response, x.response.in)
}

var errExtension = errors.New("an extension of WebSocket that is not known here")

// newWebSocket joins two connections, of which said and replied were read before.
func (x *exchange) newWebSocket(caller, up *net.TCPConn, said, replied []byte) *webSocket {
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	w := &webSocket{x: x}
	fromCaller, fromUpstream, _ := websocket.Negotiated(x.response.in.Fields.Values("Sec-WebSocket-Extensions"))
	w.toUpstream = w.newWay(caller, up, said, true, fromCaller)
	w.toCaller = w.newWay(up, caller, replied, false, fromUpstream)
	return w
}

func (w *webSocket) newWay(from, to *net.TCPConn, first []byte, fromCaller bool, deflate *websocket.Deflate) webSocketWay {
	return webSocketWay{
		from: from, to: to, in: sock.NewReader(from, &w.x.p.buffers, slices.Clone(first)), masked: fromCaller,
		stream: websocket.New(websocket.Config{
			Deflate: deflate, Max: int(w.x.route.Limits().Message),
			Text: func(data []byte, failed error) ([][]byte, bool, error) { return w.text(fromCaller, data, failed) },
		}),
	}
}

// text runs the steps over a text message. One that is no JSON has no format.
func (w *webSocket) text(fromCaller bool, data []byte, failed error) ([][]byte, bool, error) {
	var large *websocket.Error
	if errors.As(failed, &large) && large.Code == websocket.CloseTooBig {
		failed = fmt.Errorf("%w: %w", codec.ErrTooLarge, failed)
	}
	format, _ := w.x.p.Codecs.ByName("json")
	return w.x.stepStreamed(rules.StreamMessage, fromCaller, streamed{data: data, format: format, lenient: true, failed: failed})
}

// Close ends both connections at once.
func (w *webSocket) Close() {
	intercept.Reset(w.toUpstream.from)
	intercept.Reset(w.toUpstream.to)
}

// run carries messages until both sides have ended.
func (w *webSocket) run() {
	var upstream sync.WaitGroup
	upstream.Go(func() { w.carry(&w.toCaller, &w.toUpstream) })
	w.carry(&w.toUpstream, &w.toCaller)
	upstream.Wait()
	w.toUpstream.to.Close()
}

// carry carries one way until its end.
func (w *webSocket) carry(way, back *webSocketWay) {
	for {
		if len(way.in.Buffered()) == 0 {
			if _, err := way.in.Fill(); err != nil {
				way.ended(err, back)
				return
			}
		}
		switch err, wrote := way.pass(); {
		case wrote != nil:
			intercept.Reset(way.from)
			return
		case err != nil:
			w.refuse(err)
		}
	}
}

// pass passes what is there. err is of the messages, wrote of the connection.
func (way *webSocketWay) pass() (err, wrote error) {
	way.mu.Lock()
	defer way.mu.Unlock()
	got := way.in.Buffered()
	defer way.in.Discard(len(got))
	if way.over {
		return nil, nil
	}
	way.out, err = way.stream.Append(way.out[:0], got)
	if len(way.out) > 0 {
		_, wrote = way.to.Write(way.out)
	}
	way.out = kept(way.out)
	if _, ok := err.(*websocket.Error); ok { // not as the cause of a step's error
		origin := OriginUpstream
		if way.masked {
			origin = OriginCaller
		}
		err = &Error{Origin: origin, Reason: intercept.Protocol, Err: err}
	}
	return err, wrote
}

// ended does to the other side what this one did.
func (way *webSocketWay) ended(err error, back *webSocketWay) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return // it has been told that this is over, or does not come to an end
	case !errors.Is(err, io.EOF):
		intercept.Reset(way.to)
		return
	}
	way.mu.Lock()
	defer way.mu.Unlock()
	if way.over {
		return
	}
	way.over = true
	_ = way.to.CloseWrite() // a connection that is gone says so to its reader
	_ = back.from.SetReadDeadline(time.Now().Add(splice.DefaultHalfClose))
}

// refuse ends the connection because of a message: both sides hear a Close frame
// that says why, and have a moment to hang up.
func (w *webSocket) refuse(err error) {
	w.refusing.Do(func() {
		w.x.mu.Lock()
		w.x.explain(err)
		w.x.mu.Unlock()
		code, reason := closeOf(err)
		until := time.Now().Add(farewell)
		w.toUpstream.from.SetDeadline(until)
		w.toUpstream.to.SetDeadline(until)
		w.toUpstream.mu.Lock()
		defer w.toUpstream.mu.Unlock()
		w.toCaller.mu.Lock() // both at once: who hears it and hangs up must not be first
		defer w.toCaller.mu.Unlock()
		w.toUpstream.sayClose(code, reason)
		w.toCaller.sayClose(code, reason)
	})
}

// sayClose ends a way with a Close frame, if a frame may stand there. way.mu is
// held.
func (way *webSocketWay) sayClose(code uint16, reason string) {
	if way.over {
		return
	}
	way.over = true
	if way.stream.Between() {
		_, _ = way.to.Write(websocket.AppendClose(nil, code, reason, way.masked)) // who is gone need not be told
	}
	_ = way.to.CloseWrite()
}

// closeOf is the status and reason of a Close frame for an error.
func closeOf(err error) (code uint16, reason string) {
	var reject *rejection
	var violated *websocket.Error
	var failed *rules.StepError
	switch {
	case errors.As(err, &reject):
		return websocket.ClosePolicyViolation, reject.Message
	case errors.As(err, &failed):
		code = websocket.CloseInternalError
		if failed.Reason == rules.ReasonTooLarge {
			code = websocket.CloseTooBig
		}
		return code, fmt.Sprintf("%s/%s; %s", failed.Route.Name(), failed.Step, failed.Reason)
	case errors.As(err, &violated):
		return violated.Code, violated.Reason
	}
	return websocket.CloseInternalError, ""
}
