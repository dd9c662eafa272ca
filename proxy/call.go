package proxy

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	grpcproxy "github.com/mwitkow/grpc-proxy/proxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/rules"
)

// This file carries gRPC calls whose messages a route touches: grpc-go reads
// and writes the frames and undoes their encodings, and each message passes the
// route's steps on its way. All other calls pass as plain HTTP/2.

// readsMessages reports whether x is a gRPC call whose messages must be looked
// at: protobuf, in an encoding that can be undone. Any other passes as plain
// HTTP/2, where jq steps pass it over and a decision that must read it fails.
func (x *exchange) readsMessages() bool {
	return x.kind == callGRPC && x.route != nil && x.record.Call.Service != "" && readsCalls(x.route, x.request.in)
}

// readsCalls is readsMessages for calls of a route with that head.
func readsCalls(route *rules.Route, head *rules.Head) bool {
	if !knownEncoding(head.Fields.Get("Grpc-Encoding")) {
		return false
	}
	if _, subtype, _ := strings.Cut(mediaType(head), "+"); subtype != "" && subtype != "proto" {
		return false
	}
	b := route.Breaker()
	return touches(route.Request()) || touches(route.Response()) || b != nil && b.FailureReadsBody()
}

// touches reports whether steps read or replace messages.
func touches(steps *rules.Steps) bool {
	needs := steps.Needs()
	return needs.Body || needs.Edits || steps.ReadsStatus()
}

// serveCall lets grpc-go read the call; its unknown-service handler is carry.
func (x *netLane) serveCall() error {
	x.readByMessage = true
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	x.callErr = &Error{Origin: OriginCaller, Reason: "malformed"} // until carry knows better
	x.gate = newGate(x.r.Body)
	stop := context.AfterFunc(x.ctx, x.gate.close)
	defer stop()
	w := &callWriter{ResponseWriter: x.w, x: x}
	x.p.grpcServer(x.messageLimit(x.route.Request())).ServeHTTP(w, x.callRequest())
	x.joined.wait()
	if x.calls != nil {
		x.c.releaseCalls(x.calls)
	}
	return x.tellEnd(w) // callend.go
}

// callJoin joins an exchange with its handler in grpc-go, which outlives
// ServeHTTP if the caller resets the stream, and may even start after it.
type callJoin struct {
	mu      sync.Mutex
	over    bool // nobody waits any more
	idle    bool // over, and the handler never ran
	started bool
	running sync.WaitGroup // carry and callerToUpstream
}

// start reports whether the handler may run. If so, running is to be told when
// it has.
func (j *callJoin) start() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over {
		return false
	}
	j.started = true
	j.running.Add(1)
	return true
}

// wait waits for the handler and keeps one that has not started from it.
func (j *callJoin) wait() {
	j.mu.Lock()
	j.over, j.idle = true, !j.started
	j.mu.Unlock()
	j.running.Wait()
}

// exchangeKey carries the exchange through grpc-go to its handler, which gets
// nothing else of ours.
type exchangeKey struct{}

// carry is the handler of every method. What it returns reaches nobody:
// tellEnd says how the call ended.
func (p *Proxy) carry(_ any, caller grpc.ServerStream) error {
	x := caller.Context().Value(exchangeKey{}).(*netLane)
	if !x.joined.start() {
		return status.Error(codes.Canceled, "the caller is gone")
	}
	defer x.joined.running.Done()
	x.callErr = x.guard(func() error { return x.carry(caller) })
	return nil
}

// carry is the story of one call. Its error is the call's end as Sluice has to
// tell it; nil means that the upstream's own end passes, or a fallback.
func (x *netLane) carry(caller grpc.ServerStream) error {
	ctx, cancel := context.WithCancelCause(caller.Context())
	defer cancel(errFinished) // of the upstream's half, if it is not over
	x.describe()
	first, err := x.openCall(caller) // request head; its first message, if the head waits for it
	if err != nil {
		return err
	}
	if err := x.injectFault(ctx); err != nil {
		return err
	}
	if err := x.admit(); err != nil {
		return x.callFallback(caller, err)
	}
	x.startDeadlines()
	upstream, err := x.dialCall(ctx, caller)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	x.joined.running.Go(func() {
		err := x.guard(func() error { return x.callerToUpstream(caller, upstream, first) })
		if err != nil {
			cancel(err) // ends upstreamToCaller
		}
		sent <- err
	})
	err = x.upstreamToCaller(ctx, upstream, caller)
	switch cause := context.Cause(ctx); {
	case cause == nil:
	case caller.Context().Err() == nil:
		return cause // of callerToUpstream, which comes before the upstream's end
	case err != nil && x.ctx.Err() == nil: // grpc-go ends a call before it says that a message of it is too large
		if failed := <-sent; failed != nil {
			return failed
		}
	}
	return err
}

