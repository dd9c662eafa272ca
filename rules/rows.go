package rules

import (
	"github.com/sluice-proxy/sluice/rules/internal/jq"
	"github.com/sluice-proxy/sluice/rules/internal/plan"
)

// Rows returns steps that do to each element of an array, as to a message of a
// stream, what s does to the array; nil if some step has to see more than one
// element.
func (s *Steps) Rows() *Steps {
	if s == nil {
		return nil
	}
	return s.rows
}

// compileRows finds the steps of the elements.
func (s *Steps) compileRows() {
	rows := &Steps{route: s.route, needs: Needs{Body: true, Edits: true}}
	edits := false
	for i := range s.steps {
		step := s.steps[i]
		if step.limit != nil || step.fault != nil {
			return
		}
		for _, p := range []*program{step.when, step.head, step.jq} {
			if p.reads("$body") || p.reads("$message") {
				return
			}
		}
		if step.head == nil && step.when.readsMessage() {
			return
		}
		if step.jq != nil {
			source, ok := plan.Each(step.jq.source)
			if !ok {
				return
			}
			compiled, problems := jq.Compile(source, variables)
			if len(problems) > 0 {
				return
			}
			of := *step.jq
			of.source, of.jq = source, compiled
			step.jq, edits = &of, true
		}
		rows.steps = append(rows.steps, step)
	}
	if edits {
		s.rows = rows
	}
}
