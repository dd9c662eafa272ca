package json

import (
	"bytes"
	"math"
	"unicode"
	"unicode/utf8"

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
	}
	if e.Op == plan.Test {
		if a.kind != isString || !utf8.Valid(a.text) {
			r.doubt()
		}
		return boolVal(e.Regex.Match(a.text))
	}
	if len(e.Args) == 1 {
		return r.unary(e.Op, a)
	}
	b := r.eval(e.Args[1], at)
	switch e.Op {
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
		return r.arithmetic(e.Op, a, b)
	}
	return r.onStrings(e, a, b)
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

// has tells whether the object that place is a member of has it.
func (r *Runner) has(place int, at int32) val {
	parent := r.find(r.plan.Places[place].Parent, at)
	if parent == none || r.nodes[parent].state == isSet || r.nodes[parent].state == isKept && r.nodes[parent].kind != isObject {
		r.doubt()
		return val{}
	}
	return boolVal(r.find(place, at) != none)
}

// quantify is any and all over the elements of an array or the members of an
// object. jq stops at the first that decides, but takes members in the order of
// their names: they are all asked, as one behind may be an error to jq.
func (r *Runner) quantify(e *plan.Expr, at int32) val {
	decided := false
	for c := r.elements(e.Place, at, false); c != 0 && !decided; c = r.nodes[c].next {
		if decided = r.isThere(c) && r.holds(e.Args[0], c) == (e.Op == plan.Any); decided && r.nodes[c].key != none {
			r.askRest(e, c)
		}
	}
	return boolVal(decided == (e.Op == plan.Any))
}

// askRest asks the members behind node at, for their doubts alone.
func (r *Runner) askRest(e *plan.Expr, at int32) {
	for c := r.nodes[at].next; c != 0; c = r.nodes[c].next {
		if r.isThere(c) {
			r.holds(e.Args[0], c)
		}
	}
}

// construct writes an object or an array to the scratch.
func (r *Runner) construct(e *plan.Expr, at int32) val {
	args := make([]val, len(e.Args))
	for i, a := range e.Args {
		args[i] = r.eval(a, at) // may need the scratch too
	}
	from, k, ends := len(r.scratch), isArray, "[]"
	if e.Op == plan.Object {
		k, ends = isObject, "{}"
	}
	r.scratch = append(r.scratch, ends[0])
	for i := range args {
		if i > 0 {
			r.scratch = append(r.scratch, ',')
		}
		if k == isObject {
			w := writer{out: r.scratch}
			w.string(e.Keys[i])
			r.scratch = append(w.out, ':')
		}
		r.scratch = r.write(r.scratch, &args[i])
	}
	r.scratch = append(r.scratch, ends[1])
	v := val{kind: k, node: none, raw: r.scratch[from:len(r.scratch):len(r.scratch)]}
	for i := range args {
		v.moved = v.moved || args[i].moved
		if args[i].base != nil { // its parts have no text of their own
			r.doubt()
		}
	}
	return v
}

func (r *Runner) unary(op plan.ExprOp, v val) val {
	switch op {
	case plan.TypeOf:
		return val{kind: isString, text: r.keep(typeNames[v.kind])}
	case plan.Length:
		return r.length(&v)
	case plan.ToString:
		return r.toString(v)
	case plan.ToNumber:
		return r.toNumber(v)
	case plan.Floor, plan.Ceil, plan.Round, plan.Trunc:
		return r.round(op, v)
	}
	if v.kind != isString {
		r.doubt()
		return val{}
	}
	switch op {
	case plan.Downcase, plan.Upcase:
		if !utf8.Valid(v.text) { // jq would mend it
			r.doubt()
		}
		from := len(r.scratch)
		r.scratch = append(r.scratch, v.text...)
		v.text = r.scratch[from:len(r.scratch):len(r.scratch)]
		low := byte('A')
		if op == plan.Upcase {
			low = 'a'
		}
		for i, c := range v.text {
			if c-low < 26 {
				v.text[i] = c ^ 0x20
			}
		}
	case plan.Trim:
		v.text = bytes.TrimSpace(v.text)
	case plan.TrimLeft:
		v.text = bytes.TrimLeftFunc(v.text, unicode.IsSpace)
	case plan.TrimRight:
		v.text = bytes.TrimRightFunc(v.text, unicode.IsSpace)
	default:
		r.doubt()
	}
	return v
}

