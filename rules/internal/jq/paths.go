package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// CodeNotPath is the code of a [Problem] of [CheckPath].
const CodeNotPath = "jq-no-path"

// CheckPath returns what keeps src, a program that compiles, from naming places of
// its input: such a program has only parts that give a path, like .card.number or
// .items[] | select(.kind == "pin").value. Nil: every result has a path.
func CheckPath(src string) *Problem {
	q, err := gojq.Parse(src)
	if err != nil {
		p := syntaxProblem(src, err)
		return &p
	}
	var c pathChecker
	if c.query(q) {
		return nil
	}
	p := &Problem{
		End: len(src), Code: CodeNotPath, Message: "this names no place of the message, but works a value out",
		Hint: "write a path, such as .card.number or .items[].token",
	}
	for _, w := range words(src) {
		if w.text == c.culprit {
			p.Offset, p.End = w.at, w.at+len(w.text)
			break
		}
	}
	return p
}

// pathChecker walks through what gives the results of a query, not through what
// only has a say in which they are.
type pathChecker struct {
	own     []string // functions that the program defines
	culprit string   // the function that gives no path, if it is one
}

func (c *pathChecker) query(q *gojq.Query) bool {
	known := len(c.own)
	defer func() { c.own = c.own[:known] }()
	for _, f := range q.FuncDefs {
		c.own = append(c.own, f.Name)
		if !c.query(f.Body) {
			return false
		}
	}
	switch {
	case q.Term != nil:
		return c.term(q.Term)
	case q.Op == gojq.OpPipe && len(q.Patterns) > 0: // path as $name | path
		return c.query(q.Right)
	case q.Op == gojq.OpPipe, q.Op == gojq.OpComma, q.Op == gojq.OpAlt:
		return c.query(q.Left) && c.query(q.Right)
	}
	return false
}

// term ignores suffixes: an index of a path is one, and of a value none.
func (c *pathChecker) term(t *gojq.Term) bool {
	switch t.Type {
	case gojq.TermTypeIdentity, gojq.TermTypeRecurse, gojq.TermTypeIndex, gojq.TermTypeBreak:
		return true
	case gojq.TermTypeQuery:
		return c.query(t.Query)
	case gojq.TermTypeTry:
		return c.query(t.Try.Body) && (t.Try.Catch == nil || isCall(t.Try.Catch, "empty")) // what is caught is no input
	case gojq.TermTypeLabel:
		return c.query(t.Label.Body)
	case gojq.TermTypeIf:
		for _, e := range t.If.Elif {
			if !c.query(e.Then) {
				return false
			}
		}
		return c.query(t.If.Then) && (t.If.Else == nil || c.query(t.If.Else))
	case gojq.TermTypeFunc:
		return c.call(t.Func)
	}
	return false
}

func isCall(q *gojq.Query, name string) bool {
	return q.Term != nil && q.Term.Type == gojq.TermTypeFunc && q.Term.Func.Name == name
}

func (c *pathChecker) call(f *gojq.Func) bool {
	if slices.Contains(c.own, f.Name) {
		return true // its body was looked at where it stands
	}
	switch f.Name {
	case "empty", "error", "recurse", "getpath", "select", "first", "nth", "limit",
		"objects", "arrays", "iterables", "scalars", "strings", "numbers", "booleans", "nulls", "values":
	default:
		c.culprit = f.Name
		return false
	}
	switch {
	case len(f.Args) == 2 && (f.Name == "nth" || f.Name == "limit"):
		return c.query(f.Args[1])
	case len(f.Args) > 0 && (f.Name == "recurse" || f.Name == "first"):
		return c.query(f.Args[0])
	}
	return true
}
