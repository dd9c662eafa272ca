package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
)

// send implements [wire]: head and what is there of the body in one write, a
// longer body by a goroutine of its own, since the response need not wait for
// its end.
func (x *exchange1) send() error {
	x.startDeadlines()
	if err := x.awaits(x.c.race.dialed); err != nil {
		return err
	}
	if err := x.r.connect(x.ctx); err != nil {
		return err
	}
	x.sent = time.Now()
	x.record.Attempts = 1
	if err := x.sendRequest(); err != nil {
		return err
	}
	x.noteTrailers()
	if !x.requestSent() {
		x.pumped = true
		x.pumpDone.Store(false)
		x.request.body.seen.share()
		x.pumping.Go(x.pump)
	}
	return x.awaitReply()
}

// requestSent reports whether nothing of the request is left to be sent.
func (x *exchange1) requestSent() bool {
	if x.pumped {
		return x.pumpDone.Load()
	}
	if x.request.body.messages != nil {
		return false
	}
	return x.request.body.isEdited || x.upload.done()
}

// sendRequest writes the head with what changed in it, and what is there of the
// body.
func (x *exchange1) sendRequest() error {
	changes := x.requestChanges()
	b := &x.request.body
	if x.head1.Kind != http1.None && !b.whole && b.messages == nil {
		b.seen = x.c.p.lentCapture(&x.seenRequest)
	}
	if x.size > 0 && changes.none() && b.messages == nil {
		return x.forwardRequest()
	}
	x.hold()
	out := x.scratch[:0]
	if changes.none() {
		out = append(out, x.head1.Raw...)
	} else {
		line := changes.line
		if line == nil {
			line = x.head1.Line
		}
		out = http1.AppendEdited(out, line, x.head1.Fields, changes.edits)
	}
	switch {
	case b.messages != nil: // pump sends them
	case b.isEdited:
		out = appendBody1(out, x.head1.Kind, b.edited, &x.upload.frame)
	default:
		out = append(out, x.upload.kept...)
		b.seen.add(b.raw)
		got := x.r.in.Buffered()
		n, err := x.upload.pass(got, b.seen, nil)
		if err != nil {
			return x.badRequest(err)
		}
		out = append(out, got[:n]...)
		x.r.in.Discard(n)
	}
	x.scratch = out
	_, err := x.r.toUp.Write(out)
	return err
}

// appendBody1 appends an edited body in the framing that its message has.
func appendBody1(out []byte, kind http1.Kind, edited []byte, frame *http1.Body) []byte {
	if kind != http1.Chunked {
		return append(out, edited...)
	}
	return http1.AppendLastChunk(http1.AppendChunk(out, edited), frame.Trailers())
}

// forwardRequest writes the bytes in the caller's buffer as they are.
func (x *exchange1) forwardRequest() error {
	got := x.r.in.Buffered()
	n, err := x.upload.pass(got[x.size:], x.request.body.seen, nil)
	if err != nil {
		return x.badRequest(err)
	}
	n += x.size
	_, err = x.r.toUp.Write(got[:n])
	x.r.in.Discard(n)
	x.size = 0
	return err
}

// badRequest is a body whose framing is broken.
func (x *exchange1) badRequest(err error) error {
	x.ends = true
	failed := &Error{Origin: OriginCaller, Reason: "malformed", Err: err}
	var refused *http1.Error
	if errors.As(err, &refused) {
		failed.Reason = refused.Reason
	}
	return failed
}

// pump sends the rest of the request's body as it comes.
func (x *exchange1) pump() {
	defer x.c.contain()
	if x.request.body.messages != nil {
		x.pumpErr = x.pumpMessages() // relay1messages.go
	} else {
		x.pumpErr = x.passUpload()
	}
	var e *Error
	if errors.As(x.pumpErr, &e) || ownError(x.pumpErr) {
		x.r.mirrorReset() // what was sent has no good end any more
	}
	x.pumpDone.Store(true)
	if x.r.callerEnd.Load() {
		x.r.up.SetReadDeadline(past) // wakes fillReply, which passes it on
	}
}

func (x *exchange1) passUpload() error {
	r, b, seen := x.r, &x.upload, x.request.body.seen
	for !b.frame.Done() {
		if n := b.bulk(seen, nil); n > 0 {
			moved, err := splice.Copy(r.up, r.c.tcp, n, &r.c.p.pipes, nil)
			b.moved(moved, seen)
			if err == nil {
				continue
			}
			side, cause := moveError(err)
			switch {
			case side == splice.Dst:
				return cause
			case !x.pumpStop.Load() && r.wokenInVain(cause):
				continue
			}
			return x.uploadFailed(cause)
		}
		if len(b.in.Buffered()) == 0 {
			if _, err := b.in.Fill(); err != nil {
				if !x.pumpStop.Load() && r.wokenInVain(err) {
					continue
				}
				return x.uploadFailed(err)
			}
		}
		got := b.in.Buffered()
		n, err := b.pass(got, seen, nil)
		if err != nil {
			return x.badRequest(err)
		}
		x.deadlines.moved()
		if b.frame.Done() {
			x.noteTrailers() // before the upstream can answer to them
		}
		_, err = r.toUp.Write(got[:n])
		b.in.Discard(n) // taken, whether or not it left: what is behind it is another request
		if err != nil {
			return err // the upstream has ended it, which awaitReply reads
		}
	}
	return nil
}

