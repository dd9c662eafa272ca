package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

// Who answered an exchange in place of the upstream: Record.Answered.
const (
	answeredReject   = "reject"
	answeredFallback = "fallback"
	answeredBreaker  = "breaker"
	answeredError    = "error"
	answeredLimit    = "rate_limit"
	answeredFault    = "fault"
)

func answeredBy(r *rejection) string {
	switch r.Reason {
	case rules.ReasonLimited:
		return answeredLimit
	case rules.ReasonFault:
		return answeredFault
	}
	return answeredReject
}

// guarded runs the exchange.
func (x *exchange) guarded() error {
	if err := x.guard(x.run); err != nil {
		return err
	}
	return x.late
}

// guard turns a panic of run into its error: one message must not take the
// process with it.
func (x *exchange) guard(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // a panic's value, as net/http compares it
				panic(v)
			}
			x.p.Log.Error("panic in an exchange", "id", x.record.ID, "route", x.record.Route, "panic", x.shownPanic(v), "stack", string(debug.Stack()))
			err = &Error{Origin: OriginSluice, Reason: string(rules.ReasonPanic)}
		}
	}()
	return run()
}

// shownPanic is what the log may say of a panic's value.
func (x *exchange) shownPanic(v any) string {
	if x.redact.Load() != nil {
		return fmt.Sprintf("%T", v)
	}
	return fmt.Sprintf("%.64v", v)
}

// finish ends the exchange. It is the only place that classifies errors,
// answers with them, settles the breaker and tells the observers. An exchange
// that cannot end well for its caller ends in a reset of its stream or
// connection.
func (x *exchange) finish(err error) {
	defer x.c.quiet()
	x.deadlines.stop()
	abort := x.abortOf(err)
	if err != nil {
		x.explain(err)
	}
	x.settle(x.record.Error) // first: whoever has the answer sees what it led to
	if err != nil && !abort && !x.began {
		if x.record.Answered == "" {
			x.record.Answered = answeredError
		}
		a := x.answerFor(err) // answer.go
		x.record.Status, x.began = a.status, true
		switch {
		case x.kind == callGRPC || x.isFramed():
			x.record.Status, x.record.GRPCStatus = http.StatusOK, a.code
		case x.isConnect():
			x.record.GRPCStatus = a.code
		}
		x.wire.answer(a)
	}
	x.complete()
	x.endShade() // before anything is hidden: shadow.go
	x.hide()
	x.cancel(errFinished)
	x.p.Observer.Observe(&x.record)
	x.shade.queue()
	x.wire.finished(err, abort)
}

var errFinished = errors.New("exchange finished")

// explain notes the error and, where it is not one, who answered.
func (x *exchange) explain(err error) {
	var reject *rejection
	var open *breakerOpenError
	var hidden *privateError
	switch {
	case errors.As(err, &reject):
		x.record.Answered = answeredBy(reject)
	case errors.As(err, &hidden):
		x.record.Answered = answeredReject
	case errors.As(err, &open):
		x.record.Answered = answeredBreaker
	default:
		x.record.Error = asError(err)
		if x.record.Error.Route == "" && x.route != nil {
			x.record.Error.Route = x.route.Name()
		}
	}
}

// asError gives an error its origin and reason. It returns nil for nil.
func asError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		copied := *e
		return &copied
	}
	var step *rules.StepError
	if errors.As(err, &step) {
		return &Error{Origin: OriginRule, Reason: string(step.Reason), Route: step.Route.Name(), Step: step.Step, Err: step.Err}
	}
	return &Error{Origin: OriginSluice, Reason: "internal", Err: err}
}

// complete fills in what only the end knows.
func (x *exchange) complete() {
	r := &x.record
	r.Duration = time.Since(r.Started)
	r.Request.In, r.Request.Out = x.request.in, x.request.out
	r.Response.In, r.Response.Out = x.response.in, x.response.out
	r.Request.MessageCount, r.Response.MessageCount = int(x.request.messages.Load()), int(x.response.messages.Load())
	if x.readByMessage {
		return // call.go has noted the bodies
	}
	if x.request.in != nil && !x.request.body.enveloped() {
		r.Request.Body, r.Request.Sent = x.request.body.observed(x.request.in.Fields.Get)
		r.Request.Edited = x.request.body.isEdited
	}
	x.mu.Lock()
	r.Request.Trailers = x.request.trailers
	x.mu.Unlock()
	if x.response.in != nil && !x.response.body.enveloped() {
		r.Response.Body, r.Response.Sent = x.response.body.observed(x.response.in.Fields.Get)
		r.Response.Edited = x.response.body.isEdited
	}
	switch {
	case r.GRPCStatus != "":
	case r.Protocol == GRPC:
		r.GRPCStatus = x.sentStatus()
	case r.Error == nil:
		r.GRPCStatus = x.endStatus() // webend.go
	}
}
