package plan

import (
	"slices"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// operand is what a program is applied to, or yields: what is at a place, or a
// value that was worked out.
type operand struct {
	place int
	expr  *plan.Expr // nil: what is at place
}

// arithmetic, comparisons are jq's operators.
var arithmetic = map[gojq.Operator]plan.ExprOp{
	gojq.OpAdd: plan.Add, gojq.OpSub: plan.Subtract, gojq.OpMul: plan.Multiply, gojq.OpDiv: plan.Divide, gojq.OpMod: plan.Modulo,
}

var comparisons = map[gojq.Operator]plan.ExprOp{
	gojq.OpEq: plan.Equal, gojq.OpNe: plan.Unequal, gojq.OpLt: plan.Less, gojq.OpLe: plan.LessEqual,
	gojq.OpGt: plan.Greater, gojq.OpGe: plan.GreaterEqual, gojq.OpAlt: plan.Alt, gojq.OpAnd: plan.And, gojq.OpOr: plan.Or,
}

// unaries and binaries are jq's functions of the input, and of one argument.
var unaries = map[string]plan.ExprOp{
	"not": plan.Not, "type": plan.TypeOf, "length": plan.Length, "tostring": plan.ToString, "tonumber": plan.ToNumber,
	"ascii_downcase": plan.Downcase, "ascii_upcase": plan.Upcase, "trim": plan.Trim, "ltrim": plan.TrimLeft, "rtrim": plan.TrimRight,
	"floor": plan.Floor, "ceil": plan.Ceil, "round": plan.Round, "trunc": plan.Trunc,
}

var binaries = map[string]plan.ExprOp{
	"ltrimstr": plan.CutPrefix, "rtrimstr": plan.CutSuffix, "startswith": plan.HasPrefix, "endswith": plan.HasSuffix, "contains": plan.Contains,
}

// value compiles a program that yields one value.
func (c *compiler) value(q *gojq.Query, in operand) (*plan.Expr, error) {
	o, err := c.yield(q, in)
	if err != nil {
		return nil, err
	}
	return c.expr(o)
}

// expr is o as an expression.
func (c *compiler) expr(o operand) (*plan.Expr, error) {
	if c.isAround(o) && c.member != "" {
		return nil, refuse("looks at its input as a whole")
	}
	if o.expr != nil {
		return o.expr, nil
	}
	return &plan.Expr{Op: plan.Read, Place: o.place}, c.reads(o.place)
}

// isAround reports whether o is the object around the message, see [Around].
func (c *compiler) isAround(o operand) bool {
	return o.expr != nil && o.expr.Op == plan.Variable && o.expr.Var == len(c.variables) && len(o.expr.Path) == 0
}

func worked(e *plan.Expr, err error) (operand, error) { return operand{expr: e}, err }

func (c *compiler) yield(q *gojq.Query, in operand) (operand, error) {
	if err := plain(q); err != nil {
		return operand{}, err
	}
	if q.Term != nil {
		return c.yieldTerm(q.Term, in)
	}
	switch q.Op {
	case gojq.OpPipe:
		if of, rest := addsUp(q); of != nil {
			sum, err := c.sum(of, in)
			if err != nil || rest == nil {
				return operand{expr: sum}, err
			}
			return c.yield(rest, operand{expr: sum})
		}
		left, err := c.yield(q.Left, in)
		if err != nil {
			return operand{}, err
		}
		return c.yield(q.Right, left)
	case gojq.OpComma:
		return operand{}, refuse("yields more than one result")
	}
	op, ok := arithmetic[q.Op]
	if !ok {
		if op, ok = comparisons[q.Op]; !ok {
			return operand{}, refuse("edits a part of the message to make a value of it")
		}
	}
	return worked(c.apply(op, in, q.Left, q.Right))
}

// apply compiles an operator on what programs yield.
func (c *compiler) apply(op plan.ExprOp, in operand, programs ...*gojq.Query) (*plan.Expr, error) {
	e := &plan.Expr{Op: op}
	for _, q := range programs {
		a, err := c.value(q, in)
		if err != nil {
			return nil, err
		}
		e.Args = append(e.Args, a)
	}
	return e, nil
}

func (c *compiler) yieldTerm(t *gojq.Term, in operand) (operand, error) {
	out := in
	var err error
	switch t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		out, err = c.index(in, t.Index)
	case gojq.TermTypeQuery:
		out, err = c.yield(t.Query, in)
	case gojq.TermTypeFunc:
		out, err = c.call(t.Func, in)
	default:
		out, err = worked(c.make(t, in))
	}
	for _, s := range t.SuffixList {
		if err != nil {
			break
		}
		switch {
		case s.Index != nil:
			out, err = c.index(out, s.Index)
		case s.Iter:
			err = refuse("yields more than one result")
		}
		// .a? is .a wherever there is no error.
	}
	return out, err
}

