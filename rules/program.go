package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

// variables are the names a program may use somewhere, in the order of
// [scope.values].
var variables = []string{"$request", "$response", "$body", "$message", "$now", "$lookup", "$jwt"}

// outputFloor is what one run of a program may always make, in bytes of JSON.
const outputFloor = 8 * codec.MiB

// program is a compiled jq program and its place in the rule file.
type program struct {
	jq     *jq.Program
	path   string // request[0].jq
	at     Position
	source string
	uses   []bool // by the index in variables
}

// sees says which variables a place of the rule file has.
type sees struct {
	place   string // for problems: "match.where"
	allowed []string
	does    string // of steps: what one may do
}

func whereSees() sees { return sees{place: "match.where", allowed: []string{"$request", "$now"}} }

func requestSees() sees {
	return sees{"a request step", []string{"$request", "$body", "$message", "$now"}, "one of jq, head, reject"}
}

func responseSees() sees {
	return sees{"a response step", []string{"$request", "$response", "$body", "$message", "$now"}, "one of jq, head, reject"}
}

func trailersSees() sees {
	return sees{"a trailers step", []string{"$request", "$response", "$now"}, "a jq program"}
}

func failureSees() sees { return sees{place: "breaker.failure", allowed: []string{"$now"}} }

func tripSees() sees { return sees{place: "breaker.trip"} }

// compileProgram compiles t, nil if it is absent or has a problem.
func compileProgram(t text, s sees) *program {
	if t.At == nil {
		return nil
	}
	compiled, problems := jq.Compile(t.V, variables)
	if len(problems) > 0 {
		if whole, cut := t.At.Cut(); cut {
			if _, rest := jq.Compile(whole, variables); len(rest) == 0 {
				t.At.ReportCut()
				return nil
			}
		}
		for _, p := range problems {
			if p.Hint == "" && t.At.InFlow() {
				p.Hint = "inside { } a program with commas, braces or brackets needs quotes"
			}
			t.At.ReportAt(p.Offset, p.End, p.Code, p.Hint, "%s", p.Message)
		}
		return nil
	}
	p := &program{jq: compiled, path: t.At.Path, at: t.At.Position(), source: t.V, uses: make([]bool, len(variables))}
	good := true
	for i, v := range variables {
		p.uses[i] = compiled.Uses(v)
		if p.uses[i] && !slices.Contains(s.allowed, v) {
			reportVariable(t, v, s)
			good = false
		}
	}
	if !good {
		return nil
	}
	return p
}

// mustProgram compiles a program of this package.
func mustProgram(source string) *program {
	compiled, problems := jq.Compile(source, variables)
	if len(problems) > 0 {
		panic("rules: " + source + ": " + problems[0].Message)
	}
	return &program{jq: compiled, source: source, uses: make([]bool, len(variables))}
}

func reportVariable(t text, variable string, s sees) {
	at := max(strings.Index(t.V, variable), 0)
	switch variable {
	case "$lookup", "$jwt":
		t.At.ReportAt(at, at+len(variable), document.CodeNotYet, "", "%s is not there yet", variable)
	case "$body", "$message":
		t.At.ReportAt(at, at+len(variable), codeVariable, "", "%s sees no message, so there is no %s", s.place, variable)
	default:
		t.At.ReportAt(at, at+len(variable), codeVariable, "", "%s has no %s", s.place, variable)
	}
}

// reads reports whether the program uses variable.
func (p *program) reads(variable string) bool {
	return p != nil && p.uses[slices.Index(variables, variable)]
}

// readsStatus reports whether the program may look at $response.grpc_status.
func (p *program) readsStatus() bool {
	return p.reads("$response") && strings.Contains(p.source, "grpc_status")
}

// readsMessage reports whether a program whose input is the message reads it.
func (p *program) readsMessage() bool {
	return p != nil && (p.jq.ReadsInput() || p.reads("$body"))
}

// errMany stops a run at the second result where one is wanted.
var errMany = errors.New("more than one result")

// run calls emit with each result.
func (p *program) run(ctx context.Context, input any, s *scope, l Limits, emit func(any) error) error {
	limits := jq.Limits{Steps: l.Steps, Time: l.Time, Output: int64(max(l.Body, outputFloor)), Account: s.steps}
	return p.jq.Run(ctx, input, s.values(p), limits, s.now, emit)
}

// one returns the program's only result.
func (p *program) one(ctx context.Context, input any, s *scope, l Limits) (any, error) {
	var result any
	count := 0
	err := p.run(ctx, input, s, l, func(v any) error {
		if count++; count > 1 {
			return errMany
		}
		result = v
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case count == 0:
		return nil, errNone
	}
	return result, nil
}

var errNone = errors.New("no result")

// condition is the program's result as a condition.
func (p *program) condition(ctx context.Context, input any, s *scope, l Limits) (bool, error) {
	v, err := p.one(ctx, input, s, l)
	if errors.Is(err, errMany) || errors.Is(err, errNone) {
		return false, fmt.Errorf("%w: %w", errNotBool, err)
	}
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, errNotBool
	}
	return b, nil
}

var errNotBool = errors.New("not one boolean")

// reasonOf is the reason of an error that a run ended with.
func reasonOf(err error) Reason {
	var panicked *jq.PanicError
	var step *StepError
	var skipped skippedError
	switch {
	case errors.As(err, &step):
		return step.Reason
	case errors.As(err, &skipped):
		return Reason(skipped)
	case errors.Is(err, errNotBool):
		return ReasonNotBool
	case errors.Is(err, errNoKey):
		return ReasonNoKey
	case errors.Is(err, errMany):
		return ReasonMany
	case errors.Is(err, errNone):
		return ReasonNoResult
	case errors.Is(err, errHead):
		return ReasonHead
	case errors.Is(err, errTrailers):
		return ReasonTrailers
	case errors.Is(err, jq.ErrBudget):
		return ReasonBudget
	case errors.As(err, &panicked):
		return ReasonPanic
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ReasonCancelled
	case errors.Is(err, codec.ErrTooLarge):
		return ReasonTooLarge
	}
	return ReasonRuntime
}

// scope holds what the variables of one run are made of. The views are made
// when a program first asks for them.
type scope struct {
	request  *Request
	params   Params
	response *Head
	status   Code // of a call that has ended; "" if it is none
	body     any
	index    int
	now      time.Time

	steps *int64 // that are left to the programs of one run; nil: each has all

	requestView, responseView map[string]any
}

// values returns the variables that p uses in the order of variables.
func (s *scope) values(p *program) []any {
	values := make([]any, len(variables), len(variables)+1) // a judge adds one
	for i := range variables {
		if !p.uses[i] {
			continue
		}
		switch variables[i] {
		case "$request":
			if s.requestView == nil {
				s.requestView = viewRequest(s.request, s.params)
			}
			values[i] = s.requestView
		case "$response":
			if s.responseView == nil && s.response != nil {
				s.responseView = map[string]any{"status": s.response.Status, "headers": viewFields(s.response.Fields)}
				if s.status != "" {
					s.responseView["grpc_status"] = string(s.status)
				}
			}
			if s.responseView != nil {
				values[i] = s.responseView
			}
		case "$body":
			values[i] = s.body
		case "$message":
			values[i] = map[string]any{"index": s.index}
		case "$now":
			values[i] = float64(s.now.UnixNano()) / 1e9
		}
	}
	return values
}
