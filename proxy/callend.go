package proxy

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/rules"
)

// endCall notes the upstream's end of a call that had a head: its trailers and
// status, with which tellEnd ends the caller's half. ctx is the call's.
func (x *netLane) endCall(ctx context.Context, upstream grpc.ClientStream, err error) error {
	s, err := x.endedWell(ctx, err)
	if err != nil {
		return err
	}
	return x.stepEnd(append(fieldsOf(upstream.Trailer()), statusFields(s)...))
}

// noteStatus notes the status of a unary call that has ended, whose message waits
// for it.
func (x *netLane) noteStatus(ctx context.Context, err error) error {
	if err == nil {
		return x.lost(status.New(codes.Internal, "a second message of a unary method"))
	}
	s, err := x.endedWell(ctx, err)
	if err != nil {
		return err
	}
	x.status = rules.CodeOf(int(s.Code()))
	return nil
}

// endWithoutHead does the same for a call that never had a head: trailers only,
// which are its head and pass the head's steps, or a failure.
func (x *netLane) endWithoutHead(ctx context.Context, upstream grpc.ClientStream) error {
	s, err := x.endedWell(ctx, upstream.RecvMsg(new(frame)))
	if err != nil {
		return err
	}
	x.response.in = &rules.Head{Status: http.StatusOK, Fields: append(fieldsOf(upstream.Trailer()), statusFields(s)...)}
	x.response.out = x.pointed(x.response.in)
	x.status = x.outcome.GRPCStatus
	if err := x.stepHead(x.route.Response(), &x.response, &x.record.Response, x.response.in); err != nil {
		return err
	}
	return x.stepTrailersOnly()
}

// endedWell returns the status that the upstream ended the call with. It errs
// if grpc-go made one up because the upstream, the caller or a step on the
// caller's messages broke the call off.
func (x *netLane) endedWell(ctx context.Context, err error) (*status.Status, error) {
	s := status.Convert(err)
	if errors.Is(err, io.EOF) {
		s = status.New(codes.OK, "")
	}
	switch cause := context.Cause(ctx); {
	case x.watch.trailers.Load():
		x.outcome.GRPCStatus = rules.CodeOf(int(s.Code()))
		return s, nil
	case x.ctx.Err() != nil, cause == context.DeadlineExceeded, x.outOfTime(): //nolint:errorlint // the cause itself
		return nil, x.callerGone()
	case cause != nil:
		return nil, cause // of callerToUpstream
	case s.Code() == codes.ResourceExhausted && x.response.in != nil:
		return nil, &rules.StepError{Route: x.route, Step: "response", Reason: rules.ReasonTooLarge, Err: err}
	}
	return nil, x.lost(s)
}

// statusFields are a status as trailers have it; its details are a field of the
// metadata.
func statusFields(s *status.Status) rules.Fields {
	fields := rules.Fields{{Name: "grpc-status", Value: strconv.Itoa(int(s.Code()))}}
	if m := s.Message(); m != "" {
		fields = append(fields, rules.Field{Name: "grpc-message", Value: rules.EncodeGRPCMessage(m)})
	}
	return fields
}

// lostCallError is a call that the upstream broke off. Its code is what a caller
// would have seen for it without Sluice.
type lostCallError struct {
	err  *Error
	code rules.Code
}

func (l *lostCallError) Error() string { return l.err.Error() }
func (l *lostCallError) Unwrap() error { return l.err }

// lost describes a call that the upstream broke off, or answered with what is
// no gRPC.
func (x *netLane) lost(s *status.Status) error {
	reason := "protocol"
	switch s.Code() {
	case codes.Unavailable, codes.Canceled, codes.ResourceExhausted:
		reason = "reset" // its connection, or its stream with one of HTTP/2's codes
	}
	x.outcome.GRPCStatus = rules.CodeOf(int(s.Code()))
	return &lostCallError{&Error{Origin: OriginUpstream, Reason: reason, Err: s.Err()}, x.outcome.GRPCStatus}
}

// notOpened describes a call that could not be opened. grpc-go has a status for
// it; the dialler has kept the cause.
func (x *netLane) notOpened(caller grpc.ServerStream, err error) error {
	if caller.Context().Err() != nil {
		return x.callerGone()
	}
	if cause := x.c.callFailure(x.calls); cause != nil {
		return x.upstreamFailed(cause)
	}
	return x.lost(status.Convert(err))
}

