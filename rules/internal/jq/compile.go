package jq

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// Compile compiles src, which may use the variables given, each with its
// dollar sign. The Program is nil if there are problems; all that were found
// are returned, in the order of the source.
func Compile(src string, variables []string) (*Program, []Problem) {
	r, p, err := analyse(src, variables)
	if err != nil {
		return nil, []Problem{syntaxProblem(src, err)}
	}
	if len(r.findings) > 0 {
		return nil, locate(src, variables, r.findings)
	}
	m, err := p.newMachine() // of gojq's, even where it is not needed: it has the last word on what is a program
	if err != nil {
		return nil, []Problem{{End: len(src), Code: CodeSyntax, Message: err.Error()}}
	}
	if p.direct = compileDirect(p.query, p.variables); p.direct == nil {
		p.release(m)
	}
	return p, nil
}

// analyse parses and rewrites src. Its error is that of the parser.
func analyse(src string, variables []string) (*rewriter, *Program, error) {
	query, err := gojq.Parse(src)
	if err != nil {
		return nil, nil, err
	}
	r := newRewriter(variables)
	r.catches = strings.Contains(src, "try") || strings.Contains(src, "?")
	p := &Program{variables: slices.Clone(variables), idle: idleMachines()}
	p.query, p.reads = r.program(query)
	p.uses, p.natives, p.regexps, p.texts = r.uses, r.natives, r.regexps, r.texts
	return r, p, nil
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

// locate finds the place of each finding. Neither gojq's syntax tree nor its
// errors have places: so each word of the source that a finding could be about
// is replaced in turn by one that nobody knows, and the finding that changes is
// the one that stands there.
func locate(src string, variables []string, findings []finding) []Problem {
	problems := make([]Problem, len(findings))
	for i, f := range findings {
		problems[i] = f.Problem
		problems[i].End = len(src)
	}
	placed := make([]bool, len(findings))
	for _, w := range words(src) {
		if !slices.ContainsFunc(findings, func(f finding) bool { return f.word == w.text }) {
			continue
		}
		other := "zz_" + w.text
		if w.text[0] == '$' || w.text[0] == '@' {
			other = w.text[:1] + "zz_" + w.text[1:]
		}
		r, _, err := analyse(src[:w.at]+other+src[w.at+len(w.text):], variables)
		for i, f := range findings {
			if placed[i] || f.word != w.text {
				continue
			}
			if err != nil { // a keyword
				if f.word != "import" && f.word != "include" && f.word != "module" {
					continue
				}
			} else if !sameButOne(findings, r.findings, i, other) {
				continue
			}
			problems[i].Offset, problems[i].End, placed[i] = w.at, w.at+len(w.text), true
			break
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Offset, b.Offset) })
	return problems
}

// sameButOne reports whether after is before, but for the word at i.
func sameButOne(before, after []finding, i int, word string) bool {
	if len(before) != len(after) {
		return false
	}
	for j := range before {
		if j != i && before[j].word != after[j].word {
			return false
		}
	}
	return after[i].word == word
}

// newMachine compiles the program for a run of its own.
func (p *Program) newMachine() (*machine, error) {
	m := &machine{program: p}
	m.closed = make(chan struct{})
	close(m.closed)
	if p.direct != nil {
		m.slots = make([]any, p.direct.slots)
		return m, nil
	}
	options := append(bindNatives(m, p.natives), gojq.WithVariables(p.variables))
	var err error
	m.code, err = gojq.Compile(p.query, options...)
	return m, err
}

// ReadsInput reports whether the program may look at its input other than
// through a variable.
func (p *Program) ReadsInput() bool { return p.reads.all || len(p.reads.fields) > 0 }

// InputFields are the names of the fields of its input that the program may look
// at. ok is false if it may use the input as a whole.
func (p *Program) InputFields() (names []string, ok bool) {
	return p.reads.fields, !p.reads.all
}

// Uses reports whether the program names the variable, dollar sign included.
func (p *Program) Uses(variable string) bool { return p.uses[variable] }

// UsesInputField reports whether the program may look at the field name of its
// input. Using the input as a whole counts.
func (p *Program) UsesInputField(name string) bool {
	return p.reads.all || slices.Contains(p.reads.fields, name)
}