// round makes a float64 even of an integer, as jq does.
func (r *Runner) round(op plan.ExprOp, v val) val {
	i, f, whole, _ := r.number(&v)
	if whole && i == 0 && v.form == asText && v.raw[0] == '-' {
		r.doubt() // -0
	}
	switch op {
	case plan.Floor:
		f = math.Floor(f)
	case plan.Ceil:
		f = math.Ceil(f)
	case plan.Round:
		f = math.Round(f)
	default:
		f = math.Trunc(f)
	}
	return val{kind: isNumber, form: asFloat, f: f}
}

// typeNames are what jq calls the kinds.
var typeNames = [...]string{"null", "boolean", "boolean", "number", "string", "array", "object"}

func (r *Runner) length(v *val) val {
	switch {
	case v.kind == isNull:
		return intVal(0)
	case v.kind == isString:
		return intVal(utf8.RuneCount(v.text))
	case v.kind == isArray && v.raw != nil && v.node != none && r.looksInto(r.nodes[v.node].place):
		return intVal(int(r.nodes[v.node].count))
	}
	r.doubt()
	return val{}
}

func (r *Runner) toNumber(v val) val {
	if v.kind == isNumber {
		return v
	}
	if i, ok := shortInt(v.text); ok && v.kind == isString && v.text[0] != '-' && (v.text[0] != '0' || len(v.text) == 1) {
		return intVal(i)
	}
	r.doubt()
	return val{}
}

func (r *Runner) arithmetic(op plan.ExprOp, a, b val) val {
	if op == plan.Add {
		switch {
		case a.kind == isString && b.kind == isString:
			from := len(r.scratch)
			r.scratch = append(append(r.scratch, a.text...), b.text...)
			return val{kind: isString, text: r.scratch[from:len(r.scratch):len(r.scratch)]}
		case a.kind == isNull && b.kind != isNumber:
			return b
		case b.kind == isNull && a.kind != isNumber:
			return a
		case a.kind == b.kind && a.isContainer():
			return r.addContainers(a, b)
		case a.kind == isNull:
			return r.plain(b)
		case b.kind == isNull:
			return r.plain(a)
		}
	}
	i, f, whole, ok := r.number(&a)
	j, g, also, okay := r.number(&b)
	if !ok || !okay {
		return val{}
	}
	if whole && also {
		return r.onInts(op, i, j)
	}
	out := val{kind: isNumber, form: asFloat}
	switch op {
	case plan.Add:
		out.f = f + g
	case plan.Subtract:
		out.f = f - g
	case plan.Multiply:
		out.f = f * g
	case plan.Divide:
		out.f = f / g
	default:
		r.doubt()
	}
	if math.IsNaN(out.f) || math.IsInf(out.f, 0) {
		r.doubt()
	}
	return out
}

// plain is the number v without its spelling.
func (r *Runner) plain(v val) val {
	i, f, whole, _ := r.number(&v)
	if whole {
		return intVal(i)
	}
	return val{kind: isNumber, form: asFloat, f: f}
}

// onInts is arithmetic where nothing can be more than an int holds.
func (r *Runner) onInts(op plan.ExprOp, i, j int) val {
	const most = 1 << 31
	if op == plan.Multiply && (max(i, -i) >= most || max(j, -j) >= most) || max(i, -i) >= most*most/2 || max(j, -j) >= most*most/2 {
		r.doubt()
		return val{}
	}
	switch op {
	case plan.Add:
		return intVal(i + j)
	case plan.Subtract:
		return intVal(i - j)
	case plan.Multiply:
		return intVal(i * j)
	}
	switch {
	case j == 0:
		r.doubt()
		return val{}
	case op == plan.Modulo:
		return intVal(i % j)
	case i%j == 0:
		return intVal(i / j)
	}
	return val{kind: isNumber, form: asFloat, f: float64(i) / float64(j)}
}
