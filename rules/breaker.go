package rules

import (
	"context"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// Breaker is the compiled upstream.breaker of a route: its numbers and its two
// programs. Its state lives with the caller.
type Breaker struct {
	Window   time.Duration // rolling; 10 s
	Open     time.Duration // how long it stays open before it probes; 30 s
	Probes   int           // at most so many at once, and so many successes close it; 1
	Fallback *Answer       // nil: 503 with Retry-After, UNAVAILABLE

	// Spec is the block's normal form: state survives a reload that leaves it
	// equal.
	Spec string

	route            *Route
	at, fallbackAt   Position
	failure, trip    *judge
	failureReadsBody bool
}

// Answer is a response that a rule file spells out.
type Answer struct {
	Status  int // 200
	GRPC    Code
	Message string // of a gRPC status other than OK
	Headers Fields
	Body    codec.Value // to be encoded in the caller's format; valid if HasBody
	HasBody bool
}

// FailureReadsBody reports whether failure names .body, so that the outcome
// needs the decoded message.
func (b *Breaker) FailureReadsBody() bool { return b.failureReadsBody }

// Outcome is how an exchange with the upstream ended, as failure sees it.
type Outcome struct {
	Status     int    // 0 if there was no response
	GRPCStatus Code   // "" if the response is not gRPC
	Headers    Fields // of the response
	Trailers   Fields
	Error      string // refused, unreachable, connect_timeout, timeout, reset, protocol; "" for none
	Duration   time.Duration
	Body       codec.Value // the upstream's message before response steps; nil over the limit or not decoded
}

// Failed runs failure over o. It errs with a [*StepError].
func (b *Breaker) Failed(ctx context.Context, o Outcome, now time.Time) (bool, error) {
	failed, err := b.failure.holds(ctx, viewOutcome(&o, b.failure.program), &scope{now: now}, b.route.limits)
	if err != nil {
		return false, &StepError{Route: b.route, Step: failurePath, Reason: reasonOf(err), Err: err}
	}
	return failed, nil
}

// FailedOn is [Breaker.Failed] for a body that was not decoded: o.Body is not
// looked at, but data of format. If it is not sure, only Failed can tell.
func (b *Breaker) FailedOn(o Outcome, format codec.Codec, data []byte, limits codec.Limits, now time.Time) (failed, sure bool) {
	return b.failure.holdsOn(format, data, limits, viewOutcome(&o, b.failure.program), &scope{now: now})
}

// Counts are the finished exchanges of a breaker's window.
type Counts struct {
	Requests, Successes, Failures, ConsecutiveFailures, Slow uint32
}

// Trips runs trip over c. It errs with a [*StepError], and has not tripped then.
func (b *Breaker) Trips(c Counts) (bool, error) {
	trips, err := b.trip.holds(context.Background(), viewCounts(c), &scope{}, b.route.limits)
	if err != nil {
		return false, &StepError{Route: b.route, Step: tripPath, Reason: reasonOf(err), Err: err}
	}
	return trips, nil
}

const (
	bodyMember  = "body" // of an outcome
	failurePath = "upstream.breaker.failure"
	tripPath    = "upstream.breaker.trip"

	defaultFailure = `.status >= 500 or .error != null or (.grpc_status | IN("UNAVAILABLE","DEADLINE_EXCEEDED","INTERNAL","UNKNOWN","DATA_LOSS"))`
	defaultTrip    = `.requests >= 20 and .failures / .requests > 0.5`
)
