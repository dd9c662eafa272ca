package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// exchange1 is an exchange of a relay1. It is used again when it is over.
type exchange1 struct {
	exchange
	r     *relay1
	heads heads1

	head1     http1.Request // as parsed; of the caller's buffer until hold
	size      int           // of the head in that buffer, empty lines before it included; 0 once it has been taken out
	held      []byte        // the head, once more than it has to be read
	reply1    http1.Response
	replySize int    // the same as size for the response
	heldReply []byte // and as held
	upload    body1  // the request's body
	download  body1  // the response's
	scratch   []byte

	keptRequest, keptResponse []byte  // memory for what bodies keep
	roomRequest, roomResponse []byte  // and for what steps make of them
	seenRequest, seenResponse capture // of bodies as they pass

	pumping  sync.WaitGroup // pump, while a body is longer than what came with its head
	pumped   bool           // pump was started
	pumpDone atomic.Bool
	pumpStop atomic.Bool // nobody wants the rest
	pumpErr  error       // why it ended early; valid once pumping is done

	continued bool // the caller was told to go on with its body
	tunnels   bool // the upstream agreed to a tunnel
	ends      bool // the connection ends after this exchange, on Sluice's account
}

var _ wire = (*exchange1)(nil)

// maxScratch is the largest scratch buffer that is kept.
const maxScratch = 64 << 10

// reset makes x ready for another exchange.
func (x *exchange1) reset() {
	scratch, held, heldReply := kept(x.scratch), kept(x.held), kept(x.heldReply)
	if x.upload.in != nil {
		x.keptRequest = kept(x.upload.kept)
	}
	if x.download.in != nil {
		x.keptResponse = kept(x.download.kept)
	}
	x.roomRequest, x.roomResponse = reused(x.roomRequest, x.request.body.room), reused(x.roomResponse, x.response.body.room)
	x.head1.Reset()
	x.reply1.Reset()
	x.exchange = exchange{}
	x.upload, x.download = body1{}, body1{}
	x.heads.reset()
	x.r, x.size, x.replySize, x.scratch, x.held, x.heldReply = nil, 0, 0, scratch, held, heldReply
	x.pumpStop.Store(false)
	x.pumped, x.pumpErr, x.continued, x.tunnels, x.ends = false, nil, false, false, false
}

// kept is the buffer to use again, if it is not too large for that.
func kept(b []byte) []byte {
	if cap(b) > maxScratch {
		return nil
	}
	return b[:0]
}

// carry carries one exchange whose first byte is there. keep is false if the
// connection is over.
func (x *exchange1) carry() (keep bool) {
	n, err := x.readHead()
	var refused *http1.Error
	if err != nil {
		if refused = refusal(err); refused == nil {
			return false
		}
	}
	if refused == nil && x.lane() == LaneExchange {
		return x.r.c.p.serveOne(x.r, &x.head1, n) // front1.go
	}
	x.begin(n, refused)
	x.finish(x.guarded())
	return x.settled()
}

// refusal is what is wrong with a head, nil if err is of the connection.
func refusal(err error) *http1.Error {
	var refused *http1.Error
	_ = errors.As(err, &refused)
	return refused
}

// lane is the lane of the request that was just read.
func (x *exchange1) lane() Lane {
	c := x.r.c
	p, set := c.p, c.p.Rules.Load()
	if p.LaneOf == nil || !set.CanTouch(c.Direction, c.port()) {
		return p.laneOf(nil)
	}
	// The route is found once more when the exchange begins, with the rules then.
	head := new(heads1).setRequest(&x.head1)
	q := c.call(head, callKindOf(head, HTTP1))
	m, err := set.Match(c.ctx, &q, time.Now())
	if err != nil {
		return LaneRelay // which will find the same error
	}
	return p.laneOf(m.Route)
}

// readHead reads the head of a request. Where it comes in pieces, HeadTimeout
// bounds the wait.
func (x *exchange1) readHead() (n int, err error) {
	in, c := x.r.in, x.r.c
	n, err = x.head1.Parse(in.Buffered(), limits1)
	if n > 0 || err != nil {
		return n, err
	}
	until := time.Now().Add(c.p.HeadTimeout)
	for n == 0 {
		c.tcp.SetReadDeadline(until)
		if _, err := in.Fill(); err != nil {
			switch {
			case c.ctx.Err() != nil:
			case errors.Is(err, io.EOF):
				x.r.callerEnded()
			case errors.Is(err, os.ErrDeadlineExceeded):
				if time.Now().Before(until) {
					continue // woken for what the upstream did; await looks at that
				}
				c.abort(&Error{Origin: OriginCaller, Reason: "head_timeout"})
			case isReset(err):
				x.r.mirrorReset()
				c.cancel(&Error{Origin: OriginCaller, Reason: "reset", Err: err})
			}
			return 0, err
		}
		if n, err = x.head1.Parse(in.Buffered(), limits1); err != nil {
			break
		}
	}
	c.tcp.SetReadDeadline(time.Time{})
	return n, err
}

