package rules

import (
	"context"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	plans "github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/plan"
)

// judge is a condition on an object of which a message may be a member, such as
// an outcome or a head: as a program and, if it is simple, as a plan, which works
// it out on the message as it stands.
type judge struct {
	*program
	member string // that is the message; empty: there is none

	plan *plans.Plan
	why  string // there is no plan
}

// judgeOf adds the plan to p, which is nil if it has a problem or is absent.
func judgeOf(p *program, member string, limits Limits) *judge {
	j := &judge{program: p, member: member}
	switch {
	case p == nil:
		return nil
	case limits.Steps < plannedSteps:
		j.why = lowSteps
	default:
		j.plan, j.why = plan.Around(p.source, member, planVariables())
	}
	return j
}

// noMessage is the message of an object that has none.
const noMessage = "null"

// holds is the condition for input, which has the message's value if it has any.
func (j *judge) holds(ctx context.Context, input map[string]any, s *scope, l Limits) (bool, error) {
	if (j.member == "" || input[j.member] == nil) && ctx.Err() == nil {
		if holds, sure := j.holdsOn(json.Codec{}, []byte(noMessage), codec.Limits{}, input, s); sure {
			return holds, nil
		}
	}
	return j.condition(ctx, input, s, l)
}

// holdsOn is the condition for rest, which the message is no member of, and the
// message as it stands, of format. If it is not sure, only holds can tell.
func (j *judge) holdsOn(format codec.Codec, message []byte, limits codec.Limits, rest map[string]any, s *scope) (holds, sure bool) {
	editor, ok := format.(plans.Editor)
	if !ok || j.plan == nil {
		return false, false
	}
	v, outcome, err := editor.Query(j.plan, message, append(s.values(j.program), rest), limits)
	if err != nil || outcome != plans.Changed {
		return false, false
	}
	holds, sure = v.(bool)
	return holds, sure
}
