package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/websocket"
	"github.com/sluice-proxy/sluice/rules"
)

// webSocket is a caller and an upstream that speak WebSocket to each other on a
// route with steps: text messages meet them one by one, all else passes. Where
// there are no steps the two are spliced.
type webSocket struct {
	x                    *exchange
	toUpstream, toCaller webSocketWay

	refusing sync.Once
	refused  error // of a message; read when both ways are over
}

// webSocketWay is one direction of a webSocket.
type webSocketWay struct {
	from, to webSocketSide
	masked   bool // as a client's frames are

	mu     sync.Mutex // guards stream and over, and what is said to to
	stream *websocket.Stream
	out    []byte
	over   bool // nothing more goes on

	failed error // what reading from ended with, if not with its end; of the goroutine that carries
}

// webSocketSide is one of the two ends of a webSocket, whatever its bytes come
// in. What is said to it is said by one goroutine at a time.
type webSocketSide interface {
	// receive waits for bytes, which are valid until the next call. Its error is
	// io.EOF at the end, and os.ErrDeadlineExceeded after the time of leaveBy.
	receive() ([]byte, error)
	say(b []byte) error
	sayEnd()                 // nothing more is said
	hearsLast()              // the other side has ended
	leaveBy(until time.Time) // receive and say wait no longer than that
	deaf(err error)          // what this side says reaches nobody any more
	reset(err error)         // the other side ended with err, before its time
}

// opensWebSocket reports whether the exchange has become a WebSocket.
func (x *exchange) opensWebSocket() bool {
	status := x.response.in.Status
	return x.websocket && (status == http.StatusSwitchingProtocols || x.c.protocol == HTTP2 && status/100 == 2)
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

// newWebSocket joins two sides.
func (x *exchange) newWebSocket(caller, up webSocketSide) *webSocket {
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	w := &webSocket{x: x}
	fromCaller, fromUpstream, _ := websocket.Negotiated(x.response.in.Fields.Values("Sec-WebSocket-Extensions"))
	w.toUpstream = w.newWay(caller, up, true, fromCaller)
	w.toCaller = w.newWay(up, caller, false, fromUpstream)
	return w
}

func (w *webSocket) newWay(from, to webSocketSide, fromCaller bool, deflate *websocket.Deflate) webSocketWay {
	return webSocketWay{
		from: from, to: to, masked: fromCaller,
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

// run carries messages until both sides have ended.
func (w *webSocket) run() {
	var upstream sync.WaitGroup
	upstream.Go(func() { w.carry(&w.toCaller, &w.toUpstream) })
	w.carry(&w.toUpstream, &w.toCaller)
	upstream.Wait()
}

// carry carries one way until its end.
func (w *webSocket) carry(way, back *webSocketWay) {
	defer w.x.c.contain()
	for {
		got, err := way.from.receive()
		if len(got) > 0 {
			w.x.deadlines.moved()
			switch err, unheard := way.pass(got); {
			case unheard != nil:
				way.from.deaf(unheard)
				return
			case err != nil:
				w.refuse(err)
			}
		}
		if err != nil {
			way.ended(err, back)
			return
		}
	}
}

// pass passes what came. err is of the messages, unheard of who hears them.
func (way *webSocketWay) pass(got []byte) (err, unheard error) {
	way.mu.Lock()
	defer way.mu.Unlock()
	if way.over {
		return nil, nil
	}
	way.out, err = way.stream.Append(way.out[:0], got)
	if len(way.out) > 0 {
		unheard = way.to.say(way.out)
	}
	way.out = kept(way.out)
	if _, ok := err.(*websocket.Error); ok { // not as the cause of a step's error
		origin := OriginUpstream
		if way.masked {
			origin = OriginCaller
		}
		err = &Error{Origin: origin, Reason: intercept.Protocol, Err: err}
	}
	return err, unheard
}

// ended does to the other side what this one did.
func (way *webSocketWay) ended(err error, back *webSocketWay) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return // it has been told that this is over, or does not come to an end
	case !errors.Is(err, io.EOF):
		way.failed = err
		way.to.reset(err)
		return
	}
	way.mu.Lock()
	defer way.mu.Unlock()
	if way.over {
		return
	}
	way.over = true
	way.to.sayEnd()
	back.from.hearsLast()
}

// refuse ends the connection because of a message: both sides hear a Close frame
// that says why, and have a moment to hang up.
func (w *webSocket) refuse(err error) {
	w.refusing.Do(func() {
		w.refused = err
		w.x.mu.Lock()
		w.x.explain(err)
		w.x.mu.Unlock()
		code, reason := closeOf(err)
		until := time.Now().Add(farewell)
		w.toUpstream.from.leaveBy(until)
		w.toUpstream.to.leaveBy(until)
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
		_ = way.to.say(websocket.AppendClose(nil, code, reason, way.masked)) // who is gone need not be told
	}
	way.to.sayEnd()
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
