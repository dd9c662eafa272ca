package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// This file carries a gRPC call message by message on a ruled connection. What
// it says is what call.go says in the other lane; but a message, head or trailer
// that no step changes leaves as the bytes that it came as.

// call2 is a call whose messages steps look at.
type call2 struct {
	*ruledStream
	ctx    context.Context //nolint:containedctx // of both directions; its cause is what broke the call off
	cancel context.CancelCauseFunc
	in     messages2 // the caller's
	out    messages2 // the upstream's
}

// call implements [wire].
func (x *ruledStream) call() error { return x.callFrom((*call2).carry) }

// callFrom carries a call from some point of its story on.
func (x *ruledStream) callFrom(carry func(*call2) error) error {
	x.readByMessage = true
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	c := &call2{ruledStream: x}
	c.ctx, c.cancel = context.WithCancelCause(x.ctx)
	defer c.cancel(errFinished)
	if timeout, ok := grpcTimeout(x.request.in.Fields.Get("Grpc-Timeout")); ok {
		deadline := time.AfterFunc(timeout-time.Since(x.record.Started), func() { c.cancel(context.DeadlineExceeded) })
		defer deadline.Stop()
	}
	stop := context.AfterFunc(c.ctx, c.breakOff)
	defer stop()
	return c.tellEnd(carry(c))
}

// breakOff wakes both directions.
func (c *call2) breakOff() {
	c.caller.Interrupt(context.Cause(c.ctx))
	c.state.Lock()
	u := c.upstream
	c.state.Unlock()
	if u != nil {
		u.Interrupt(context.Cause(c.ctx))
	}
}

// carry is the story of one call. Its error is the call's end as Sluice has to
// tell it; nil means that the upstream's own end passes, or a fallback.
func (c *call2) carry() error {
	c.describe()
	c.in = messages2{from: c.caller, encoding: c.request.in.Fields.Get("Grpc-Encoding"), limit: c.messageLimit(c.route.Request())}
	first, err := c.openCall() // request head; its first message, if the head waits for it
	if err != nil {
		return err
	}
	if err := c.injectFault(c.ctx); err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return c.callFallback(err)
	}
	c.startDeadlines()
	c.in.deadlines = c.deadlines
	c.sent, c.sending = time.Now(), true
	fields, err := c.outgoingHead()
	if err != nil {
		return err
	}
	if err := c.openUpstream(http2.NewHead(fields), false); err != nil {
		return c.upstreamFailed(err)
	}
	if c.ctx.Err() != nil {
		c.breakOff() // it had no upstream to wake
	}
	send := func() {
		if err := c.guard(func() error { return c.callerToUpstream(first) }); err != nil {
			c.cancel(err) // ends upstreamToCaller
		}
	}
	done := make(chan struct{})
	if c.saidAll(first) {
		send()
		close(done)
	} else {
		c.p.wait.Go(func() {
			defer close(done)
			send()
		})
	}
	err = c.ending(c.upstreamToCaller())
	c.cancel(errFinished)
	<-done
	return err
}

// ending is the error of a call whose upstream's half has ended with err: that of
// callerToUpstream comes before it.
func (c *call2) ending(err error) error {
	if cause := context.Cause(c.ctx); cause != nil && c.exchange.ctx.Err() == nil && cause != context.DeadlineExceeded { //nolint:errorlint // the cause itself
		return cause
	}
	return err
}

// outgoingHead is the request's head as it leaves.
func (c *call2) outgoingHead() ([]http2.Field, error) {
	head := c.request.out
	_, ok := grpcTimeout(head.Fields.Get("Grpc-Timeout"))
	var err error
	if head.Fields.Has("Grpc-Timeout") && !ok {
		err = errors.New("grpc-timeout is none")
	} else {
		err = checkBinary2(head)
	}
	switch {
	case err == nil:
		return unsized2(edited2(acceptable2(c.fields), c.request.in, head, -1)), nil
	case head == c.request.in:
		return nil, &Error{Origin: OriginCaller, Reason: "malformed", Err: err}
	}
	return nil, &rules.StepError{Route: c.route, Step: "request", Reason: rules.ReasonHead, Err: err}
}

// openCall runs the request's steps over the head. Where the head needs the
// first message, or the request is only one, that message is read first and
// returned with what became of it.
func (c *call2) openCall() ([]byte, error) {
	steps := c.route.Request()
	if steps == nil {
		return nil, nil
	}
	unary := c.method != nil && !c.method.ClientStreaming
	if !unary && !steps.Needs().HeadWaits {
		return nil, c.stepHead(steps, &c.request, &c.record.Request, nil)
	}
	m, err := c.in.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, c.stepHead(steps, &c.request, &c.record.Request, nil)
	case err != nil:
		return nil, c.callerFailed(err)
	}
	phase := rules.StreamFirst
	if unary {
		phase = rules.Whole
	}
	return c.step(phase, true, m)
}

