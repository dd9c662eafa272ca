package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	grpcproxy "github.com/mwitkow/grpc-proxy/proxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/rules"
)

// This file carries gRPC calls whose messages a route touches: grpc-go reads
// and writes the frames and undoes their encodings, and each message passes the
// route's steps on its way. All other calls pass as plain HTTP/2.

// readsMessages reports whether x is a gRPC call whose messages must be looked
// at, in an encoding that can be undone. A call in another encoding passes as
// plain HTTP/2, where a step that must read it fails.
func (x *exchange) readsMessages() bool {
	if x.call != callGRPC || x.route == nil || !knownEncoding(x.r.Header.Get("Grpc-Encoding")) {
		return false
	}
	request, response := x.route.Request().Needs(), x.route.Response().Needs()
	b := x.route.Breaker()
	return request.Body || request.Edits || response.Body || response.Edits || b != nil && b.FailureReadsBody()
}

// serveCall lets grpc-go read the call; its unknown-service handler is carry.
func (x *exchange) serveCall() error {
	x.readByMessage = true
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	x.callErr = errors.New("the call was not understood as gRPC")
	gate := newGate(x.r.Body)
	x.gate = gate
	stop := context.AfterFunc(x.ctx, gate.close)
	defer stop()
	r := x.r.WithContext(context.WithValue(x.ctx, exchangeKey{}, x))
	r.Body = gate
	x.p.grpcServer(x.route).ServeHTTP(x.w, r)
	x.began = true
	return x.callErr
}

// exchangeKey carries the exchange through grpc-go to its handler, which gets
// nothing else of ours.
type exchangeKey struct{}

// carry is the handler of every method.
func (p *Proxy) carry(_ any, caller grpc.ServerStream) error {
	x := caller.Context().Value(exchangeKey{}).(*exchange)
	err := x.carry(caller)
	x.callErr = err
	s := x.statusOf(err)
	x.record.GRPCStatus = rules.CodeOf(int(s.Code()))
	x.record.Status = http.StatusOK
	if own := x.ownAnswer(err); own != nil {
		caller.SetTrailer(metadata.Pairs(errorHeader, own.headerValue()))
	}
	if _, passed := err.(*upstreamStatus); passed {
		x.callErr = nil // the upstream's own word is no failure of the exchange
	}
	return s.Err()
}

// carry is the story of one call.
func (x *exchange) carry(caller grpc.ServerStream) error {
	ctx, cancel := context.WithCancelCause(caller.Context())
	defer cancel(nil)
	x.describe()
	first, err := x.openCall(caller) // request head; its first message, if the head waits for it
	if err != nil {
		return err
	}
	if err := x.admit(); err != nil {
		return x.callFallback(caller, err)
	}
	upstream, err := x.dialCall(ctx, caller)
	if err != nil {
		return err
	}
	up := &pump{x: x, to: upstream, from: caller}
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := up.callerToUpstream(first); err != nil {
			cancel(err) // ends upstreamToCaller
		}
	})
	err = up.upstreamToCaller(upstream, caller)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		err = cause
	}
	cancel(errFinished)
	x.gate.close() // ends callerToUpstream, which may wait for a message
	sending.Wait()
	return err
}

// openCall runs the request's steps over the head. Where the head needs the
// first message, or the request is only one, that message is read first and
// returned with what became of it.
func (x *exchange) openCall(caller grpc.ServerStream) ([]*frame, error) {
	steps := x.route.Request()
	if steps == nil {
		return nil, nil
	}
	needs := steps.Needs()
	if needs.HeadWaits || x.method != nil && !x.method.ClientStreaming {
		var m frame
		switch err := caller.RecvMsg(&m); {
		case err == io.EOF:
			return nil, x.stepHead(steps, &x.request, &x.record.Request, nil)
		case err != nil:
			return nil, x.callerFailed(err)
		}
		x.gate.consumed()
		phase := rules.StreamFirst
		if x.method != nil && !x.method.ClientStreaming {
			phase = rules.Whole
		}
		return x.stepMessage(phase, true, &m)
	}
	return nil, x.stepHead(steps, &x.request, &x.record.Request, nil)
}

