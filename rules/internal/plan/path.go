package plan

import (
	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// around stands for the place of the object around the message, see [Around].
const around = -1

// path compiles a path below a place.
func (c *compiler) path(q *gojq.Query, at int) (int, error) {
	if err := plain(q); err != nil {
		return 0, err
	}
	switch {
	case q.Op == gojq.OpPipe:
		left, err := c.path(q.Left, at)
		if err != nil {
			return 0, err
		}
		return c.path(q.Right, left)
	case q.Term == nil:
		return 0, refuse("edits more than one path, or none")
	}
	t := q.Term
	var err error
	switch t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		at, err = c.into(t.Index, at)
	case gojq.TermTypeQuery:
		at, err = c.path(t.Query, at)
	case gojq.TermTypeRecurse:
		return 0, refuse("uses ..")
	default:
		return 0, refuse("edits what is no plain path")
	}
	for i, s := range t.SuffixList {
		if err != nil {
			return 0, err
		}
		switch {
		case s.Index != nil:
			at, err = c.into(s.Index, at)
		case s.Iter && at == around:
			return 0, refuse("looks at its input as a whole")
		case s.Iter:
			lenient := i+1 < len(t.SuffixList) && t.SuffixList[i+1].Optional
			at = c.place(plan.Place{Parent: at, Kind: plan.Every, Lenient: lenient})
		}
	}
	return at, err
}

// index is in one step further.
func (c *compiler) index(in operand, x *gojq.Index) (operand, error) {
	if in.expr == nil {
		place, err := c.into(x, in.place)
		return operand{place: place}, err
	}
	if in.expr.Op != plan.Variable {
		return operand{}, refuse("takes a part of a value that it has worked out")
	}
	key, err := keyOf(x)
	if err != nil {
		return operand{}, err
	}
	if c.isAround(in) && c.isMessage(key) {
		return operand{}, nil
	}
	e := *in.expr
	e.Path = append(e.Path[:len(e.Path):len(e.Path)], key)
	return operand{expr: &e}, nil
}

// isMessage reports whether key is that of the message in the object around it.
func (c *compiler) isMessage(key any) bool { return c.member != "" && key == any(c.member) }

// into returns the place that x leads to from another.
func (c *compiler) into(x *gojq.Index, at int) (int, error) {
	key, err := keyOf(x)
	if err != nil {
		return 0, err
	}
	if at == around {
		if !c.isMessage(key) {
			return 0, refuse("looks at elements of what is not the message")
		}
		return 0, nil
	}
	step := plan.Place{Parent: at, Kind: plan.Member}
	switch key := key.(type) {
	case string:
		step.Key = key
	case int:
		step.Kind, step.Index = plan.Element, key
	}
	return c.place(step), nil
}

// keyOf returns x as a string, or as an int that is not negative.
func keyOf(x *gojq.Index) (any, error) {
	switch {
	case x.IsSlice:
		return nil, refuse("takes a slice")
	case x.Name != "":
		return x.Name, nil
	case x.Str != nil && x.Str.Queries == nil:
		return x.Str.Str, nil
	case x.Start != nil:
		switch key, _ := constant(x.Start); key := key.(type) {
		case string:
			return key, nil
		case int:
			if key < 0 {
				return nil, refuse("counts from the end of an array")
			}
			return key, nil
		}
	}
	return nil, refuse("works out an index")
}

// constant returns the value of q if that does not depend on anything. What a
// number means is for gojq to say.
func constant(q *gojq.Query) (any, bool) {
	if q == nil || !isConstant(q) {
		return nil, false
	}
	results := q.Run(nil)
	v, ok := results.Next()
	if _, failed := v.(error); failed || !ok {
		return nil, false
	}
	return v, true
}

func isConstant(q *gojq.Query) bool {
	if q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 {
		return false
	}
	switch t := q.Term; t.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber:
		return true
	case gojq.TermTypeString:
		return t.Str.Queries == nil
	case gojq.TermTypeUnary:
		return t.Unary.Term.Type == gojq.TermTypeNumber && len(t.Unary.Term.SuffixList) == 0
	case gojq.TermTypeQuery:
		return isConstant(t.Query)
	case gojq.TermTypeArray:
		if t.Array.Query == nil {
			return true
		}
		var elements []*gojq.Query
		list(t.Array.Query, &elements)
		for _, e := range elements {
			if !isConstant(e) {
				return false
			}
		}
		return true
	case gojq.TermTypeObject:
		for _, m := range t.Object.KeyVals {
			if m.KeyQuery != nil || m.KeyString != nil && m.KeyString.Queries != nil || m.Val == nil || m.Key != "" && m.Key[0] == '$' || !isConstant(m.Val) {
				return false
			}
		}
		return true
	}
	return false
}

// loopsTo reports whether an Every is on the way from one place to another.
func (c *compiler) loopsTo(place, from int) bool {
	for ; place != from; place = c.plan.Places[place].Parent {
		if c.plan.Places[place].Kind == plan.Every {
			return true
		}
	}
	return false
}