// deadlineSlack is how long before its deadline a call that is broken off is
// taken to be so because of it: the caller, we and the upstream wait for the
// same time, and each of the three may be first.
const deadlineSlack = 10 * time.Millisecond

// outOfTime reports whether the caller's deadline for a gRPC call has come.
func (x *exchange) outOfTime() bool {
	timeout, ok := grpcTimeout(x.request.in.Fields.Get("Grpc-Timeout"))
	if x.kind == callConnect {
		timeout, ok = connectTimeout(x.request.in.Fields.Get("Connect-Timeout-Ms"))
	}
	return ok && x.kind != callNone && time.Since(x.record.Started) >= timeout-deadlineSlack
}

// connectTimeout reads a connect-timeout-ms (connectrpc.com/docs/protocol).
func connectTimeout(v string) (time.Duration, bool) {
	n, err := strconv.ParseUint(v, 10, 64)
	return time.Duration(n) * time.Millisecond, err == nil && len(v) <= 10
}

// grpcTimeout reads a grpc-timeout (gRPC over HTTP/2, Requests).
func grpcTimeout(v string) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 32)
	unit, ok := units[v[len(v)-1]]
	if err != nil || !ok {
		return 0, false
	}
	return time.Duration(min(n, uint64(math.MaxInt64/unit))) * unit, true
}

// callFallback answers a call that the breaker refused with the fallback, if
// the route has one for this method.
func (x *netLane) callFallback(caller grpc.ServerStream, refused error) error {
	a := x.route.Breaker().Fallback
	if a == nil {
		return refused
	}
	n, _ := a.GRPC.Number()
	code := codes.Code(n)
	head := &rules.Head{Status: http.StatusOK, Fields: a.Headers}
	if code == codes.OK {
		if x.method == nil {
			return refused
		}
		data, err := x.method.Output.Encode(nil, a.Body)
		if err != nil {
			return x.encodeFailed("upstream.breaker.fallback", err)
		}
		x.response.in, x.response.out, x.status = head, x.pointed(head), "OK"
		// A fallback is the one message of the response, in a stream too.
		left, err := x.stepMessage(rules.Whole, false, newFrame(data))
		if err != nil {
			return err
		}
		if err := x.sendCallHead(caller); err != nil {
			return err
		}
		for _, m := range left {
			if err := caller.SendMsg(m); err != nil {
				return x.callerGone()
			}
		}
	}
	x.response.in, x.response.out = head, x.pointed(head)
	x.record.Answered = answeredFallback
	return x.stepEnd(statusFields(status.New(code, a.Message)))
}

// tellEnd tells the caller how the call ended, and returns its error. It leaves
// to finish what was not begun and is Sluice's own answer, and what ends in a
// reset.
func (x *netLane) tellEnd(w *callWriter) error {
	x.began = w.began
	err := x.callErr
	if x.ctx.Err() != nil && (err == nil || x.joined.idle) {
		return x.callerGone()
	}
	if err != nil && (!w.began || x.abortsCall(err)) {
		return err
	}
	x.began, x.told = true, true
	x.record.Status = http.StatusOK
	h := w.Header()
	clear(h)
	trailers, _ := x.trailersOut()
	if err != nil {
		trailers = x.failedEnd(err)
	} else {
		x.record.GRPCStatus = x.sentStatus()
	}
	prefix := http.TrailerPrefix
	if !w.began {
		prefix = ""
		h["Date"], h["Content-Length"] = nil, nil
		for _, f := range x.response.out.Fields {
			h.Add(f.Name, f.Value)
		}
		x.setContentType(h)
	}
	for _, f := range trailers {
		h.Add(prefix+f.Name, f.Value)
	}
	if !w.began {
		w.ResponseWriter.WriteHeader(http.StatusOK)
	}
	return err
}

// abortsCall reports whether nobody is left to be told of err.
func (x *netLane) abortsCall(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Origin == OriginCaller && e.Reason == "cancelled"
}

// grpcStatus is the status that the upstream or a fallback ended the call with.
func (x *exchange) grpcStatus() rules.Code {
	v := x.record.Response.Trailers.Get("Grpc-Status")
	if v == "" && x.response.in != nil {
		v = x.response.in.Fields.Get("Grpc-Status") // trailers only
	}
	return codeOfStatus(v)
}

// codeOfStatus is the status of a grpc-status, "" if there is none.
func codeOfStatus(v string) rules.Code {
	if v == "" {
		return ""
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return "UNKNOWN"
	}
	return rules.CodeOf(n)
}