// make compiles what makes a value.
func (c *compiler) make(t *gojq.Term, in operand) (*plan.Expr, error) {
	bare := *t
	bare.SuffixList = nil
	if v, ok := constant(&gojq.Query{Term: &bare}); ok {
		return literal(v), nil
	}
	switch t.Type {
	case gojq.TermTypeString:
		if t.Str.Queries != nil {
			return c.join(t.Str, in)
		}
	case gojq.TermTypeObject:
		return c.object(t.Object, in)
	case gojq.TermTypeArray:
		var elements []*gojq.Query
		list(t.Array.Query, &elements)
		return c.apply(plan.Array, in, elements...)
	case gojq.TermTypeIf:
		return c.cond(t.If, 0, in)
	case gojq.TermTypeFormat:
		return nil, refuse("uses %s", t.Format)
	case gojq.TermTypeReduce:
		return nil, refuse("uses reduce")
	case gojq.TermTypeForeach:
		return nil, refuse("uses foreach")
	case gojq.TermTypeTry:
		return nil, refuse("uses try")
	case gojq.TermTypeLabel, gojq.TermTypeBreak:
		return nil, refuse("uses label")
	case gojq.TermTypeRecurse:
		return nil, refuse("uses ..")
	}
	return nil, refuse("uses %.32s", bare.String())
}

func literal(v any) *plan.Expr {
	e := &plan.Expr{Op: plan.Literal, Value: v}
	if s, ok := v.(string); ok {
		e.Text = append([]byte{}, s...)
	}
	return e
}

func (c *compiler) join(s *gojq.String, in operand) (*plan.Expr, error) {
	e := &plan.Expr{Op: plan.Join}
	for _, part := range s.Queries {
		a, err := c.value(part, in)
		if err != nil {
			return nil, err
		}
		e.Args = append(e.Args, a)
	}
	return e, nil
}

func (c *compiler) cond(b *gojq.If, i int, in operand) (*plan.Expr, error) {
	cond, then := b.Cond, b.Then
	if i > 0 {
		cond, then = b.Elif[i-1].Cond, b.Elif[i-1].Then
	}
	e, err := c.apply(plan.Cond, in, cond, then)
	if err != nil {
		return nil, err
	}
	var rest *plan.Expr
	switch {
	case i < len(b.Elif):
		rest, err = c.cond(b, i+1, in)
	case b.Else != nil:
		rest, err = c.value(b.Else, in)
	default:
		rest, err = c.expr(in)
	}
	e.Args = append(e.Args, rest)
	return e, err
}

// object compiles {a: .b}, its members sorted.
func (c *compiler) object(o *gojq.Object, in operand) (*plan.Expr, error) {
	members := make(map[string]*plan.Expr, len(o.KeyVals))
	e := &plan.Expr{Op: plan.Object}
	for _, m := range o.KeyVals {
		key := m.Key
		var value *gojq.Query
		switch {
		case m.KeyQuery != nil || m.KeyString != nil && m.KeyString.Queries != nil:
			return nil, refuse("makes an object of names that it works out")
		case m.KeyString != nil:
			key = m.KeyString.Str
			value = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Str: m.KeyString}}}
		case key[0] == '$':
			if m.Val != nil {
				return nil, refuse("makes an object of names that it works out")
			}
			value = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: key}}}
			key = key[1:]
		default:
			value = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Name: key}}}
		}
		if m.Val != nil {
			value = m.Val
		}
		if _, twice := members[key]; twice {
			return nil, refuse("makes an object with one name twice")
		}
		var err error
		if members[key], err = c.value(value, in); err != nil {
			return nil, err
		}
		e.Keys = append(e.Keys, key)
	}
	slices.Sort(e.Keys)
	for _, key := range e.Keys {
		e.Args = append(e.Args, members[key])
	}
	return e, nil
}

