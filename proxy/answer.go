package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/rules"
)

// answer is what Sluice itself says to a caller.
type answer struct {
	status     int
	code       rules.Code
	message    string // for people; no payload, no cause
	route      string
	step       string
	reason     string
	retryAfter int // in seconds; 0: no such field
}

// errorHeader names Sluice's own answers, and only these.
const errorHeader = "X-Sluice-Error"

// headerValue is route/step; reason.
func (a *answer) headerValue() string {
	where := a.route
	if a.step != "" {
		where += "/" + a.step
	}
	if where == "" {
		where = "-"
	}
	return where + "; " + a.reason
}

// answerFor says what a caller is told about err.
func (x *exchange) answerFor(err error) *answer {
	a := &answer{status: http.StatusBadGateway, code: "INTERNAL", route: x.record.Route}
	var (
		reject *rejection
		open   *breakerOpenError
		step   *rules.StepError
		lost   *lostCallError
		hidden *privateError
		e      *Error
	)
	switch {
	case errors.As(err, &reject):
		a.status, a.code, a.message = reject.Status, reject.GRPC, reject.Message
		a.step, a.reason = reject.Step, cmp.Or(string(reject.Reason), "rejected")
		if reject.RetryAfter > 0 {
			a.retryAfter = seconds(reject.RetryAfter)
		}
	case errors.As(err, &open):
		a.status, a.code, a.message = http.StatusServiceUnavailable, "UNAVAILABLE", "the circuit breaker is open"
		a.step, a.reason = "upstream.breaker", "open"
		a.retryAfter = seconds(open.retryAfter)
	case errors.As(err, &step):
		a.route, a.step, a.reason = step.Route.Name(), step.Step, string(step.Reason)
		a.message = "a rule failed"
		request := ofRequest(step.Step)
		switch step.Reason {
		case rules.ReasonTooLarge:
			a.message = "the message is too large for its rule"
			if request {
				a.status, a.code = http.StatusRequestEntityTooLarge, "RESOURCE_EXHAUSTED"
			} else {
				a.code = "RESOURCE_EXHAUSTED"
			}
		case rules.ReasonEncode:
			var express *codec.ExpressError
			if errors.As(step.Err, &express) {
				a.message = "the result has no form in " + express.Format + ": " + express.Path
			}
		case rules.ReasonAmbiguous:
			a.message = "the path can be read in two ways"
			a.status, a.code = http.StatusBadRequest, "INVALID_ARGUMENT"
		case rules.ReasonDecode, rules.ReasonFormat, rules.ReasonEncoding, rules.ReasonNoSchema, rules.ReasonNoKey:
			a.message = "the message cannot be read for its rule"
			if request {
				a.status = http.StatusBadRequest
				if step.Reason != rules.ReasonNoSchema {
					a.code = "INVALID_ARGUMENT"
				}
			}
		}
	case errors.As(err, &hidden):
		hidden.answer(a)
	case errors.As(err, &lost):
		a.fromError(lost.err)
		a.code = lost.code
	case errors.As(err, &e):
		a.fromError(e)
	default:
		a.reason, a.message = "internal", "internal error"
	}
	return a
}

// ofRequest reports whether a step is one that only looks at the request.
func ofRequest(step string) bool {
	if own, ok := strings.CutPrefix(step, "_"); ok { // _all.request[0].jq
		_, step, _ = strings.Cut(own, ".")
	}
	for _, place := range []string{"request", "match", "rate_limit", "fault"} {
		if strings.HasPrefix(step, place) {
			return true
		}
	}
	return false
}

// seconds is d as Retry-After says it: never too soon.
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

func (a *answer) fromError(e *Error) {
	a.step, a.reason = e.Step, e.Reason
	switch e.Origin {
	case OriginUpstream:
		a.message, a.code = "the upstream failed: "+e.Reason, "UNAVAILABLE"
		a.step = "upstream"
		if e.Reason == "timeout" || e.Reason == "connect_timeout" {
			a.status, a.code = http.StatusGatewayTimeout, "DEADLINE_EXCEEDED"
		}
	case OriginCaller:
		a.status, a.code, a.message = http.StatusBadRequest, "INVALID_ARGUMENT", "the request is not well formed"
		var refused *http1.Error
		if errors.As(e.Err, &refused) {
			a.status = refused.Status
		}
		switch e.Reason {
		case "head_too_large":
			a.status, a.code, a.message = http.StatusRequestHeaderFieldsTooLarge, "RESOURCE_EXHAUSTED", "the head is too large"
		case "too_many_fields":
			a.status, a.code, a.message = http.StatusRequestHeaderFieldsTooLarge, "RESOURCE_EXHAUSTED", "too many header fields"
		case "line_too_long":
			a.status, a.code, a.message = http.StatusRequestURITooLong, "RESOURCE_EXHAUSTED", "the request line is too long"
		}
	default:
		a.status, a.message = http.StatusInternalServerError, "internal error"
	}
}

// answer implements [wire].
func (x *netLane) answer(a *answer) {
	h := x.w.Header()
	clear(h)
	h["Date"] = nil
	h.Set(errorHeader, a.headerValue())
	for _, f := range x.pointer() {
		h.Set(f.Name, f.Value)
	}
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	if x.p.draining.Load() {
		h.Set("Connection", "close")
	}
	if x.kind == callGRPC {
		n, _ := a.code.Number()
		h.Set("Content-Type", x.r.Header.Get("Content-Type"))
		h["Content-Length"] = nil
		h.Set("Grpc-Status", strconv.Itoa(n))
		h.Set("Grpc-Message", rules.EncodeGRPCMessage(a.message))
		x.w.WriteHeader(http.StatusOK)
		return
	}
	status, fields, body := x.said(a) // webend.go
	for _, f := range fields {
		h.Set(f.Name, f.Value)
	}
	setLength(h, int64(len(body)))
	x.w.WriteHeader(status)
	x.w.Write(body)
}

// errorBody is in the caller's format, JSON, or text for a caller that asks for text alone.
func (x *exchange) errorBody(a *answer) (body []byte, contentType string) {
	said := map[string]codec.Value{"error": a.message, "route": a.route, "step": a.step, "reason": a.reason}
	if x.translates() {
		if body, contentType := x.translatedError(said); body != nil { // translate.go
			return body, contentType
		}
	}
	accept := x.request.in.Fields.Get("Accept")
	if format := x.p.Codecs.Default(); format != nil && !strings.HasPrefix(accept, "text/plain") {
		body, err := format.Encode(nil, said)
		if err == nil {
			return body, "application/json"
		}
	}
	return fmt.Appendf(nil, "%s (%s)\n", a.message, a.headerValue()), "text/plain; charset=utf-8"
}

func setLength(h http.Header, n int64) {
	h["Content-Length"] = []string{strconv.FormatInt(n, 10)}
}
