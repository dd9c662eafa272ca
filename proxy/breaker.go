package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
	"github.com/sluice-proxy/sluice/rules"
)

// breakerOpenError is an exchange that an open breaker refused.
type breakerOpenError struct{ retryAfter time.Duration }

func (b *breakerOpenError) Error() string { return fmt.Sprintf("breaker open for %v", b.retryAfter) }

// admit asks the route's breaker for a permit. Its error is a [*breakerOpenError].
func (x *exchange) admit() error {
	if x.route == nil || x.route.Breaker() == nil {
		return nil
	}
	b := x.route.Breaker()
	x.record.Breaker = x.route.Name() + "@" + x.c.address()
	x.breaker = x.p.breakers.Get(x.record.Breaker, x.p.breakerSettings(b))
	permit, err := x.breaker.Allow()
	if err != nil {
		return &breakerOpenError{retryAfter: resilience.RetryAfter(err)}
	}
	x.permit = permit
	return nil
}

func (p *Proxy) breakerSettings(b *rules.Breaker) resilience.Settings {
	return resilience.Settings{
		Window: b.Window,
		Open:   b.Open,
		Probes: b.Probes,
		Spec:   b.Spec,
		Trips: func(c resilience.Counts) bool {
			trips, err := b.Trips(counts(c))
			if err != nil {
				p.Log.Warn("breaker trip failed", "error", err)
			}
			return trips
		},
	}
}

func counts(c resilience.Counts) rules.Counts {
	return rules.Counts{
		Requests: c.Requests, Successes: c.Successes, Failures: c.Failures, ConsecutiveFailures: c.ConsecutiveFailures,
	}
}

func (p *Proxy) breakerChanged(change resilience.Change) {
	p.Observer.Observe(&BreakerChange{
		Name: change.Name, From: string(change.From), To: string(change.To), At: change.At, Counts: counts(change.Counts),
	})
}

// BreakerState is a breaker at one instant.
type BreakerState struct {
	Name       string // route@host:port
	State      string // closed, open, half_open, forced_open
	Since      time.Time
	RetryAfter time.Duration // of an open one
	Counts     rules.Counts
}

// Breakers lists the breakers that exist, by name. A breaker exists once its
// route was used.
func (p *Proxy) Breakers() []BreakerState {
	var states []BreakerState
	for _, s := range p.breakers.List() {
		states = append(states, BreakerState{
			Name: s.Name, State: string(s.State), Since: s.Since, RetryAfter: s.RetryAfter, Counts: counts(s.Counts),
		})
	}
	return states
}

// SetBreaker opens, closes or resets a breaker: action is "open", "close" or
// "reset". An open one stays open until it is closed or reset.
func (p *Proxy) SetBreaker(name, action string) error { return p.breakers.Set(name, action) }

// settle tells the breaker how the upstream did. The caller's hanging up says
// nothing about it.
func (x *exchange) settle(err *Error) {
	if x.permit == nil {
		return
	}
	if err != nil && err.Origin == OriginCaller {
		x.permit.Done(resilience.Ignored)
		return
	}
	if err != nil && err.Origin == OriginUpstream {
		x.outcome.Error = err.Reason
		if err.Reason == intercept.Timeout && x.kind != callNone {
			x.outcome.GRPCStatus = "DEADLINE_EXCEEDED"
		}
	}
	if err == nil && x.outcome.GRPCStatus == "" {
		x.outcome.GRPCStatus = x.endStatus()
	}
	failed, known := x.failed()
	switch {
	case !known:
		x.permit.Done(resilience.Ignored)
	case failed && x.succeeded:
		x.permit.Fail()
	case failed:
		x.permit.Done(resilience.Failure)
	default:
		x.permit.Done(resilience.Success)
	}
}

// succeedEarly counts a stream as a success at its first message; it may still
// fail at its end.
func (x *exchange) succeedEarly() {
	if x.permit == nil || x.succeeded {
		return
	}
	if failed, known := x.failed(); known && !failed {
		x.succeeded = true
		x.permit.Done(resilience.Success)
	}
}

