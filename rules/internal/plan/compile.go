// Package plan compiles jq programs that are made of simple edits to plans,
// which edit a message's bytes without making values of them. Most programs in
// rule files are: paths, assignments, del, select, if, comparisons. For every
// other it says in a few words why not, and the program runs as jq.
//
// What is compiled means the same as the program, or its runner says that it
// cannot tell. Where that would be so for most messages, it is not compiled.
package plan

import (
	"errors"
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// Step is one step over a message.
type Step struct {
	When string // a condition, which must be a boolean; empty: always
	JQ   string // the program; empty where Stop is set
	Stop bool   // end everything if When holds
}

// Compile makes one plan of steps, each of which sees what the one before it
// left. variables are what the programs may name, each with its dollar sign, in
// the order in which a run gets their values; every program has passed the
// compiler of package jq. A step that stops does so under its index, and one
// whose program ran is noted under it. The plan is nil if there is none, and
// then why is the reason, such as "uses reduce".
func Compile(steps []Step, variables []string) (p *plan.Plan, why string) {
	return compile(variables, func(c *compiler) error {
		if len(steps) > 64 {
			return refuse("has more than 64 steps")
		}
		for i, s := range steps {
			body, err := c.step(i, s, i == len(steps)-1)
			if err != nil {
				return err
			}
			c.plan.Body = append(c.plan.Body, body...)
		}
		return nil
	})
}

// Value makes a plan of a program that yields one value of a message, which it
// does not edit, such as a condition or a key.
func Value(src string, variables []string) (p *plan.Plan, why string) {
	return compile(variables, func(c *compiler) error {
		q, err := gojq.Parse(src)
		if err != nil {
			return err
		}
		c.plan.Result, err = c.value(q, operand{})
		return err
	})
}

// Around makes a plan as [Value] does of a program whose input is an object that
// has the message as its member. The input without that member is one more
// variable behind the others. With no member the message is not looked at.
func Around(src, member string, variables []string) (p *plan.Plan, why string) {
	return compile(variables, func(c *compiler) error {
		q, err := gojq.Parse(src)
		if err != nil {
			return err
		}
		c.member = member
		c.plan.Result, err = c.value(q, operand{expr: &plan.Expr{Op: plan.Variable, Var: len(variables)}})
		return err
	})
}

func compile(variables []string, f func(*compiler) error) (*plan.Plan, string) {
	c := &compiler{variables: variables, plan: &plan.Plan{Places: []plan.Place{{}}}}
	err := f(c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		var r refusal
		if !errors.As(err, &r) {
			return nil, "is no program: " + err.Error()
		}
		return nil, string(r)
	}
	return c.plan, ""
}

// refusal is why a program has no plan.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

type compiler struct {
	plan      *plan.Plan
	variables []string
	member    string // of the input, that the message is; empty: there is none, or the message is the input
	written   []int  // places that what is compiled so far writes to or takes out
	shrunk    []int  // arrays that it takes elements out of
	loops     int    // around what is compiled
}

func (c *compiler) step(i int, s Step, last bool) ([]plan.Stmt, error) {
	var when *plan.Expr
	if s.When != "" {
		q, err := gojq.Parse(s.When)
		if err != nil {
			return nil, err
		}
		if when, err = c.value(q, operand{}); err != nil {
			return nil, err
		}
		when = &plan.Expr{Op: plan.Bool, Args: []*plan.Expr{when}}
	}
	if s.Stop {
		if when == nil {
			when = &plan.Expr{Op: plan.Literal, Value: true}
		}
		return []plan.Stmt{{Op: plan.Stop, Expr: when, Step: i}}, nil
	}
	q, err := gojq.Parse(s.JQ)
	if err != nil {
		return nil, err
	}
	body, err := c.program(q, when == nil && last)
	body = append([]plan.Stmt{{Op: plan.Note, Step: i}}, body...)
	if err != nil || when == nil {
		return body, err
	}
	return []plan.Stmt{{Op: plan.If, Expr: when, Then: body}}, nil
}

// program compiles edits of the message. If it may end in a value, that is the
// plan's result.
func (c *compiler) program(q *gojq.Query, mayYield bool) ([]plan.Stmt, error) {
	if err := plain(q); err != nil {
		return nil, err
	}
	if isBlock(q) || isIdentity(q) {
		return c.block(q, 0)
	}
	if q.Op == gojq.OpPipe && isBlock(q.Left) {
		body, err := c.block(q.Left, 0)
		if err != nil {
			return nil, err
		}
		rest, err := c.program(q.Right, mayYield)
		return append(body, rest...), err
	}
	if !mayYield {
		return nil, refuse("goes on with a part of the message")
	}
	var err error
	c.plan.Result, err = c.value(q, operand{})
	return nil, err
}

// plain refuses what no part of a plan can be.
func plain(q *gojq.Query) error {
	switch {
	case len(q.FuncDefs) > 0:
		return refuse("defines a function")
	case len(q.Imports) > 0 || q.Meta != nil:
		return refuse("uses modules")
	case len(q.Patterns) > 0:
		return refuse("binds a variable")
	case q.Term == nil && (q.Left == nil || q.Right == nil):
		return refuse("is no program")
	}
	return nil
}

func isIdentity(q *gojq.Query) bool {
	t := q.Term
	return t != nil && len(q.FuncDefs) == 0 && len(t.SuffixList) == 0 &&
		(t.Type == gojq.TermTypeIdentity || t.Type == gojq.TermTypeQuery && isIdentity(t.Query))
}

// isBlock reports whether q edits what it is given, rather than to yield
// another value.
func isBlock(q *gojq.Query) bool {
	if len(q.FuncDefs) > 0 || len(q.Patterns) > 0 {
		return false
	}
	if q.Term == nil {
		if q.Op == gojq.OpPipe {
			return (isBlock(q.Left) || isIdentity(q.Left)) && (isBlock(q.Right) || isIdentity(q.Right))
		}
		return q.Op >= gojq.OpAssign || isMerge(q)
	}
	t := q.Term
	if len(t.SuffixList) > 0 {
		return false
	}
	switch t.Type {
	case gojq.TermTypeQuery:
		return isBlock(t.Query)
	case gojq.TermTypeObject:
		return len(t.Object.KeyVals) > 0
	case gojq.TermTypeFunc:
		switch t.Func.Name {
		case "empty":
			return len(t.Func.Args) == 0
		case "error":
			return len(t.Func.Args) < 2
		case "del", "select", "map", "map_values":
			return len(t.Func.Args) == 1
		}
	case gojq.TermTypeIf:
		branches := []*gojq.Query{t.If.Then}
		for _, e := range t.If.Elif {
			branches = append(branches, e.Then)
		}
		if t.If.Else != nil {
			branches = append(branches, t.If.Else)
		}
		some := false
		for _, b := range branches {
			if !isBlock(b) && !isIdentity(b) {
				return false
			}
			some = some || isBlock(b)
		}
		return some
	}
	return false
}

// isMerge reports whether q is . + {a: 1} or . += {a: 1}.
func isMerge(q *gojq.Query) bool {
	return (q.Op == gojq.OpAdd || q.Op == gojq.OpUpdateAdd) && isIdentity(q.Left) && len(q.Right.FuncDefs) == 0 && q.Right.Term != nil &&
		q.Right.Term.Type == gojq.TermTypeObject && len(q.Right.Term.SuffixList) == 0 && len(q.Right.Term.Object.KeyVals) > 0
}

// check refuses what the runner could not keep apart.
func (c *compiler) check() error {
	for _, p := range c.plan.Places {
		if len(p.Children) < 2 {
			continue
		}
		for _, child := range p.Children {
			if c.plan.Places[child].Kind == plan.Every {
				return refuse("looks at all elements of an array in one way and in another")
			}
		}
	}
	return nil
}

// place returns the place one step below parent.
func (c *compiler) place(step plan.Place) int {
	places := c.plan.Places
	for _, i := range places[step.Parent].Children {
		if p := places[i]; p.Kind == step.Kind && p.Key == step.Key && p.Index == step.Index && p.Lenient == step.Lenient {
			return i
		}
	}
	at := len(places)
	places[step.Parent].Children = append(places[step.Parent].Children, at)
	c.plan.Places = append(places, step)
	return at
}

// below reports whether place is below another.
func (c *compiler) below(place, other int) bool {
	for place != 0 {
		if place = c.plan.Places[place].Parent; place == other {
			return true
		}
	}
	return false
}

// reads refuses a place of which a part was changed before, or which is in
// what was replaced: it stands nowhere in the text.
func (c *compiler) reads(place int) error {
	for _, w := range c.written {
		if c.below(w, place) || c.below(place, w) {
			return refuse("looks into what it has changed before")
		}
	}
	return c.counts(place)
}

// counts refuses a place in an array that has fewer elements than before.
func (c *compiler) counts(place int) error {
	for _, a := range c.shrunk {
		if place == a || c.below(place, a) {
			return refuse("goes on with an array that it has taken elements out of")
		}
	}
	return nil
}

// writes remembers that place is written to.
func (c *compiler) writes(place int, deletes bool) error {
	for _, w := range c.written {
		if c.below(place, w) || !deletes && c.below(w, place) {
			return refuse("changes what it has changed before")
		}
	}
	if err := c.counts(place); err != nil {
		return err
	}
	c.written = append(c.written, place)
	return nil
}

// shrinks remembers that elements are taken out of the array in place.
func (c *compiler) shrinks(place int) error {
	for _, w := range c.written {
		if c.below(w, place) {
			return refuse("changes elements of an array and takes others out")
		}
	}
	c.shrunk = append(c.shrunk, place)
	return nil
}
