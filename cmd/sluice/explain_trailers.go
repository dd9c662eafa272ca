package main

import (
	"encoding/json"
	"strings"
)

// stepsOf are the steps of one part of a rule file, those of shared files before
// it among them.
func (e *explained) stepsOf(part string) []explainedStep {
	var steps []explainedStep
	for _, s := range e.Steps {
		name := s.Step
		if strings.HasPrefix(name, "_") {
			_, name, _ = strings.Cut(name, ".") // _all.request[0].jq
		}
		if strings.HasPrefix(name, part) {
			steps = append(steps, s)
		}
	}
	return steps
}

// trailers prints the steps over the trailers, and what of them is sent.
func (p *explainPrinter) trailers(e *explained) {
	steps := e.stepsOf("trailers")
	if len(steps) == 0 || e.Response == nil {
		return
	}
	p.b.WriteString("\ntrailers\n")
	for i := range steps {
		steps[i].Body = nil // one behind the other they tell less than what is sent
	}
	p.steps(steps, nil, nil)
	if !e.sent("response") {
		return
	}
	before := trailerLines(e.Response.Trailers)
	after := before
	if a := e.Response.After; a != nil && len(a.Trailers) > 0 {
		after = trailerLines(a.Trailers)
	}
	p.b.WriteString("  sent to the caller\n")
	p.diff(diffLines(before, after, sameLine))
}

func trailerLines(fields json.RawMessage) []string {
	return headLines("", "", "", "", nil, fields)[2:] // which begin as those of a request
}
