package json

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"

	"github.com/sluice-proxy/sluice/codec"
)

// kind is the type of a value, in jq's order.
type kind uint8

const (
	isNull kind = iota
	isFalse
	isTrue
	isNumber
	isString
	isArray
	isObject
)

// form is how a val holds its number.
type form uint8

const (
	asText form = iota // raw, as it is spelled in JSON
	asInt
	asFloat
)

// val is a value that a run works with.
type val struct {
	kind  kind
	form  form
	node  int32  // the node that a container is the text of; none if there is none
	raw   []byte // the text of a container or of a number
	text  []byte // the content of a string
	i     int
	f     float64
	value codec.Value // of a container, if raw is nil
	base  codec.Value // what value was made of, if that was the text of node
	moved bool        // there are containers in it that have a text
}

func boolVal(b bool) val {
	if b {
		return val{kind: isTrue}
	}
	return val{kind: isFalse}
}

func intVal(i int) val { return val{kind: isNumber, form: asInt, i: i} }

func (v *val) holds() bool { return v.kind > isFalse }

func (v *val) isContainer() bool { return v.kind >= isArray }

// valOf is the value of node at, or null.
func (r *Runner) valOf(at int32) val {
	if at == none {
		return val{}
	}
	n := &r.nodes[at]
	switch {
	case n.state == isSet:
		return r.vals[n.val]
	case n.state == isKept && n.start == none:
		return val{}
	case n.state != isKept:
		r.doubt()
		return val{}
	}
	v := val{kind: n.kind, node: none}
	switch text := r.text[n.start:n.end]; n.kind {
	case isNumber:
		v.raw = text
	case isString:
		v.text = r.content(text)
	case isArray, isObject:
		if n.touched { // what it is now stands nowhere
			r.doubt()
		}
		v.raw, v.node, v.moved = text, at, true
	}
	return v
}

// content is what a string says.
func (r *Runner) content(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return unquote(quoted)
}

func unquote(quoted []byte) []byte {
	d := decoder{text: string(quoted)}
	s, _ := d.rawString() // it was skimmed
	return []byte(s)
}

// fromValue is v as the run works with it.
func (r *Runner) fromValue(v codec.Value) val {
	switch v := v.(type) {
	case nil:
		return val{}
	case bool:
		return boolVal(v)
	case int:
		return intVal(v)
	case float64:
		return val{kind: isNumber, form: asFloat, f: v}
	case *big.Int:
		at := len(r.scratch)
		r.scratch = v.Append(r.scratch, 10)
		return val{kind: isNumber, raw: r.scratch[at:]}
	case json.Number:
		text := r.keep(string(v))
		if len(text) > 0 && (text[0] == '-' || text[0]-'0' <= 9) && skimNumber(text, 0) == len(text) {
			return val{kind: isNumber, raw: text}
		}
	case string:
		return val{kind: isString, text: r.keep(v)}
	case []any:
		return val{kind: isArray, value: v, node: none}
	case map[string]any:
		return val{kind: isObject, value: v, node: none}
	}
	r.doubt()
	return val{}
}

// keep returns s as bytes that last as long as the run.
func (r *Runner) keep(s string) []byte {
	at := len(r.scratch)
	r.scratch = append(r.scratch, s...)
	return r.scratch[at:len(r.scratch):len(r.scratch)]
}

// valueOf is v as everyone else works with it.
func (r *Runner) valueOf(v val) codec.Value {
	switch v.kind {
	case isNull:
		return nil
	case isFalse, isTrue:
		return v.kind == isTrue
	case isString:
		return string(v.text)
	case isNumber:
		switch v.form {
		case asInt:
			return v.i
		case asFloat:
			return v.f
		}
	default:
		if v.raw == nil {
			return v.value
		}
	}
	return r.decoded(v.raw)
}

// number is what v is to arithmetic: an int, or else a float64. ok is false if
// it is neither, and then the run is in doubt.
func (r *Runner) number(v *val) (i int, f float64, whole, ok bool) {
	if v.kind != isNumber {
		r.doubt()
		return 0, 0, false, false
	}
	switch v.form {
	case asInt:
		return v.i, float64(v.i), true, true
	case asFloat:
		return 0, v.f, false, true
	}
	if i, ok := shortInt(v.raw); ok {
		return i, float64(i), true, true
	}
	if bytes.ContainsAny(v.raw, ".eE") {
		if f, err := strconv.ParseFloat(string(v.raw), 64); err == nil {
			return 0, f, false, true
		}
	}
	r.doubt() // a long integer, or a float beyond its range
	return 0, 0, false, false
}

// shortInt is the number that raw spells, if it does so as an integer of a few
// digits.
func shortInt(raw []byte) (int, bool) {
	digits, negative := raw, false
	if len(raw) > 0 && raw[0] == '-' {
		digits, negative = raw[1:], true
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
func (r *Runner) compare(a, b *val) int {
	switch {
	case a.kind != b.kind:
		return int(a.kind) - int(b.kind)
	case a.kind == isString:
		return bytes.Compare(a.text, b.text)
	case a.kind == isNumber:
		i, f, whole, ok := r.number(a)
		j, g, also, okay := r.number(b)
		switch {
		case !ok || !okay:
		case whole && also:
			return compareInts(i, j)
		case f < g:
			return -1
		case f > g:
			return 1
		case f != g: // NaN
			r.doubt()
		}
	case a.isContainer():
		r.doubt()
	}
	return 0
}

func compareInts(i, j int) int {
	switch {
	case i < j:
		return -1
	case i > j:
		return 1
	}
	return 0
}