// begin opens the exchange of the head in the first n bytes of the caller's
// buffer, or of one that was refused.
func (x *exchange1) begin(n int, refused *http1.Error) {
	head := &x.heads.request
	if refused == nil {
		head = x.heads.setRequest(&x.head1)
	}
	x.open(x.r.c, x, arrival{lane: LaneRelay, protocol: HTTP1, head: head, ctx: x.r.c.ctx, shared: true})
	x.size = n
	if x.touchable() {
		sock.Tell() // a rule may compute for long
	}
	if refused != nil {
		x.malformed = &Error{Origin: OriginCaller, Reason: refused.Reason, Err: refused}
		x.request.body = body{x: &x.exchange, stream: http.NoBody}
		x.ends = true
		return
	}
	x.sized = x.head1.Minor == 0
	x.websocket = x.head1.Upgrade && lists([]string{string(x.head1.Get(http1.UpgradeField))}, "websocket")
	x.upload = body1{in: x.r.in, x: x, kept: x.keptRequest}
	x.upload.frame.Reset(x.head1.Framing)
	x.request.body = body{x: &x.exchange, stream: &x.upload, size: size1(x.head1.Framing), room: x.roomRequest}
	if x.head1.Kind == http1.None {
		x.request.body.stream = http.NoBody
	}
}

// size1 is the size of a body as it is declared, -1 if it is not.
func size1(f http1.Framing) int64 {
	switch f.Kind {
	case http1.None:
		return 0
	case http1.Length:
		return f.Length
	}
	return -1
}

// fillUpload reads more of the request's body for a step, and tells a caller
// who waits for it to go on.
func (x *exchange1) fillUpload() error {
	if x.head1.ExpectContinue && !x.continued && len(x.r.in.Buffered()) == 0 {
		if _, err := x.r.in.TryFill(); err != nil {
			return x.callerFailed(err)
		}
		if len(x.r.in.Buffered()) == 0 {
			if _, err := io.WriteString(x.r.c.tcp, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return x.callerFailed(err)
			}
		}
	}
	x.continued = true
	for len(x.r.in.Buffered()) == 0 {
		if _, err := x.r.in.Fill(); err != nil && (x.pumpStop.Load() || !x.r.wokenInVain(err)) {
			return x.callerFailed(err)
		}
	}
	return nil
}

// wokenInVain reports whether err is only the wake-up of a wait that is over,
// and takes it back.
func (r *relay1) wokenInVain(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || r.c.ctx.Err() != nil {
		return false
	}
	r.c.tcp.SetReadDeadline(time.Time{})
	return true
}

// callerFailed is an error of reading the caller, as cause of the exchange's end.
func (x *exchange1) callerFailed(err error) error {
	if isReset(err) {
		x.r.c.cancel(&Error{Origin: OriginCaller, Reason: "reset", Err: err})
	}
	return err
}

// hold takes the head out of the caller's buffer, which is needed for more.
func (x *exchange1) hold() {
	if x.size == 0 {
		return
	}
	x.held = append(x.held[:0], x.head1.Raw...)
	x.r.in.Discard(x.size)
	x.size = 0
	x.head1.Reset()
	_, _ = x.head1.Parse(x.held, limits1) // the bytes that it has parsed before
}

// settled is what becomes of the connection after the exchange.
func (x *exchange1) settled() (keep bool) {
	x.joinPump()
	r := x.r
	switch {
	case r.c.ctx.Err() != nil || x.tunnels:
		return false
	case r.up != nil && len(r.reply.Buffered()) > 0:
		// A second answer that nobody asked for must not become the next one.
		r.linger()
		return false
	case x.ends || !x.uploaded():
		r.linger()
		return false
	}
	return true
}

// uploaded reports whether the whole request has been read, so that another may
// follow. What is little and not read yet is dropped.
func (x *exchange1) uploaded() bool {
	x.dropHead()
	for !x.upload.done() {
		if x.restIsTooMuch() {
			return false
		}
		if x.upload.drop() != nil || x.upload.dropped > maxDropped {
			return false
		}
	}
	return true
}

// restIsTooMuch reports whether the rest of a request's body is not worth its
// connection, or not to be told from the next request.
func (x *exchange1) restIsTooMuch() bool {
	if x.head1.ExpectContinue && !x.continued {
		return true // it may or may not send its body now
	}
	return x.pumpErr != nil || x.upload.frame.Remaining() > maxDropped
}

// maxDropped is how much of a request that was answered before its end is read
// all the same, to keep the connection.
const maxDropped = 256 << 10

// dropHead takes the head out of the caller's buffer if it was never sent.
func (x *exchange1) dropHead() {
	if x.size > 0 {
		x.r.in.Discard(x.size)
		x.size = 0
	}
}

// call implements [wire]. There is no gRPC in HTTP/1.
func (x *exchange1) call() error { return errors.ErrUnsupported }

// finished implements [wire].
func (x *exchange1) finished(err error, abort bool) {
	switch {
	case abort && x.mirrorsEnd(err):
		_ = x.r.shutCaller()
		x.ends = true
	case abort:
		x.r.c.abort(err)
	case err != nil && x.record.Attempts > 0:
		x.stopPump()
		x.r.drop() // its state is not known
	}
}

// mirrorsEnd reports whether the upstream has just ended where an answer was
// due, or in the middle of one, and no rule has a say: then the caller's side is
// ended in the same way.
func (x *exchange1) mirrorsEnd(err error) bool {
	var e *Error
	return x.route == nil && errors.As(err, &e) && e.Origin == OriginUpstream && e.Reason == intercept.WasReset &&
		(errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF))
}

// linger ends the connection so that the caller can read what it was sent: a
// close with bytes unread would be a reset.
func (r *relay1) linger() {
	_ = r.c.tcp.CloseWrite()
	r.c.tcp.SetReadDeadline(time.Now().Add(lingerFor))
	for {
		r.in.Discard(len(r.in.Buffered()))
		if _, err := r.in.Fill(); err != nil {
			return
		}
	}
}

// lingerFor bounds the wait for the caller's end after Sluice's own.
const lingerFor = time.Second
