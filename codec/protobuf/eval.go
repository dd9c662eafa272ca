package protobuf

import (
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// eval works out e at node at. The result means nothing if the run is in doubt.
func (r *Runner) eval(e *plan.Expr, at int32) val {
	if r.measure(r.scratch); r.outcome != plan.Changed {
		return val{}
	}
	switch e.Op {
	case plan.Read:
		return r.valOf(r.find(e.Place, at))
	case plan.Literal:
		if e.Text != nil {
			return val{kind: isString, text: e.Text}
		}
		return r.fromValue(e.Value)
	case plan.Variable:
		return r.variable(e)
	case plan.Operand:
		return r.by
	case plan.Object, plan.Array:
		return r.construct(e, at)
	case plan.Has:
		return r.has(e.Place, at)
	case plan.Any, plan.All:
		return r.quantify(e, at)
	case plan.Join:
		return r.join(e, at)
	}
	if len(e.Args) == 0 {
		r.doubt()
		return val{}
	}
	a := r.eval(e.Args[0], at)
	switch e.Op {
	case plan.And:
		return boolVal(a.holds() && r.holds(e.Args[1], at))
	case plan.Or:
		return boolVal(a.holds() || r.holds(e.Args[1], at))
	case plan.Not:
		return boolVal(!a.holds())
	case plan.Bool:
		if a.kind != isTrue && a.kind != isFalse {
			r.doubt()
		}
		return a
	case plan.Alt:
		if a.holds() {
			return a
		}
		return r.eval(e.Args[1], at)
	case plan.Cond:
		if a.holds() {
			return r.eval(e.Args[1], at)
		}
		return r.eval(e.Args[2], at)
	case plan.Test:
		if a.kind != isString || !utf8.Valid(a.text) {
			r.doubt()
		}
		return boolVal(e.Regex.Match(a.text))
	}
	if len(e.Args) == 1 {
		return r.unary(e.Op, a)
	}
	b := r.eval(e.Args[1], at)
	if e.Op == plan.Replace {
		return r.replace(e, a, b)
	}
	return r.binary(e.Op, a, b)
}

func (r *Runner) binary(op plan.ExprOp, a, b val) val {
	switch op {
	case plan.Equal:
		return boolVal(r.compare(&a, &b) == 0)
	case plan.Unequal:
		return boolVal(r.compare(&a, &b) != 0)
	case plan.Less:
		return boolVal(r.compare(&a, &b) < 0)
	case plan.LessEqual:
		return boolVal(r.compare(&a, &b) <= 0)
	case plan.Greater:
		return boolVal(r.compare(&a, &b) > 0)
	case plan.GreaterEqual:
		return boolVal(r.compare(&a, &b) >= 0)
	case plan.Add, plan.Subtract, plan.Multiply, plan.Divide, plan.Modulo:
		return r.arithmetic(op, a, b)
	}
	return r.onStrings(op, a, b)
}

func (r *Runner) holds(e *plan.Expr, at int32) bool {
	v := r.eval(e, at)
	return v.holds()
}

func (r *Runner) variable(e *plan.Expr) val {
	if e.Var >= len(r.vars) {
		r.doubt()
		return val{}
	}
	v := r.vars[e.Var]
	for _, step := range e.Path {
		switch in := v.(type) {
		case nil:
		case map[string]any:
			key, ok := step.(string)
			if !ok {
				r.doubt()
				return val{}
			}
			v = in[key]
		case []any:
			i, ok := step.(int)
			if !ok {
				r.doubt()
				return val{}
			}
			v = nil
			if i < len(in) {
				v = in[i]
			}
		default:
			r.doubt()
			return val{}
		}
	}
	return r.fromValue(v)
}

// has tells whether the message that place is a field of has it.
func (r *Runner) has(place int, at int32) val {
	parent := r.find(r.plan.Places[place].Parent, at)
	if parent == none || !r.isThere(parent) || r.nodes[parent].state == isSet || r.nodes[parent].place == none ||
		r.bound.places[r.nodes[parent].place].message == nil && r.nodes[parent].entries == 0 {
		r.doubt()
		return val{}
	}
	return boolVal(r.find(place, at) != none)
}

// quantify is any and all over the elements of a list.
func (r *Runner) quantify(e *plan.Expr, at int32) val {
	decided := false
	for c := r.elements(e.Place, at, false); c != 0 && !decided; c = r.nodes[c].next {
		decided = r.isThere(c) && r.holds(e.Args[0], c) == (e.Op == plan.Any)
	}
	return boolVal(decided == (e.Op == plan.Any))
}

// construct makes a value of what is none of the message's containers.
func (r *Runner) construct(e *plan.Expr, at int32) val {
	values := make([]codec.Value, len(e.Args))
	for i, a := range e.Args {
		v := r.eval(a, at)
		if v.node != 0 {
			r.doubt()
			return val{}
		}
		values[i] = r.valueOf(v)
	}
	if e.Op == plan.Array {
		return val{kind: isArray, value: values}
	}
	object := make(map[string]any, len(e.Keys))
	for i, key := range e.Keys {
		object[key] = values[i]
	}
	return val{kind: isObject, value: object}
}

// join puts the texts of all operands one behind the other.
func (r *Runner) join(e *plan.Expr, at int32) val {
	var few [8]val
	args := few[:0]
	for _, a := range e.Args {
		args = append(args, r.toString(r.eval(a, at)))
	}
	from := len(r.scratch)
	for i := range args {
		r.scratch = append(r.scratch, args[i].text...)
	}
	return val{kind: isString, text: r.scratch[from:len(r.scratch):len(r.scratch)]}
}