// uploadFailed passes the caller's end amid its body on.
func (x *exchange1) uploadFailed(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		x.r.shutUpstream()
		return io.ErrUnexpectedEOF
	case isReset(err):
		x.r.c.cancel(&Error{Origin: OriginCaller, Reason: "reset", Err: err})
	}
	return err
}

// joinPump waits until the request has been sent, or cannot be. An upstream that
// answered early may end its side meanwhile.
func (x *exchange1) joinPump() {
	if !x.pumped {
		return
	}
	x.r.waits.Store(waitsForPump)
	if x.r.upEnd.Load() == endFIN {
		_ = x.r.shutCaller()
	}
	x.pumping.Wait()
	x.r.waits.Store(waitsForNobody)
}

// stopPump ends a pump whose bytes nobody wants any more.
func (x *exchange1) stopPump() {
	if !x.pumped {
		return
	}
	x.pumpStop.Store(true)
	x.r.mirrorReset()
	x.r.c.tcp.SetReadDeadline(past)
	x.pumping.Wait()
	x.r.c.tcp.SetReadDeadline(time.Time{})
}

// awaitReply reads the head of the final response, and passes those before it
// on.
func (x *exchange1) awaitReply() error {
	r, asks := x.r, x.request.out.Method
	for {
		n, err := x.reply1.Parse(r.reply.Buffered(), limits1, asks)
		switch {
		case err != nil:
			return err
		case n == 0:
			if err := x.fillReply(); err != nil {
				return x.replyFailed(err)
			}
			continue
		case x.reply1.Status == http.StatusSwitchingProtocols:
			if !x.head1.Upgrade {
				return errUnasked
			}
		case x.reply1.Status < 200:
			if err := x.interim(n); err != nil {
				return err
			}
			continue
		}
		x.replied(n)
		return nil
	}
}

// replyFailed tells why there is no response, where the caller is the reason.
func (x *exchange1) replyFailed(err error) error {
	if errors.Is(err, io.EOF) && len(x.r.reply.Buffered()) > 0 {
		err = errHalfHead
	}
	if !x.pumped || !isReset(err) && !errors.Is(err, net.ErrClosed) && x.c.ctx.Err() == nil {
		return err
	}
	x.stopPump()
	var e *Error
	if errors.As(x.pumpErr, &e) || ownError(x.pumpErr) {
		return x.pumpErr
	}
	return err
}

// errHalfHead is an upstream that ended amid the head of its response.
var errHalfHead = errors.New("half a head")

// fillReply reads more of what the upstream says. Meanwhile the caller may end
// its side.
func (x *exchange1) fillReply() error {
	r := x.r
	for {
		if timeout := x.timedOut(); timeout != nil {
			return timeout
		}
		r.waits.Store(waitsForUpstream)
		if r.callerEnd.Load() && !r.callerShut.Load() && x.requestSent() && len(r.in.Buffered()) == 0 {
			if _, err := r.in.TryFill(); errors.Is(err, io.EOF) {
				r.shutUpstream()
			}
		}
		_, err := r.reply.Fill()
		r.waits.Store(waitsForNobody)
		if errors.Is(err, io.EOF) && x.pumped && !r.callerShut.Load() && sock.Broken(r.up) && !r.callerShut.Load() {
			return syscall.ECONNRESET // which the pump's write has been told
		}
		if err == nil {
			x.deadlines.moved()
		}
		if err == nil || r.c.ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		r.up.SetReadDeadline(time.Time{})
	}
}

// interim passes a 1xx response of n bytes on.
func (x *exchange1) interim(n int) error {
	raw := x.r.reply.Buffered()[:n]
	swallowed := x.reply1.Status == http.StatusContinue && x.continued && x.head1.ExpectContinue
	if x.reply1.Status == http.StatusContinue {
		x.continued = true
	}
	if !swallowed {
		if _, err := x.r.out.Write(raw); err != nil {
			return x.callerGone()
		}
	}
	x.r.reply.Discard(n)
	return nil
}

// replied notes the response whose head is the first n bytes of the upstream's
// buffer.
func (x *exchange1) replied(n int) {
	x.replySize = n
	head := x.heads.setResponse(&x.reply1)
	x.response.in, x.response.out = head, x.pointed(head)
	x.download = body1{in: x.r.reply, x: x, response: true, kept: x.keptResponse}
	x.download.frame.Reset(x.reply1.Framing)
	x.response.body = body{x: &x.exchange, stream: &x.download, size: size1(x.reply1.Framing), room: x.roomResponse}
	if x.reply1.Kind == http1.None {
		x.response.body.stream = http.NoBody
	}
	x.headCame()
	x.tunnels = x.reply1.Status == http.StatusSwitchingProtocols ||
		x.request.out.Method == http.MethodConnect && x.reply1.Status/100 == 2
}

// holdReply takes the head out of the upstream's buffer, which is needed for
// more.
func (x *exchange1) holdReply() {
	if x.replySize == 0 {
		return
	}
	x.heldReply = append(x.heldReply[:0], x.reply1.Raw...)
	x.r.reply.Discard(x.replySize)
	x.replySize = 0
	x.reply1.Reset()
	_, _ = x.reply1.Parse(x.heldReply, limits1, x.request.out.Method) // the bytes that it has parsed before
}