// step runs the steps over a message and returns the bytes that leave.
func (c *call2) step(phase rules.Phase, fromCaller bool, m *message2) ([]byte, error) {
	from := &c.out
	if fromCaller {
		from = &c.in
	}
	left, err := c.stepMessage(phase, fromCaller, &m.frame)
	if err != nil {
		return nil, err
	}
	if len(left) == 1 && left[0] == &m.frame {
		return m.raw, nil
	}
	var out []byte
	for _, f := range left {
		if out, err = from.append(out, f.bytes(), m.compressed()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// saidAll reports whether first is all that callerToUpstream would send, and all of
// it is taken at once: a goroutine would be more than its work.
func (c *call2) saidAll(first []byte) bool {
	return len(first) <= http2.AtOnce && c.caller.AtEnd() && c.caller.Trailers() == nil
}

// callerToUpstream sends first, then what the caller sends, until it half-closes.
func (c *call2) callerToUpstream(first []byte) error {
	for out := first; ; {
		ended := c.caller.AtEnd() && c.caller.Trailers() == nil
		switch {
		case len(out) > 0 || ended:
			if err := c.upstream.Write(out, ended); err != nil || ended {
				return nil //nolint:nilerr // if the upstream has ended the call, its status is read on the other side
			}
		case first == nil:
			c.r.link.Flush() // the head
		}
		m, err := c.in.next()
		switch {
		case errors.Is(err, io.EOF):
			if trailers := c.caller.Trailers(); trailers != nil {
				c.mu.Lock()
				c.request.trailers = fields2(trailers.Fields)
				c.mu.Unlock()
				c.upstream.SendTrailers(trailers)
				c.r.link.Flush()
				return nil
			}
			_ = c.upstream.Write(nil, true) // as above
			return nil
		case err != nil:
			return c.callerFailed(err)
		}
		if out, err = c.step(rules.StreamMessage, true, m); err != nil {
			return err
		}
	}
}

// upstreamToCaller passes the head as soon as it is there, the messages, and the
// end.
func (c *call2) upstreamToCaller() error {
	head, end, err := c.awaitHead()
	if err != nil {
		return c.lost(err)
	}
	fields := head.Fields
	if err := notGRPC(head.Status, fields, end); err != nil {
		return c.lost(err)
	}
	c.replied(head, end)
	steps := c.route.Response()
	if end {
		c.outcome.GRPCStatus = codeOf2(fields)
		c.status = c.outcome.GRPCStatus
		if err := c.stepHead(steps, &c.response, &c.record.Response, c.response.in); err != nil {
			return err
		}
		return c.stepTrailersOnly() // tellEnd sends them
	}
	c.out = messages2{from: c.upstream, encoding: valueOf2(fields, "grpc-encoding"), limit: c.messageLimit(steps), deadlines: c.deadlines}
	unary := c.method != nil && !c.method.ServerStreaming
	waits := steps != nil && (unary || steps.Needs().HeadWaits)
	holds := unary && steps.ReadsStatus()
	if !waits {
		if err := c.passHead(steps); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		m, err := c.out.next()
		if holds && first && err == nil {
			if err := c.holdBack(); err != nil {
				return err
			}
		}
		if err != nil {
			if holds && first {
				c.noteStatus()
			}
			if waits && first {
				if err := c.passHead(steps); err != nil {
					return err
				}
			}
			return c.endCall(err)
		}
		phase := rules.StreamMessage
		switch {
		case unary && first:
			phase = rules.Whole
		case waits && first:
			phase = rules.StreamFirst
		}
		out, err := c.step(phase, false, m)
		if err != nil {
			return err
		}
		if waits && first {
			if err := c.sendHead(); err != nil {
				return err
			}
		}
		send := c.caller.Write
		if c.upstream.AtEnd() {
			send = c.caller.Append // the trailers follow at once
		}
		if len(out) > 0 && send(out, false) != nil {
			return c.callerGone()
		}
		if !unary {
			c.succeedEarly()
		}
	}
}

// awaitHead waits for the final head and passes interim ones on.
func (c *call2) awaitHead() (head *http2.Head, end bool, err error) {
	for {
		head, end, err = c.upstream.ReadHead()
		if err != nil || head.Status >= 200 {
			return head, end, err
		}
		c.caller.SendHead(head, false)
		c.r.link.Flush()
	}
}

// passHead runs the response's head steps and sends the head.
func (c *call2) passHead(steps *rules.Steps) error {
	if err := c.stepHead(steps, &c.response, &c.record.Response, c.response.in); err != nil {
		return err
	}
	if err := c.sendHead(); err != nil {
		return err
	}
	if !c.upstream.Buffered() {
		c.r.link.Flush()
	}
	return nil
}

// sendHead sends the response's head as the steps left it.
func (c *call2) sendHead() error {
	if c.response.out != c.response.in {
		if err := checkBinary2(c.response.out); err != nil {
			return &rules.StepError{Route: c.route, Step: "response", Reason: rules.ReasonHead, Err: err}
		}
	}
	c.began = true
	c.record.Status = http.StatusOK
	c.caller.SendHead(http2.NewHead(unsized2(edited2(c.reply, c.response.in, c.response.out, -1))), false)
	return nil
}

// callerFailed is what reading the caller's messages ended with.
func (c *call2) callerFailed(err error) error {
	var tooLarge *tooLargeError
	switch {
	case errors.As(err, &tooLarge):
		return &rules.StepError{Route: c.route, Step: "request", Reason: rules.ReasonTooLarge, Err: err}
	case c.ctx.Err() != nil, c.caller.Err() != nil:
		return c.callerGone()
	}
	return &Error{Origin: OriginCaller, Reason: "truncated", Err: err}
}
