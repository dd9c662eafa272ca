package proxy

import (
	"context"
	"errors"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
)

// ask asks the route's breaker and then the upstream, once. When it returns
// nil, x.response is the upstream's response or the fallback.
func (x *exchange) ask() error {
	if err := x.injectFault(x.ctx); err != nil { // limits.go
		return err
	}
	if err := x.admit(); err != nil { // breaker.go
		if x.fallBack() {
			return nil
		}
		return err
	}
	if err := x.wire.send(); err != nil {
		return x.upstreamFailed(err)
	}
	return nil
}

// upstreamFailed describes an error of the upstream's connection, unless the
// caller's end was the cause.
func (x *exchange) upstreamFailed(err error) error {
	if ownError(err) {
		return err // of a message, while it was on its way
	}
	if timeout := x.timedOut(); timeout != nil {
		return timeout
	}
	var e *Error
	switch cause := context.Cause(x.ctx); {
	case cause == nil:
	case ownError(cause):
		return cause
	case errors.As(cause, &e) && e.Origin == OriginUpstream: // its refusal has ended the connection
		x.outcome.Error = e.Reason
		return e
	default:
		return x.callerGone()
	}
	if errors.As(err, &e) {
		return e
	}
	reason := intercept.Classify(err)
	var stream http2.StreamError
	if errors.As(err, &stream) && reason == intercept.Protocol {
		reason = intercept.WasReset
	}
	switch {
	case reason != intercept.WasReset:
	case x.c.callerEnded.Load():
		return x.callerGone() // the upstream took the caller's half-close for a hang-up
	case x.outOfTime():
		reason = intercept.Timeout // the upstream has kept the caller's deadline
	}
	x.outcome.Error = reason
	return &Error{Origin: OriginUpstream, Reason: reason, Err: err}
}

// callerGone is the error of an exchange whose caller did not wait for its end,
// or that ends with the proxy. Where the caller's deadline has passed, it is the
// upstream that failed.
func (x *exchange) callerGone() error {
	cause := context.Cause(x.ctx)
	if ownError(cause) {
		return cause
	}
	if timeout := x.timedOut(); timeout != nil {
		return timeout
	}
	var e *Error
	if errors.As(cause, &e) && e.Origin == OriginSluice {
		return e
	}
	if x.outOfTime() {
		return &Error{Origin: OriginUpstream, Reason: intercept.Timeout, Err: context.DeadlineExceeded}
	}
	return &Error{Origin: OriginCaller, Reason: "cancelled", Err: cause}
}