// failed runs the breaker's failure over what is known of the outcome. known is
// false if there is no outcome: the upstream was never asked.
func (x *exchange) failed() (failed, known bool) {
	o := x.outcome
	if x.response.in != nil {
		o.Status, o.Headers = x.response.in.Status, x.response.in.Fields
	} else if o.Error == "" {
		return false, false
	}
	o.Trailers = x.record.Response.Trailers
	if o.GRPCStatus == "" && x.kind == callGRPC {
		o.GRPCStatus = x.grpcStatus()
	}
	if !x.sent.IsZero() {
		o.Duration = time.Since(x.sent)
	}
	failed, err := x.judge(o)
	if err != nil {
		x.mu.Lock()
		if x.record.Error == nil {
			x.record.Error = asError(err)
		}
		x.mu.Unlock()
	}
	return failed, true
}

// fallBack makes a response of what the route spells out for an open breaker,
// in the caller's protocol. It reports false if the route spells out nothing or
// it cannot be written. The response passes the response's steps like any other.
func (x *exchange) fallBack() bool {
	a := x.route.Breaker().Fallback
	if a == nil {
		return false
	}
	_, framed := webFormOf(x.kind, mediaType(x.request.in))
	switch {
	case x.kind == callGRPC:
		return x.grpcFallBack(a)
	case framed || x.readsProto(&x.request):
		return x.webFallBack(a) // webend.go
	}
	head := &rules.Head{Status: a.Status, Fields: a.Headers}
	var data []byte
	if a.HasBody {
		format, contentType := x.answerFormat(a.Headers.Get("Content-Type"))
		var err error
		if data, err = format.Encode(nil, a.Body); err != nil {
			return false
		}
		if !head.Fields.Has("Content-Type") {
			head.Fields = head.Fields.With("Content-Type", contentType)
		}
	}
	x.fallen(head, data, int64(len(data)))
	return true
}

// fallen puts a fallback in the place of the upstream's response.
func (x *exchange) fallen(head *rules.Head, data []byte, size int64) {
	x.response.in, x.response.out = head, x.pointed(head)
	x.response.body = body{x: x, stream: io.NopCloser(bytes.NewReader(data)), size: size}
	x.record.Answered = answeredFallback
}

// answerFormat is what the caller reads: what the answer says that it is, else
// what the caller asks for, else what it sent, else JSON.
func (x *exchange) answerFormat(said string) (codec.Codec, string) {
	fields := x.request.in.Fields
	for _, value := range append(append([]string{said}, acceptable(fields.Values("Accept"))...), fields.Get("Content-Type")) {
		if format, ok := x.p.Codecs.ByContentType(value); ok {
			return format, value
		}
	}
	return x.p.Codecs.Default(), "application/json"
}

// grpcFallBack frames the fallback as a gRPC response with the method's own
// message type.
func (x *exchange) grpcFallBack(a *rules.Answer) bool {
	code := a.GRPC
	if code == "" {
		code = "OK"
	}
	var data []byte
	if code == "OK" {
		if err := x.findMethod(); err != nil {
			return false
		}
		message, err := x.method.Output.Encode(nil, a.Body)
		if err != nil {
			return false
		}
		data = protobuf.AppendFrame(nil, protobuf.Frame{Data: message})
	}
	head := &rules.Head{Status: http.StatusOK, Fields: a.Headers.With("Content-Type", x.request.in.Fields.Get("Content-Type"))}
	x.fallen(head, data, -1)
	n, _ := code.Number()
	x.response.trailers = rules.Fields{{Name: "Grpc-Status", Value: strconv.Itoa(n)}}
	if a.Message != "" {
		x.response.trailers = append(x.response.trailers, rules.Field{Name: "Grpc-Message", Value: rules.EncodeGRPCMessage(a.Message)})
	}
	return true
}