// dialCall opens the call upstream with the head as the steps left it.
func (x *exchange) dialCall(ctx context.Context, caller grpc.ServerStream) (grpc.ClientStream, error) {
	var direct grpcproxy.StreamDirector = x.direct
	ctx, conn, err := direct(ctx, x.request.out.Path)
	if err != nil {
		return nil, x.upstreamFailed(err)
	}
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, x.request.out.Path, x.callOptions()...)
	if err != nil {
		return nil, x.upstreamFailedCall(err)
	}
	x.record.Attempts = 1
	return stream, nil
}

// pump moves messages between the two halves of a call.
type pump struct {
	x    *exchange
	to   grpc.ClientStream
	from grpc.ServerStream
}

// callerToUpstream sends first, then what the caller sends, until it half-closes.
func (p *pump) callerToUpstream(first []*frame) error {
	for _, m := range first {
		if err := p.to.SendMsg(m); err != nil {
			return sendFailed(err)
		}
	}
	for {
		var m frame
		err := p.from.RecvMsg(&m)
		switch {
		case err == io.EOF:
			return p.to.CloseSend()
		case err != nil:
			return p.x.callerFailed(err)
		}
		p.x.gate.consumed()
		out, err := p.x.stepMessage(rules.StreamMessage, true, &m)
		if err != nil {
			return err
		}
		for _, m := range out {
			if err := p.to.SendMsg(m); err != nil {
				return sendFailed(err)
			}
		}
	}
}

// sendFailed hides io.EOF: the upstream has ended the call, and its status is
// read on the other side.
func sendFailed(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// upstreamToCaller passes headers as soon as they are there, the messages, and
// the trailers. Its error is the call's end; nil means OK.
func (p *pump) upstreamToCaller(upstream grpc.ClientStream, caller grpc.ServerStream) error {
	x := p.x
	md, err := upstream.Header()
	if err != nil || md == nil {
		// The call ended without a head of its own: trailers only.
		err = upstream.RecvMsg(new(frame))
		return x.endCall(upstream, caller, err)
	}
	x.response.in = x.responseHeadOf(md)
	x.response.out = x.response.in
	unary := x.method != nil && !x.method.ServerStreaming
	steps := x.route.Response()
	waits := steps != nil && (unary || steps.Needs().HeadWaits)
	if !waits {
		if err := x.stepHead(steps, &x.response, &x.record.Response, x.response.in); err != nil {
			return err
		}
		if err := x.sendCallHead(caller); err != nil {
			return err
		}
	}
	for {
		var m frame
		err := upstream.RecvMsg(&m)
		if err != nil {
			if waits && x.response.messages == 0 {
				if err := x.stepHead(steps, &x.response, &x.record.Response, x.response.in); err != nil {
					return err
				}
				if err := x.sendCallHead(caller); err != nil {
					return err
				}
			}
			return x.endCall(upstream, caller, err)
		}
		first := x.response.messages == 0
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

// upstreamStatus is the upstream's own end of a call, which passes as it came.
type upstreamStatus struct{ s *status.Status }

func (u *upstreamStatus) Error() string { return u.s.String() }

// endCall passes the trailers and the status on.
func (x *exchange) endCall(upstream grpc.ClientStream, caller grpc.ServerStream, err error) error {
	md := upstream.Trailer()
	caller.SetTrailer(md)
	x.record.Response.Trailers = fieldsOf(md)
	s := status.Convert(err)
	if err == io.EOF {
		s = status.New(codes.OK, "")
	}
	x.outcome.GRPCStatus = rules.CodeOf(int(s.Code()))
	if x.c.ctx.Err() != nil || caller.Context().Err() == context.Canceled {
		return x.callerGone()
	}
	if s.Code() == codes.OK {
		return nil
	}
	return &upstreamStatus{s}
}
