package rules

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// Run applies the steps to one message. Its error is a [*StepError]; Out.Steps
// is filled up to it. Run recovers from panics in programs. ctx ends a run
// early; the route's limits bound it anyway.
func (s *Steps) Run(ctx context.Context, in In) (out Out, err error) {
	if s == nil {
		return Out{Head: in.Head}, nil
	}
	r := newRun(s, in)
	r.messages = []codec.Value{in.Body.Value}
	name := ""
	defer func() {
		if p := recover(); p != nil {
			out, err = r.out, &StepError{Route: s.route, Step: name, Reason: ReasonPanic, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	for i := range s.steps {
		step := &s.steps[i]
		name = step.name
		if !step.inPhase(in.Phase) {
			continue
		}
		report := StepReport{Step: name}
		began := r.clock()
		err := r.step(ctx, step, &report)
		report.Took = r.clock().Sub(began)
		if err != nil {
			report.Result = "failed"
		}
		r.out.Steps = append(r.out.Steps, report)
		if err != nil {
			return r.out, s.failed(step, err)
		}
		if r.out.Reject != nil {
			break
		}
	}
	if r.out.Edited {
		r.out.Messages = r.messages
	}
	return r.out, nil
}

func (s *Steps) failed(step *step, err error) *StepError {
	var in *whenError
	if errors.As(err, &in) {
		return &StepError{Route: s.route, Step: step.when.path, Reason: reasonOf(in.err), Err: in.err}
	}
	name := step.name
	if step.limit != nil {
		name = limitKeyPath
	}
	return &StepError{Route: s.route, Step: name, Reason: reasonOf(err), Err: err}
}

// whenError is an error of a step's condition.
type whenError struct{ err error }

func (e *whenError) Error() string { return e.err.Error() }

func (e *whenError) Unwrap() error { return e.err }

// inPhase reports whether the step belongs to a phase.
func (s *step) inPhase(p Phase) bool {
	if s.limit != nil || s.fault != nil { // of the exchange; without a message if there is none
		return p != StreamMessage
	}
	switch p {
	case StreamHead:
		return s.head != nil || s.reject != nil && !s.when.readsMessage() && !s.when.reads("$message")
	case StreamMessage:
		return s.head == nil
	}
	return true
}

// readsStatus reports whether the step may look at $response.grpc_status.
func (s *step) readsStatus() bool {
	return s.when.readsStatus() || s.jq.readsStatus() || s.head.readsStatus()
}

// run is the state of one [Steps.Run].
type run struct {
	In
	limits   Limits
	scope    scope
	out      Out
	messages []codec.Value // what the steps so far left of the message
	left     int64         // instructions that are left to the programs to come
}

func newRun(s *Steps, in In) *run {
	r := &run{
		In: in, limits: s.route.limits, out: Out{Head: in.Head},
		scope: scope{request: in.Request, params: in.Params, response: in.Response, status: in.Status, index: in.Index, now: in.Now},
		left:  s.route.limits.Steps,
	}
	r.scope.steps = &r.left
	return r
}

// clock is the instant now, or always the same one if nobody wants to know.
func (in *In) clock() time.Time {
	if in.Clock == nil {
		return time.Time{}
	}
	return in.Clock()
}

// step runs one step and fills its report, but for failures.
func (r *run) step(ctx context.Context, s *step, report *StepReport) error {
	switch {
	case r.StatusErr != nil && s.readsStatus():
		return r.StatusErr
	case s.head != nil:
		return r.head(ctx, s, report)
	case s.limit != nil:
		return r.limit(ctx, s, report)
	case s.fault != nil:
		return r.hasFault(ctx, s, report)
	case s.jq != nil:
		return r.jq(ctx, s, report)
	}
	return r.rejects(ctx, s, report)
}

// head edits the head. In a stream whose message became several, $body is the
// first of them.
func (r *run) head(ctx context.Context, s *step, report *StepReport) error {
	if s.when.reads("$body") || s.head.reads("$body") {
		if r.Body.Err != nil {
			return r.Body.Err
		}
		if r.Body.Skipped != "" {
			report.Result = r.Body.Skipped
			return nil
		}
	}
	r.scope.body = nil
	if len(r.messages) > 0 {
		r.scope.body = r.messages[0]
	}
	view := viewHead(r.out.Head, r.Params)
	if ok, err := r.when(ctx, s, view); err != nil || !ok {
		report.Result = "when_false"
		return err
	}
	after, err := s.head.one(ctx, view, &r.scope, r.limits)
	if err != nil {
		return err
	}
	head, err := editHead(r.out.Head, view, after)
	if err != nil {
		return err
	}
	r.out.Head, report.Head, report.Result = head, head, "ran"
	return nil
}

// when runs the step's condition; a step without one is always on.
func (r *run) when(ctx context.Context, s *step, input any) (bool, error) {
	if s.when == nil {
		return true, nil
	}
	var ok bool
	var err error
	if s.judge != nil {
		head, _ := input.(map[string]any)
		ok, err = s.judge.holds(ctx, head, &r.scope, r.limits)
	} else {
		ok, err = s.when.condition(ctx, input, &r.scope, r.limits)
	}
	if err != nil {
		return false, &whenError{err}
	}
	return ok, nil
}

// jq makes new messages of the messages.
func (r *run) jq(ctx context.Context, s *step, report *StepReport) error {
	if err := r.decoded(s.when); err != nil {
		return &whenError{err}
	}
	if s.jq.readsMessage() && r.Body.Err != nil {
		if ok, err := r.when(ctx, s, nil); err != nil || !ok {
			report.Result = "when_false"
			return err
		}
		return r.Body.Err
	}
	var out []codec.Value
	ran := len(r.messages) == 0
	for _, message := range r.messages {
		r.scope.body = message
		ok, err := r.when(ctx, s, message)
		if err != nil {
			return err
		}
		switch {
		case !ok:
			out = append(out, message)
			continue
		case r.Body.Skipped != "":
			report.Result = r.Body.Skipped
			return nil
		}
		ran = true
		if out, err = r.transform(ctx, s.jq, message, out); err != nil {
			return err
		}
	}
	if !ran {
		report.Result = "when_false"
		return nil
	}
	r.messages, r.out.Edited = out, true
	report.Result, report.Count = "ran", len(out)
	if len(out) > 0 {
		report.Body = out[0]
	}
	return nil
}

// transform appends the results for one message to out.
func (r *run) transform(ctx context.Context, p *program, message codec.Value, out []codec.Value) ([]codec.Value, error) {
	if r.Phase == Whole {
		v, err := p.one(ctx, message, &r.scope, r.limits)
		return append(out, v), err
	}
	err := p.run(ctx, message, &r.scope, r.limits, func(v any) error {
		out = append(out, v)
		return nil
	})
	return out, err
}

// decoded errs if the condition reads a message that was not decoded: what
// decides is never skipped.
func (r *run) decoded(when *program) error {
	switch {
	case !when.readsMessage():
		return nil
	case r.Body.Err != nil:
		return r.Body.Err
	case r.Body.Skipped != "":
		return skippedError(r.Body.Skipped)
	}
	return nil
}

// skippedError says that a decision needs a message that was not decoded, and
// why it was not.
type skippedError string

func (e skippedError) Error() string { return "the message was not decoded: " + string(e) }

// rejects answers in place of the upstream if the condition holds for one of
// the messages.
func (r *run) rejects(ctx context.Context, s *step, report *StepReport) error {
	if err := r.decoded(s.when); err != nil {
		return &whenError{err}
	}
	messages := r.messages
	if !s.when.readsMessage() {
		messages = []codec.Value{nil}
	}
	report.Result = "when_false"
	for _, message := range messages {
		r.scope.body = message
		ok, err := r.when(ctx, s, message)
		if err != nil {
			return err
		}
		if ok {
			r.out.Reject, report.Result = s.reject, "rejected"
			return nil
		}
	}
	return nil
}
