package json

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/plan"
)

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

func (r *Runner) toString(v val) val {
	out := val{kind: isString}
	switch v.kind {
	case isString:
		return v
	case isNull:
		out.text = r.keep("null")
	case isFalse:
		out.text = r.keep("false")
	case isTrue:
		out.text = r.keep("true")
	case isNumber:
		i, _, whole, ok := r.number(&v)
		if !ok || !whole || v.form == asText && v.raw[0] == '-' && i == 0 {
			r.doubt()
			break
		}
		from := len(r.scratch)
		r.scratch = strconv.AppendInt(r.scratch, int64(i), 10)
		out.text = r.scratch[from:len(r.scratch):len(r.scratch)]
	default:
		r.doubt()
	}
	return out
}

func (r *Runner) onStrings(e *plan.Expr, a, b val) val {
	if a.kind != isString || b.kind != isString {
		r.doubt()
		return val{}
	}
	switch e.Op {
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
	case plan.Replace:
		return r.replace(e, a, b)
	default:
		r.doubt()
	}
	return a
}

// replace puts b in the place of matches in a.
func (r *Runner) replace(e *plan.Expr, a, b val) val {
	if !utf8.Valid(a.text) {
		r.doubt()
		return a
	}
	if e.All {
		if len(b.text)*(len(a.text)+1) > r.most { // a match may be everywhere
			r.doubt()
			return a
		}
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
