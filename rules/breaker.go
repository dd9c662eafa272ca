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
	failure, trip    *program
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
	failed, err := b.failure.condition(ctx, viewOutcome(&o), &scope{now: now}, b.route.limits)
	if err != nil {
		return false, &StepError{Route: b.route, Step: failurePath, Reason: reasonOf(err), Err: err}
	}
	return failed, nil
}

// Counts are the finished exchanges of a breaker's window.
type Counts struct {
	Requests, Successes, Failures, ConsecutiveFailures, Slow uint32
}

// Trips runs trip over c. It errs with a [*StepError], and has not tripped then.
func (b *Breaker) Trips(c Counts) (bool, error) {
	trips, err := b.trip.condition(context.Background(), viewCounts(c), &scope{}, b.route.limits)
	if err != nil {
		return false, &StepError{Route: b.route, Step: tripPath, Reason: reasonOf(err), Err: err}
	}
	return trips, nil
}

const (
	failurePath = "upstream.breaker.failure"
	tripPath    = "upstream.breaker.trip"

	defaultFailure = `.status >= 500 or .error != null or (.grpc_status | IN("UNAVAILABLE","DEADLINE_EXCEEDED","INTERNAL","UNKNOWN","DATA_LOSS"))`
	defaultTrip    = `.requests >= 20 and .failures / .requests > 0.5`
)