func (c *compiler) call(f *gojq.Func, in operand) (operand, error) {
	if f.Name[0] == '$' {
		if i := slices.Index(c.variables, f.Name); i >= 0 {
			return operand{expr: &plan.Expr{Op: plan.Variable, Var: i}}, nil
		}
		return operand{}, refuse("uses %s", f.Name)
	}
	switch len(f.Args) {
	case 0:
		if f.Name == "add" {
			return worked(c.sum(everyOne, in))
		}
		op, ok := unaries[f.Name]
		if !ok {
			break
		}
		a, err := c.expr(in)
		if op == plan.Length && in.expr == nil {
			c.plan.Places[in.place].Counted = true
		}
		return worked(&plan.Expr{Op: op, Args: []*plan.Expr{a}}, err)
	case 1:
		if op, ok := binaries[f.Name]; ok {
			return worked(c.apply(op, in, &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}, f.Args[0]))
		}
		switch f.Name {
		case "add":
			return worked(c.sum(f.Args[0], in))
		case "test":
			return worked(c.test(f.Args, in))
		case "has":
			return worked(c.has(f.Args[0], in))
		case "any", "all":
			if in.expr == nil {
				every := c.place(plan.Place{Parent: in.place, Kind: plan.Every})
				return worked(c.quantify(f.Name, every, f.Args[0]))
			}
		case "IN":
			return worked(c.isIn(f.Args[0], in))
		}
	case 2, 3:
		switch {
		case f.Name == "test" && len(f.Args) == 2:
			return worked(c.test(f.Args, in))
		case f.Name == "sub", f.Name == "gsub":
			return worked(c.replace(f, in))
		}
		if f.Name != "any" && f.Name != "all" || len(f.Args) != 2 || in.expr != nil && !c.isAround(in) {
			break
		}
		from := in.place
		if in.expr != nil {
			from = around
		}
		every, err := c.path(f.Args[0], from)
		if err != nil {
			return operand{}, err
		}
		if every == around || c.plan.Places[every].Kind != plan.Every || c.loopsTo(c.plan.Places[every].Parent, in.place) {
			return operand{}, refuse("asks %s of other than the elements of one array", f.Name)
		}
		return worked(c.quantify(f.Name, every, f.Args[1]))
	}
	return operand{}, refuse("calls %s/%d", f.Name, len(f.Args))
}

func (c *compiler) quantify(name string, every int, q *gojq.Query) (*plan.Expr, error) {
	op := plan.Any
	if name == "all" {
		op = plan.All
	}
	holds, err := c.value(q, operand{place: every})
	return &plan.Expr{Op: op, Place: every, Args: []*plan.Expr{holds}}, err
}

func (c *compiler) has(q *gojq.Query, in operand) (*plan.Expr, error) {
	key, ok := constant(q)
	name, isName := key.(string)
	if !ok || !isName || in.expr != nil {
		return nil, refuse("asks has of other than a name")
	}
	place := c.place(plan.Place{Parent: in.place, Kind: plan.Member, Key: name})
	return &plan.Expr{Op: plan.Has, Place: place}, c.counts(place)
}

// isIn compiles IN(1, 2).
func (c *compiler) isIn(q *gojq.Query, in operand) (*plan.Expr, error) {
	var values []*gojq.Query
	list(q, &values)
	input, err := c.expr(in)
	if err != nil {
		return nil, err
	}
	var out *plan.Expr
	for _, q := range values {
		v, err := c.value(q, in)
		if err != nil {
			return nil, err
		}
		same := &plan.Expr{Op: plan.Equal, Args: []*plan.Expr{input, v}}
		if out == nil {
			out = same
		} else {
			out = &plan.Expr{Op: plan.Or, Args: []*plan.Expr{out, same}}
		}
	}
	return out, nil
}
