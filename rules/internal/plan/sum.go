package plan

import (
	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// everyOne is the program .[].
var everyOne = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}}

// addsUp takes [of] | add and map(of) | add apart, and what they are piped into,
// which may be nothing. of is nil if q is neither.
func addsUp(q *gojq.Query) (of, rest *gojq.Query) {
	right := q.Right
	if right.Op == gojq.OpPipe && len(right.FuncDefs) == 0 {
		right, rest = right.Left, right.Right
	}
	if t := right.Term; t == nil || t.Type != gojq.TermTypeFunc || t.Func.Name != "add" || len(t.Func.Args) > 0 || len(t.SuffixList) > 0 {
		return nil, nil
	}
	t := q.Left.Term
	switch {
	case t == nil || len(t.SuffixList) > 0 || len(q.Left.FuncDefs) > 0:
	case t.Type == gojq.TermTypeArray && t.Array.Query != nil:
		return t.Array.Query, rest
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "map" && len(t.Func.Args) == 1:
		return &gojq.Query{Left: everyOne, Op: gojq.OpPipe, Right: t.Func.Args[0]}, rest
	}
	return nil, nil
}

// sum compiles the sum of what q yields, which is a value of each element of one
// array.
func (c *compiler) sum(q *gojq.Query, in operand) (*plan.Expr, error) {
	from := in.place
	switch {
	case c.isAround(in):
		from = around
	case in.expr != nil:
		return nil, refuse("adds up what it has worked out")
	}
	var stages []*gojq.Query
	pipes(q, &stages)
	e, every, place := &plan.Expr{Op: plan.Sum}, around, from
	var holds, value *plan.Expr
	for i, stage := range stages {
		var err error
		switch {
		case every == around: // on the way to the elements
			if place, err = c.path(stage, place); err == nil {
				every, err = c.everyOn(place, in.place)
			}
		case isSelect(stage):
			var when *plan.Expr
			if when, err = c.value(stage.Term.Func.Args[0], operand{place: place}); holds != nil {
				when = &plan.Expr{Op: plan.And, Args: []*plan.Expr{holds, when}}
			}
			holds = when
		default:
			rest := stage
			for _, s := range stages[i+1:] {
				rest = &gojq.Query{Left: rest, Op: gojq.OpPipe, Right: s}
			}
			value, err = c.value(rest, operand{place: place})
		}
		if err != nil {
			return nil, err
		}
		if value != nil {
			break
		}
	}
	if every == around {
		return nil, refuse("adds up other than the elements of one array")
	}
	if value == nil {
		var err error
		if value, err = c.expr(operand{place: place}); err != nil {
			return nil, err
		}
	}
	if e.Place, e.Args = every, []*plan.Expr{value}; holds != nil {
		e.Args = append(e.Args, holds)
	}
	return e, nil
}

// everyOn returns the only Every on the way from one place to another, or around
// if there is none.
func (c *compiler) everyOn(place, from int) (int, error) {
	every := around
	for ; place != from && place > 0; place = c.plan.Places[place].Parent {
		if c.plan.Places[place].Kind != plan.Every {
			continue
		}
		if every != around {
			return 0, refuse("adds up the elements of more than one array")
		}
		every = place
	}
	return every, nil
}
