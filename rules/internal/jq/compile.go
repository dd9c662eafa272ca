package jq

import (
	"errors"
	"strings"

	"github.com/itchyny/gojq"
)

type reading struct{ all bool }

// Compile compiles src, which may use the variables given, each with its
// dollar sign. The Program is nil if there are problems; all that were found
// are returned, in the order of the source.
func Compile(src string, variables []string) (*Program, []Problem) {
	query, err := gojq.Parse(src)
	if err != nil {
		return nil, []Problem{syntaxProblem(src, err)}
	}
	p := &Program{query: query, variables: variables, uses: make(map[string]bool), idle: idleMachines()}
	for _, v := range variables {
		p.uses[v] = strings.Contains(src, v)
	}
	p.reads.all = true
	m, err := p.newMachine()
	if err != nil {
		return nil, []Problem{{End: len(src), Code: CodeUndefined, Message: err.Error()}}
	}
	p.release(m)
	return p, nil
}

func syntaxProblem(src string, err error) Problem {
	p := Problem{Offset: len(src), End: len(src), Code: CodeSyntax, Message: err.Error()}
	var parse *gojq.ParseError
	if errors.As(err, &parse) {
		p.End = min(parse.Offset, len(src))
		p.Offset = max(p.End-len(parse.Token), 0)
	}
	return p
}

func (p *Program) newMachine() (*machine, error) {
	m := &machine{}
	m.closed = make(chan struct{})
	close(m.closed)
	code, err := gojq.Compile(p.query, gojq.WithVariables(p.variables))
	m.code = code
	return m, err
}

// ReadsInput reports whether the program may look at its input other than
// through a variable.
func (p *Program) ReadsInput() bool { return p.reads.all }

// Uses reports whether the program names the variable, dollar sign included.
func (p *Program) Uses(variable string) bool { return p.uses[variable] }

// UsesInputField reports whether the program may look at the field name of its
// input. Using the input as a whole counts.
func (p *Program) UsesInputField(name string) bool { return p.reads.all }

func (p *Program) runtimeError(err error) error { return &RuntimeError{Msg: err.Error()} }

func (m *machine) result(v any) error { return nil }
