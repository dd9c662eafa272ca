package proxy

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/rules"
)

// This file runs a route's steps over the trailers of a response. They are the
// last thing that a caller is told: what fails there ends a call of gRPC with a
// status of its own, and any other response in an abort.

// stepsTrailers reports whether the trailers of the response have steps.
func (x *exchange) stepsTrailers() bool { return x.route != nil && x.route.Trailers() != nil }

// trailersBehind reports whether they stand behind the body: those of gRPC-Web and
// of Connect are in it (webtrailers.go), or nowhere.
func (x *exchange) trailersBehind() bool {
	return x.stepsTrailers() && (x.kind == callNone || x.kind == callGRPC || x.record.Call.Service == "")
}

// trailersOnly reports whether the response is one of gRPC, or gRPC-Web, whose
// head has its trailers.
func (x *exchange) trailersOnly() bool {
	return (x.kind == callGRPC || x.kind == callWeb) && x.record.Answered != answeredFallback && x.response.in.Fields.Has("Grpc-Status")
}

// stepTrailers runs the steps over trailers and returns what leaves: fields
// itself if nothing changed.
func (x *exchange) stepTrailers(fields rules.Fields) (rules.Fields, error) {
	now := streamRules{route: x.route, params: x.params}
	if x.readByMessage {
		now = x.rulesNow()
	}
	if now.route == nil || now.route.Trailers() == nil {
		return fields, nil
	}
	left, steps, err := now.route.Trailers().Run(x.ctx, rules.TrailersIn{
		Request:  x.record.Call,
		Params:   now.params,
		Response: x.response.in,
		Fields:   fields,
		GRPC:     x.kind == callGRPC || x.kind == callWeb || x.response.body.enveloped(),
		Now:      x.now(),
		Clock:    time.Now,
	})
	x.record.Response.Steps = append(x.record.Response.Steps, steps...)
	if err != nil {
		return fields, x.stepFailed(err, nil, "")
	}
	return left, nil
}

// skipTrailers notes that a response has no room for trailers: one without a
// body, or with a length over HTTP/1.
func (x *exchange) skipTrailers() {
	if x.stepsTrailers() && !x.response.body.enveloped() {
		x.record.Response.Steps = append(x.record.Response.Steps, x.route.Trailers().Skip()...)
	}
}

// stepEnd notes the trailers that came and runs the steps over them. What leaves
// is in trailersOut.
func (x *exchange) stepEnd(came rules.Fields) error {
	seen := &x.record.Response
	if len(came) > 0 {
		seen.Trailers = came
	}
	left, err := x.stepTrailers(came)
	if err == nil && !slices.Equal(left, came) {
		seen.TrailersOut = append(rules.Fields{}, left...)
	}
	return err
}

// trailersOut are the trailers as they leave. same says that they are those that
// came.
func (x *exchange) trailersOut() (out rules.Fields, same bool) {
	if seen := &x.record.Response; seen.TrailersOut != nil {
		return seen.TrailersOut, false
	}
	return x.record.Response.Trailers, true
}

// stepTrailersOnly runs the steps over the trailers in the head of a call's
// response that is nothing else (gRPC over HTTP/2, Responses).
func (x *exchange) stepTrailersOnly() error {
	if !x.stepsTrailers() {
		return nil
	}
	var kept, trailers rules.Fields
	for _, f := range x.response.out.Fields {
		if rules.HeadOnly(strings.ToLower(f.Name)) {
			kept = append(kept, f)
		} else {
			trailers = append(trailers, f)
		}
	}
	left, err := x.stepTrailers(trailers)
	if err != nil || slices.Equal(left, trailers) {
		return err
	}
	head := *x.response.out
	head.Fields = append(kept, left...)
	x.response.out = &head
	return nil
}

// endFailed is what a step over trailers, or the route's time, ended a call with
// whose head has left: the trailers that say so. Of any other response there is no such end, and
// ok is false.
func (x *exchange) endFailed(err error) (trailers rules.Fields, ok bool) {
	if x.kind != callGRPC || !ownError(err) && !x.isTimeout(err) {
		return nil, false
	}
	x.late, x.told = err, true
	return x.failedEnd(err), true
}

// failedEnd are the trailers of a call that ends with err, which becomes its
// status.
func (x *exchange) failedEnd(err error) rules.Fields {
	a := x.answerFor(err)
	n, _ := a.code.Number()
	x.record.GRPCStatus = a.code
	x.record.Response.TrailersOut = append(statusFields(status.New(codes.Code(n), a.message)), rules.Field{Name: errorHeader, Value: a.headerValue()})
	return x.record.Response.TrailersOut
}

// sentStatus is the status that the caller of a call was sent, where no answer of
// Sluice's own has said it.
func (x *exchange) sentStatus() rules.Code {
	out, same := x.trailersOut()
	head := x.response.out
	switch {
	case !same:
	case len(out) == 0 && head != nil && head != x.response.in:
		out = head.Fields // trailers only
	default:
		return x.grpcStatus()
	}
	return codeOfStatus(out.Get("Grpc-Status"))
}

// hasBody reports whether the response may have a body, behind which trailers
// could stand.
func (x *exchange) hasBody() bool {
	return x.request.in.Method != http.MethodHead && !bodiless(x.response.out.Status)
}

// showStatus shows steps over a response the status of its call, if they look at
// it. Only a unary response waits for that.
func (x *exchange) showStatus(in *rules.In, steps *rules.Steps) {
	if in.Response == nil || !steps.ReadsStatus() {
		return
	}
	switch in.Status = x.status; {
	case x.kind == callNone, x.status != "":
	case x.schemaErr != nil:
		in.StatusErr = &rules.StepError{Route: x.route, Reason: rules.ReasonNoSchema, Err: x.schemaErr}
	default:
		in.StatusErr = &rules.StepError{Route: x.route, Reason: rules.ReasonStatus, Err: errStatusLater}
	}
}

var errStatusLater = errors.New("a stream has no status before its end")