// openCall runs the request's steps over the head. Where the head needs the
// first message, or the request is only one, that message is read first and
// returned with what became of it.
func (x *netLane) openCall(caller grpc.ServerStream) ([]*frame, error) {
	steps := x.route.Request()
	if steps == nil {
		return nil, nil
	}
	unary := x.method != nil && !x.method.ClientStreaming
	if !unary && !steps.Needs().HeadWaits {
		return nil, x.stepHead(steps, &x.request, &x.record.Request, nil)
	}
	var m frame
	switch err := caller.RecvMsg(&m); {
	case errors.Is(err, io.EOF):
		return nil, x.stepHead(steps, &x.request, &x.record.Request, nil)
	case err != nil:
		return nil, x.callerFailed(err)
	}
	x.gate.consumed()
	if unary {
		return x.stepMessage(rules.Whole, true, &m)
	}
	return x.stepMessage(rules.StreamFirst, true, &m)
}

// dialCall opens the call upstream with the head as the steps left it.
func (x *netLane) dialCall(ctx context.Context, caller grpc.ServerStream) (grpc.ClientStream, error) {
	x.sent = time.Now()
	var direct grpcproxy.StreamDirector = x.direct
	ctx, conn, err := direct(ctx, x.request.out.Path)
	if err != nil {
		return nil, err
	}
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, x.request.out.Path, x.callOptions()...)
	if err != nil {
		return nil, x.notOpened(caller, err)
	}
	x.record.Attempts = 1
	return stream, nil
}

// callerToUpstream sends first, then what the caller sends, until it half-closes.
func (x *netLane) callerToUpstream(caller grpc.ServerStream, upstream grpc.ClientStream, first []*frame) error {
	for _, m := range first {
		if err := upstream.SendMsg(m); err != nil {
			return sendFailed(err)
		}
	}
	for {
		var m frame
		err := caller.RecvMsg(&m)
		switch {
		case errors.Is(err, io.EOF):
			return upstream.CloseSend()
		case err != nil:
			return x.callerFailed(err)
		}
		x.deadlines.moved()
		x.gate.consumed()
		out, err := x.stepMessage(rules.StreamMessage, true, &m)
		if err != nil {
			return err
		}
		for _, m := range out {
			if err := upstream.SendMsg(m); err != nil {
				return sendFailed(err)
			}
		}
	}
}

// sendFailed hides io.EOF: the upstream has ended the call, and its status is
// read on the other side.
func sendFailed(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// upstreamToCaller passes headers as soon as they are there, the messages, and
// the end.
func (x *netLane) upstreamToCaller(ctx context.Context, upstream grpc.ClientStream, caller grpc.ServerStream) error {
	md, err := upstream.Header()
	if err != nil || md == nil {
		return x.endWithoutHead(ctx, upstream)
	}
	<-x.watch.headed
	x.response.in = &rules.Head{Status: 200, Fields: fieldsOf(md)}
	x.response.out = x.pointed(x.response.in)
	x.headCame()
	steps := x.route.Response()
	unary := x.method != nil && !x.method.ServerStreaming
	waits := steps != nil && (unary || steps.Needs().HeadWaits)
	if !waits {
		if err := x.passHead(steps, caller); err != nil {
			return err
		}
	}
	holds := unary && steps.ReadsStatus()
	var ended error // of a message that was held back, what followed it
	for first := true; ; first = false {
		var m frame
		err := ended
		if err == nil {
			err = upstream.RecvMsg(&m)
			x.deadlines.moved()
		}
		if holds && first && err == nil {
			ended = upstream.RecvMsg(new(frame))
			if err := x.noteStatus(ctx, ended); err != nil {
				return err
			}
		}
		if err != nil {
			if holds && first {
				if err := x.noteStatus(ctx, err); err != nil {
					return err
				}
			}
			if waits && first {
				if err := x.passHead(steps, caller); err != nil {
					return err
				}
			}
			return x.endCall(ctx, upstream, err)
		}
		phase := rules.StreamMessage
		switch {
		case unary && first:
			phase = rules.Whole
		case waits && first:
			phase = rules.StreamFirst
		}
		out, err := x.stepMessage(phase, false, &m)
		if err != nil {
			return err
		}
		if waits && first {
			if err := x.sendCallHead(caller); err != nil {
				return err
			}
		}
		for _, m := range out {
			if err := caller.SendMsg(m); err != nil {
				return x.callerGone()
			}
		}
		if !unary {
			x.succeedEarly()
		}
	}
}

// passHead runs the response's head steps and sends the head.
func (x *netLane) passHead(steps *rules.Steps, caller grpc.ServerStream) error {
	if err := x.stepHead(steps, &x.response, &x.record.Response, x.response.in); err != nil {
		return err
	}
	return x.sendCallHead(caller)
}

// callerFailed is what reading the caller's messages ended with.
func (x *netLane) callerFailed(err error) error {
	switch status.Code(err) {
	case codes.ResourceExhausted: // the local limit on a message's size; nothing else says so while receiving
		return &rules.StepError{Route: x.route, Step: "request", Reason: rules.ReasonTooLarge, Err: err}
	case codes.Canceled, codes.Unavailable, codes.DeadlineExceeded: // its stream was reset, its connection is gone, its time is up
		return x.callerGone()
	}
	if errors.Is(x.ctx.Err(), context.Canceled) {
		return x.callerGone()
	}
	return &Error{Origin: OriginCaller, Reason: "truncated", Err: err}
}
