package run

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// number is what v is to arithmetic: an int, or else a float64. ok is false if
// it is neither, and then the run is in doubt.
func (r *Values) number(v *Val) (i int, f float64, whole, ok bool) {
	switch {
	case v.Kind != Number:
	case v.Form == Int:
		return v.Int, float64(v.Int), true, true
	case v.Form == Float:
		return 0, v.Float, false, true
	default:
		text := v.spelling()
		if i, ok := ShortInt(text); ok {
			return i, float64(i), true, true
		}
		if bytes.ContainsAny(text, ".eE") {
			if f, err := strconv.ParseFloat(string(text), 64); err == nil {
				return 0, f, false, true
			}
		}
	}
	r.Doubt() // no number, a long integer, or a float beyond its range
	return 0, 0, false, false
}

// spelling is the text of a number that has one, else nil.
func (v *Val) spelling() []byte {
	if n, ok := v.Value.(json.Number); ok && v.Form == Other {
		return []byte(n)
	}
	return v.Text
}

// isNegativeZero reports whether v, a number that is 0 as an int, is spelled -0.
func (v *Val) isNegativeZero() bool { return bytes.HasPrefix(v.spelling(), []byte{'-'}) }

// ShortInt is the number that text spells, if it does so as an integer of a few
// digits.
func ShortInt(text []byte) (int, bool) {
	digits, negative := text, false
	if len(text) > 0 && text[0] == '-' {
		digits, negative = text[1:], true
	}
	if len(digits) == 0 || len(digits) > 17 {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// compare orders two values as jq does: by type, and within. Of two containers
// of one type it doubts.
func (r *Values) compare(a, b *Val) int {
	switch {
	case a.Kind != b.Kind:
		return int(a.Kind) - int(b.Kind)
	case a.Kind == String:
		return bytes.Compare(a.Text, b.Text)
	case a.Kind == Number:
		i, f, whole, ok := r.number(a)
		j, g, also, okay := r.number(b)
		switch {
		case !ok || !okay:
		case whole && also && i < j:
			return -1
		case whole && also && i > j:
			return 1
		case whole && also:
		case f < g:
			return -1
		case f > g:
			return 1
		case f != g: // NaN
			r.Doubt()
		}
	case a.IsContainer():
		r.Doubt()
	}
	return 0
}

func (r *Values) arithmetic(op plan.ExprOp, a, b Val) Val {
	if op == plan.Add {
		switch {
		case a.Kind == String && b.Kind == String:
			from := len(r.Scratch)
			r.Scratch = append(append(r.Scratch, a.Text...), b.Text...)
			return StringVal(r.Made(from))
		case a.Kind == Null && b.Kind != Number:
			return b
		case b.Kind == Null && a.Kind != Number:
			return a
		case a.Kind == Null:
			return r.plain(b)
		case b.Kind == Null:
			return r.plain(a)
		}
	}
	i, f, whole, ok := r.number(&a)
	j, g, also, okay := r.number(&b)
	if !ok || !okay {
		return Val{}
	}
	if whole && also {
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
		r.Doubt()
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.Doubt()
	}
	return FloatVal(f)
}

// plain is the number v without its spelling.
func (r *Values) plain(v Val) Val {
	i, f, whole, _ := r.number(&v)
	if whole {
		return IntVal(i)
	}
	return FloatVal(f)
}

// onInts is arithmetic where nothing can be more than an int holds.
func (r *Values) onInts(op plan.ExprOp, i, j int) Val {
	const most = 1 << 31
	if op == plan.Multiply && (max(i, -i) >= most || max(j, -j) >= most) || i <= -most*most/2 || i >= most*most/2 || j <= -most*most/2 || j >= most*most/2 {
		r.Doubt()
		return Val{}
	}
	switch op {
	case plan.Add:
		return IntVal(i + j)
	case plan.Subtract:
		return IntVal(i - j)
	case plan.Multiply:
		return IntVal(i * j)
	}
	switch {
	case j == 0:
		r.Doubt()
		return Val{}
	case op == plan.Modulo:
		return IntVal(i % j)
	case i%j == 0:
		return IntVal(i / j)
	}
	return FloatVal(float64(i) / float64(j))
}

// round makes a float64 even of an integer, as jq does.
func (r *Values) round(op plan.ExprOp, v Val) Val {
	i, f, whole, _ := r.number(&v)
	if whole && i == 0 && v.isNegativeZero() {
		r.Doubt()
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
	return FloatVal(f)
}

func (r *Values) toNumber(v Val) Val {
	if v.Kind == Number {
		return v
	}
	if i, ok := ShortInt(v.Text); ok && v.Kind == String && v.Text[0] != '-' && (v.Text[0] != '0' || len(v.Text) == 1) {
		return IntVal(i)
	}
	r.Doubt()
	return Val{}
}
