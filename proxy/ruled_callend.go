package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// endCall notes the upstream's end of a call that had a head: its trailers, with
// which tellEnd ends the caller's half.
func (c *call2) endCall(err error) error {
	trailers := c.upstream.Trailers()
	switch {
	case !errors.Is(err, io.EOF):
		return c.lost(err)
	case trailers == nil:
		return c.lost(errNoTrailers)
	}
	c.outcome.GRPCStatus = codeOf2(trailers.Fields)
	return c.stepEnd(fields2(trailers.Fields))
}

// holdBack waits for the status of a unary call, whose message has come.
func (c *call2) holdBack() error {
	switch _, err := c.out.next(); {
	case err == nil:
		return c.lost(status.Error(codes.Internal, "a second message of a unary method"))
	case !errors.Is(err, io.EOF), c.upstream.Trailers() == nil:
		return c.endCall(err)
	}
	c.noteStatus()
	return nil
}

// noteStatus notes the status of a unary call that has ended.
func (c *call2) noteStatus() {
	if trailers := c.upstream.Trailers(); trailers != nil {
		c.status = codeOf2(trailers.Fields)
	}
}

// codeOf2 is the status that fields say, UNKNOWN if it is none (gRPC over
// HTTP/2, Responses).
func codeOf2(fields []http2.Field) rules.Code {
	n, err := strconv.Atoi(valueOf2(fields, "grpc-status"))
	if err != nil {
		return "UNKNOWN"
	}
	return rules.CodeOf(n)
}

// notGRPC is what a response is that no gRPC server sends, with the status that
// a client has for it; nil if it is gRPC. Trailers only may come without a
// content type.
func notGRPC(code int, fields []http2.Field, end bool) error {
	media, _, _ := strings.Cut(strings.ToLower(valueOf2(fields, "content-type")), ";")
	media = strings.TrimSpace(media)
	isGRPC := media == "application/grpc" || strings.HasPrefix(media, "application/grpc+")
	if isGRPC && code == http.StatusOK || end && valueOf2(fields, "grpc-status") != "" {
		return nil
	}
	as := codes.Unknown
	switch code {
	case http.StatusBadRequest:
		as = codes.Internal
	case http.StatusUnauthorized:
		as = codes.Unauthenticated
	case http.StatusForbidden:
		as = codes.PermissionDenied
	case http.StatusNotFound:
		as = codes.Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		as = codes.Unavailable
	}
	return status.Errorf(as, "status %d and content type %.32q", code, media)
}

// lost describes a call that the upstream broke off, or answered with what is
// no gRPC, unless somebody else ended it.
func (c *call2) lost(err error) error {
	var tooLarge *tooLargeError
	cause := context.Cause(c.ctx)
	switch {
	case c.exchange.ctx.Err() != nil, cause == context.DeadlineExceeded, c.outOfTime(): //nolint:errorlint // the cause itself
		return c.callerGone()
	case cause != nil:
		return cause // of callerToUpstream
	case errors.As(err, &tooLarge):
		return &rules.StepError{Route: c.route, Step: "response", Reason: rules.ReasonTooLarge, Err: err}
	}
	code := codeOfError2(err)
	reason := "protocol"
	switch code {
	case codes.Unavailable, codes.Canceled, codes.ResourceExhausted:
		reason = "reset" // its connection, or its stream with one of HTTP/2's codes
	}
	c.outcome.GRPCStatus = rules.CodeOf(int(code))
	return &lostCallError{&Error{Origin: OriginUpstream, Reason: reason, Err: err}, c.outcome.GRPCStatus}
}

// codeOfError2 is the status that a client has for an error of the upstream's
// stream or connection (gRPC over HTTP/2, Errors).
func codeOfError2(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	var e *http2.Error
	switch {
	case !errors.As(err, &e):
		if errors.Is(err, errMessage2) {
			return codes.Internal
		}
		return codes.Unavailable // the connection
	case e.Stream == 0:
		return codes.Unavailable
	case e.Reason != http2.ResetByPeer:
		return codes.Internal
	}
	switch e.Code {
	case http2.RefusedStream:
		return codes.Unavailable
	case http2.Cancel:
		return codes.Canceled
	case http2.FlowControlError, http2.EnhanceYourCalm:
		return codes.ResourceExhausted
	case http2.InadequateSecurity:
		return codes.PermissionDenied
	}
	return codes.Internal
}

// callFallback answers a call that the breaker refused with the fallback, if
// the route has one for this method.
func (c *call2) callFallback(refused error) error {
	a := c.route.Breaker().Fallback
	if a == nil {
		return refused
	}
	n, _ := a.GRPC.Number()
	code := codes.Code(n)
	head := &rules.Head{Status: http.StatusOK, Fields: a.Headers}
	if !head.Fields.Has("Content-Type") {
		head.Fields = head.Fields.With("content-type", c.request.in.Fields.Get("Content-Type"))
	}
	if code == codes.OK {
		if c.method == nil {
			return refused
		}
		data, err := c.method.Output.Encode(nil, a.Body)
		if err != nil {
			return c.encodeFailed("upstream.breaker.fallback", err)
		}
		c.response.in, c.response.out, c.status = head, c.pointed(head), "OK"
		// A fallback is the one message of the response, in a stream too.
		left, err := c.stepMessage(rules.Whole, false, newFrame(data))
		if err != nil {
			return err
		}
		var out []byte
		for _, f := range left {
			out = appendMessage2(out, f.bytes(), false)
		}
		c.began = true
		c.caller.SendHead(http2.NewHead(made2(http.StatusOK, c.response.out.Fields)), false)
		if len(out) > 0 && c.caller.Write(out, false) != nil {
			return c.callerGone()
		}
	} else {
		c.response.in, c.response.out = head, c.pointed(head)
	}
	c.record.Answered = answeredFallback
	return c.stepEnd(statusFields(status.New(code, a.Message)))
}

// tellEnd tells the caller how the call ended, and returns its error. It leaves
// to finish what was not begun and is Sluice's own answer, and what ends in a
// reset.
func (c *call2) tellEnd(err error) error {
	if c.exchange.ctx.Err() != nil && err == nil {
		return c.callerGone()
	}
	if err != nil && (!c.began || isCancelled(err)) {
		return err
	}
	began := c.began
	c.began, c.told = true, true
	c.record.Status = http.StatusOK
	trailers, same := c.trailersOut()
	fallback := c.record.Answered == answeredFallback
	switch {
	case err != nil:
		c.caller.SendTrailers(http2.NewHead(lower2(c.failedEnd(err))))
		return err
	case fallback && began, began && !same:
		c.caller.SendTrailers(http2.NewHead(lower2(trailers)))
	case fallback:
		c.caller.SendHead(http2.NewHead(append(made2(http.StatusOK, c.response.out.Fields), lower2(trailers)...)), true)
	case began:
		c.caller.SendTrailers(c.upstream.Trailers())
	default:
		c.caller.SendHead(http2.NewHead(edited2(c.reply, c.response.in, c.response.out, -1)), true)
	}
	c.record.GRPCStatus = c.sentStatus()
	return nil
}

// isCancelled reports whether nobody is left to be told of err.
func isCancelled(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Origin == OriginCaller && e.Reason == "cancelled"
}
