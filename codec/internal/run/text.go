package run

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/plan"
)

func (r *Values) unary(op plan.ExprOp, v Val) Val {
	switch op {
	case plan.TypeOf:
		return StringVal(r.Keep(typeNames[v.Kind]))
	case plan.ToString:
		return r.toString(v)
	case plan.ToNumber:
		return r.toNumber(v)
	case plan.Floor, plan.Ceil, plan.Round, plan.Trunc:
		return r.round(op, v)
	}
	if v.Kind != String {
		r.Doubt()
		return Val{}
	}
	switch op {
	case plan.Downcase:
		v.Text = r.turnCase(v.Text, 'A')
	case plan.Upcase:
		v.Text = r.turnCase(v.Text, 'a')
	case plan.Trim:
		v.Text = bytes.TrimSpace(v.Text)
	case plan.TrimLeft:
		v.Text = bytes.TrimLeftFunc(v.Text, unicode.IsSpace)
	case plan.TrimRight:
		v.Text = bytes.TrimRightFunc(v.Text, unicode.IsSpace)
	default:
		r.Doubt()
	}
	return v
}

// turnCase turns the letters from low, an ASCII A or a, to the other case.
func (r *Values) turnCase(text []byte, low byte) []byte {
	if !utf8.Valid(text) { // jq would mend it
		r.Doubt()
	}
	from := len(r.Scratch)
	r.Scratch = append(r.Scratch, text...)
	text = r.Made(from)
	for i, c := range text {
		if c-low < 26 {
			text[i] = c ^ 0x20
		}
	}
	return text
}

func (r *Values) toString(v Val) Val {
	switch v.Kind {
	case String:
		return v
	case Null:
		return StringVal(r.Keep("null"))
	case False:
		return StringVal(r.Keep("false"))
	case True:
		return StringVal(r.Keep("true"))
	case Number:
		if i, _, whole, ok := r.number(&v); ok && whole && (i != 0 || !v.isNegativeZero()) {
			from := len(r.Scratch)
			r.Scratch = strconv.AppendInt(r.Scratch, int64(i), 10)
			return StringVal(r.Made(from))
		}
	}
	r.Doubt()
	return Val{Kind: String}
}

func (r *Values) binary(e *plan.Expr, a, b Val) Val {
	switch e.Op {
	case plan.Equal:
		return BoolVal(r.compare(&a, &b) == 0)
	case plan.Unequal:
		return BoolVal(r.compare(&a, &b) != 0)
	case plan.Less:
		return BoolVal(r.compare(&a, &b) < 0)
	case plan.LessEqual:
		return BoolVal(r.compare(&a, &b) <= 0)
	case plan.Greater:
		return BoolVal(r.compare(&a, &b) > 0)
	case plan.GreaterEqual:
		return BoolVal(r.compare(&a, &b) >= 0)
	case plan.Add, plan.Subtract, plan.Multiply, plan.Divide, plan.Modulo:
		return r.arithmetic(e.Op, a, b)
	}
	return r.onStrings(e, a, b)
}

func (r *Values) onStrings(e *plan.Expr, a, b Val) Val {
	if a.Kind != String || b.Kind != String {
		r.Doubt()
		return Val{}
	}
	switch e.Op {
	case plan.CutPrefix:
		a.Text = bytes.TrimPrefix(a.Text, b.Text)
	case plan.CutSuffix:
		a.Text = bytes.TrimSuffix(a.Text, b.Text)
	case plan.HasPrefix:
		return BoolVal(bytes.HasPrefix(a.Text, b.Text))
	case plan.HasSuffix:
		return BoolVal(bytes.HasSuffix(a.Text, b.Text))
	case plan.Contains:
		return BoolVal(bytes.Contains(a.Text, b.Text))
	case plan.Replace:
		a.Text = r.replace(e, a.Text, b.Text)
	default:
		r.Doubt()
	}
	return a
}
