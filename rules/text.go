package rules

import (
	"context"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	plans "github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/plan"
)

// planned is what the steps do to a message as a plan, which runs on the message as
// it stands, without values made of it.
type planned struct {
	plan  *plans.Plan
	steps []int // of the route's, by their number in plan
	uses  *program

	heads     bool // there are head steps as well
	variables bool // it uses some
}

// Why says why the steps need the message's value, "" if they do not: they run on
// its bytes, or do not look at it.
func (s *Steps) Why() string {
	if s == nil {
		return ""
	}
	return s.why
}

// plannedSteps is how few instructions a route may allow for plans, which are
// not counted in instructions, to be its way.
const plannedSteps = 100_000

const lowSteps = "limits.steps is low"

// planVariables are the variables by their numbers in plans.
func planVariables() []string {
	names := slices.Clone(variables)
	for i, v := range names {
		if v == "$body" || v == "$lookup" || v == "$jwt" {
			names[i] = "" // none that a program can name
		}
	}
	return names
}

// plan compiles the steps, all in one plan: new members are written in order,
// whichever step they are of.
func (s *Steps) compilePlan(limits Limits) {
	p := &planned{uses: &program{uses: make([]bool, len(variables))}}
	var steps []plan.Step
	for i := range s.steps {
		step := &s.steps[i]
		if step.limit != nil || step.fault != nil {
			s.why = step.name + ": it reads the message"
			return
		}
		if step.head != nil {
			p.heads = true
			if step.head.reads("$body") || step.when.reads("$body") {
				s.why = step.name + ": its head waits for the message"
				return
			}
			continue
		}
		if step.jq == nil && step.reject == nil {
			return // it has a problem
		}
		made := plan.Step{Stop: step.reject != nil}
		if step.when != nil {
			made.When = step.when.source
		}
		if step.jq != nil {
			made.JQ = step.jq.source
		}
		steps = append(steps, made)
		p.steps = append(p.steps, i)
		for _, each := range []*program{step.when, step.jq} {
			for v := range variables {
				if each.reads(variables[v]) {
					p.uses.uses[v], p.variables = true, true
				}
			}
		}
	}
	switch {
	case len(steps) == 0:
		return
	case len(steps) > 64:
		s.why = "there are more than 64"
		return
	case limits.Steps < plannedSteps:
		s.why = lowSteps
		return
	}
	if p.plan, s.why = plan.Compile(steps, planVariables()); p.plan != nil {
		s.planned = p
	}
}

// RunsOn reports whether [Steps.RunOn] may be sure of some messages of format.
func (s *Steps) RunsOn(format codec.Codec) bool {
	_, ok := format.(plans.Editor)
	return ok && s != nil && s.planned != nil
}

// onlyPlans reports whether the steps are nothing but a plan's.
func (s *Steps) onlyPlans() bool {
	return s == nil || s.planned != nil && !s.planned.heads && !s.status
}

// OnlyPlans reports whether the route does nothing to an exchange but edit or
// refuse its messages by plans, as [Steps.RunOn] does: there are no head steps,
// no breaker and nothing else. Whatever else a route learns to do has to be asked
// for here.
func (r *Route) OnlyPlans() bool {
	return r.request.onlyPlans() && r.response.onlyPlans() && r.trailers == nil && r.breaker == nil && r.format == "" && r.upstreamFormat == "" && r.timeout == (Timeout{}) && r.redact == nil && r.rateLimit == nil && r.fault == nil
}

// RunOn is [Steps.Run] for a message that was not decoded, of a format of which
// RunsOn is true. If sure, out and err are what Run would have come to, but for what
// its reports say of the way, and left, if out.Edited, is what the format would make of
// out.Messages, which stays empty: data itself if that is no edit. Otherwise only
// Run can tell.
func (s *Steps) RunOn(ctx context.Context, in In, format codec.Codec, data []byte, limits codec.Limits) (out Out, left []byte, sure bool, err error) {
	if in.StatusErr != nil && s.status {
		return Out{}, nil, false, nil
	}
	var r *run // for what is not the plan's: most have none
	if s.planned.heads || s.planned.variables {
		r = newRun(s, in)
	}
	var vars []codec.Value
	if s.planned.variables {
		vars = r.scope.values(s.planned.uses)
	}
	began := in.clock()
	result, err := format.(plans.Editor).Edit(in.Room, s.planned.plan, data, vars, limits)
	if err != nil || result.Outcome == plans.Unsure || result.Outcome == plans.Nothing {
		return Out{}, nil, false, nil //nolint:nilerr // Run meets the same error
	}
	took := in.clock().Sub(began)
	out = Out{Head: in.Head, Steps: make([]StepReport, 0, len(s.steps))}
	left, number := data, -1
	if result.Outcome == plans.Changed {
		left = result.Data
	}
	for i := range s.steps {
		step := &s.steps[i]
		if step.head == nil {
			number++
		}
		if !step.inPhase(in.Phase) {
			continue
		}
		report := StepReport{Step: step.name, Result: "when_false"}
		switch {
		case step.head != nil:
			began := in.clock()
			err := r.head(ctx, step, &report)
			report.Took = in.clock().Sub(began)
			out.Head = r.out.Head
			if err != nil {
				report.Result = "failed"
				out.Steps = append(out.Steps, report)
				return out, nil, true, s.failed(step, err)
			}
		case step.reject != nil && result.Outcome == plans.Stopped && result.Stop == number:
			out.Reject, report.Result = step.reject, "rejected"
		case step.jq != nil && result.Ran&(1<<number) != 0:
			out.Edited, report.Result, report.Count = true, "ran", 1
		}
		if step.head == nil {
			report.InPlace, report.Took, took = true, took, 0
		}
		out.Steps = append(out.Steps, report)
		if out.Reject != nil {
			break
		}
	}
	return out, left, true, nil
}
