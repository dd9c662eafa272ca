package ruletest

import (
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/rules"
)

// codeFailed is the code of a case that fails.
const codeFailed = "test-failed"

// Problems are the cases that failed, as problems of their files.
func (r *Report) Problems() (problems []rules.Problem) {
	for i := range r.Results {
		result := &r.Results[i]
		if !result.Failed() {
			continue
		}
		c := result.Case
		problems = append(problems, rules.Problem{
			Position: c.Position, EndColumn: c.Position.Column + 1, Route: c.Route.Name(), Path: fmt.Sprintf("tests[%d]", c.Index),
			Code: codeFailed, Message: fmt.Sprintf("%q fails: %s", c.Name, result.summary()), Hint: "sluice test says more",
		})
	}
	return problems
}

// summary is the first thing that is otherwise, on one line.
func (r *Result) summary() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	f := r.Failures[0]
	place := f.Place
	if place == "" {
		place = "expect"
	}
	switch {
	case f.Said != "":
		return place + ": " + f.Said
	case strings.Contains(f.Want+f.Got, "\n"):
		return place + " is another one"
	}
	return fmt.Sprintf("%s: expected %s, came %s", place, f.Want, f.Got)
}
