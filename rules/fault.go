package rules

import (
	"context"
	"time"

	"github.com/sluice-proxy/sluice/rules/document"
)

// faultText is a fault block as it is written.
type faultText struct {
	when   text
	delay  span
	abort  document.Value[answerText]
	sample document.Value[float64]
}

func faultTable() document.Table[faultText] {
	type f = faultText
	return document.Table[f]{
		document.Key("when", document.Program(), func(t *f) *text { return &t.when },
			"jq over the head, as the request's steps left it, that gives one boolean; always if absent.").Such(`.headers["x-chaos"] == "1"`),
		document.Key("delay", document.Duration(), func(t *f) *span { return &t.delay },
			"How long the request waits before it goes on, or before abort answers.").Such("300ms"),
		document.Key("abort", document.Object(abortTable()), func(t *f) *document.Value[answerText] { return &t.abort },
			"What the caller is answered; the upstream is not asked, and its breaker not told. 503 and UNAVAILABLE for {}."),
		document.Key("sample", document.Percent(), func(t *f) *document.Value[float64] { return &t.sample },
			"The share of these exchanges that have the fault; 100%.").Such("10%"),
	}
}

func abortTable() document.Table[answerText] {
	return document.Table[answerText]{statusKey(), grpcKey()}
}

// Fault is the compiled fault of a route: what is done to its exchanges on
// purpose.
type Fault struct {
	Delay  time.Duration // before the upstream is asked, or Abort answers; 0: none
	Abort  *Reject       // nil: the upstream is asked
	Sample float64       // the share of exchanges, from 0 to 1

	at   document.Position
	when *judge // nil: always
}

func faultSees() sees {
	return sees{place: "fault.when", allowed: []string{"$request", "$body", "$now"}}
}

func (c *compiler) fault(v document.Value[faultText]) *Fault {
	t := v.V
	if t.delay.At == nil && t.abort.At == nil && !v.At.HasProblem() {
		v.At.Report(codeStep, "delay, abort or both", "the fault does nothing")
	}
	f := &Fault{
		Delay: t.delay.V, Sample: t.sample.Or(1),
		at: v.At.Position(), when: judgeOf(compileProgram(t.when, faultSees()), "", c.route.limits),
	}
	if t.abort.At != nil {
		f.Abort = &Reject{Step: faultPath, Message: "a fault was injected", Reason: ReasonFault}
		f.Abort.Status, f.Abort.GRPC = statusesOf(t.abort.V, 503, "UNAVAILABLE")
		if f.Abort.GRPC == "OK" {
			f.Abort.GRPC = "UNAVAILABLE"
			if t.abort.V.grpc.At != nil {
				t.abort.V.grpc.At.Report(codeStep, "", "an abort cannot say OK")
			}
		}
	}
	return f
}

const (
	faultPath     = "fault"
	faultWhenPath = "fault.when"
)

// ReadsBody reports whether when names $body, so that a step of the request
// decides: [Out.Fault] is what it came to. Otherwise [Route.HasFault] decides.
func (f *Fault) ReadsBody() bool { return f.when != nil && f.when.reads("$body") }

// HasFault reports whether an exchange that was matched with params and whose
// request has this head now is one that the route's fault is for, but for its
// sample. It errs with a [*StepError].
func (r *Route) HasFault(ctx context.Context, head *Head, q *Request, params Params, now time.Time) (bool, error) {
	when := r.fault.when
	if when == nil {
		return true, nil
	}
	holds, err := when.holds(ctx, viewHead(head, params), &scope{request: q, params: params, now: now}, r.limits)
	if err != nil {
		return false, &StepError{Route: r, Step: faultWhenPath, Reason: reasonOf(err), Err: err}
	}
	return holds, nil
}

// faultStep is the step that decides by the message.
func (r *Route) faultStep() []step {
	if r.fault == nil || !r.fault.ReadsBody() {
		return nil
	}
	return []step{{name: faultWhenPath, at: r.fault.at, fault: r.fault}}
}

// hasFault decides whether the fault is for the exchange.
func (r *run) hasFault(ctx context.Context, s *step, report *StepReport) error {
	r.scope.body = nil
	if r.Phase != StreamHead {
		switch {
		case r.Body.Err != nil:
			return r.Body.Err
		case r.Body.Skipped != "":
			return skippedError(r.Body.Skipped)
		case len(r.messages) > 0:
			r.scope.body = r.messages[0]
		}
	}
	holds, err := s.fault.when.condition(ctx, viewHead(r.out.Head, r.Params), &r.scope, r.limits)
	if err != nil {
		return err
	}
	r.out.Fault, report.Result = holds, resultAllowed
	if !holds {
		report.Result = "when_false"
	}
	return nil
}
