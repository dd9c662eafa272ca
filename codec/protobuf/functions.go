package protobuf

import (
	"bytes"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/plan"
)

func (r *Runner) toString(v val) val {
	out := val{kind: isString}
	switch {
	case v.kind == isString:
		return v
	case v.kind == isNull:
		out.text = r.keep("null")
	case v.kind == isFalse:
		out.text = r.keep("false")
	case v.kind == isTrue:
		out.text = r.keep("true")
	case v.kind == isNumber && v.form == asInt:
		from := len(r.scratch)
		r.scratch = strconv.AppendInt(r.scratch, int64(v.i), 10)
		out.text = r.scratch[from:len(r.scratch):len(r.scratch)]
	default:
		r.doubt()
	}
	return out
}

// typeNames are what jq calls the kinds.
var typeNames = [...]string{"null", "boolean", "boolean", "number", "string", "array", "object"}

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
	_, f, _, _ := r.number(&v)
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
	return floatVal(f)
}

func (r *Runner) length(v *val) val {
	switch {
	case v.kind == isNull:
		return intVal(0)
	case v.kind == isString:
		return intVal(utf8.RuneCount(v.text))
	case v.kind == isArray && v.node > 0 && r.nodes[v.node].field.list && !r.nodes[v.node].element && r.bound.places[r.nodes[v.node].place].all:
		return intVal(int(r.nodes[v.node].count))
	}
	r.doubt()
	return val{}
}

func (r *Runner) toNumber(v val) val {
	if v.kind == isNumber {
		return v
	}
	if v.kind == isString && len(v.text) > 0 && len(v.text) < 18 && (v.text[0] != '0' || len(v.text) == 1) {
		n := 0
		for _, c := range v.text {
			if c-'0' > 9 {
				r.doubt()
				break
			}
			n = n*10 + int(c-'0')
		}
		return intVal(n)
	}
	r.doubt()
	return val{}
}

func (r *Runner) onStrings(op plan.ExprOp, a, b val) val {
	if a.kind != isString || b.kind != isString {
		r.doubt()
		return val{}
	}
	switch op {
	case plan.CutPrefix:
		a.text = bytes.TrimPrefix(a.text, b.text)
	case plan.CutSuffix:
		a.text = bytes.TrimSuffix(a.text, b.text)
	case plan.HasPrefix:
		return boolVal(bytes.HasPrefix(a.text, b.text))
	case plan.HasSuffix:
		return boolVal(bytes.HasSuffix(a.text, b.text))
	case plan.Contains:
		return boolVal(bytes.Contains(a.text, b.text))
	default:
		r.doubt()
	}
	return a
}

// replace puts b in the place of matches in a.
func (r *Runner) replace(e *plan.Expr, a, b val) val {
	if a.kind != isString || b.kind != isString || !utf8.Valid(a.text) || len(b.text)*(len(a.text)+1) > r.most { // a match may be everywhere
		r.doubt()
		return a
	}
	if e.All {
		a.text = e.Regex.ReplaceAllLiteral(a.text, b.text)
		return a
	}
	match := e.Regex.FindIndex(a.text)
	if match == nil {
		return a
	}
	from := len(r.scratch)
	r.scratch = append(append(append(r.scratch, a.text[:match[0]]...), b.text...), a.text[match[1]:]...)
	a.text = r.scratch[from:len(r.scratch):len(r.scratch)]
	return a
}

func (r *Runner) arithmetic(op plan.ExprOp, a, b val) val {
	if op == plan.Add {
		switch {
		case a.kind == isString && b.kind == isString:
			from := len(r.scratch)
			r.scratch = append(append(r.scratch, a.text...), b.text...)
			return val{kind: isString, text: r.scratch[from:len(r.scratch):len(r.scratch)]}
		case a.kind == isNull:
			return b
		case b.kind == isNull:
			return a
		case a.kind == b.kind && a.isContainer():
			return r.addContainers(a, b)
		}
	}
	i, f, isInt, ok := r.number(&a)
	j, g, also, okay := r.number(&b)
	if !ok || !okay {
		return val{}
	}
	if isInt && also {
		return r.onInts(op, i, j)
	}
	switch op {
	case plan.Add:
		f += g
	case plan.Subtract:
		f -= g
	case plan.Multiply:
		f *= g
	case plan.Divide:
		f /= g
	default:
		r.doubt()
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.doubt()
	}
	return floatVal(f)
}

// onInts is arithmetic where nothing can be more than an int holds.
func (r *Runner) onInts(op plan.ExprOp, i, j int) val {
	const most = 1 << 31
	if op == plan.Multiply && (max(i, -i) >= most || max(j, -j) >= most) || i <= -most*most/2 || i >= most*most/2 || j <= -most*most/2 || j >= most*most/2 {
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
	return floatVal(float64(i) / float64(j))
}
