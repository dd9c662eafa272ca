package protobuf

import (
	"bytes"
	"encoding/base64"
	"math"
	"math/big"
	"unicode/utf8"

	"encoding/json"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
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
	asInt form = iota
	asFloat
	asValue // any other
)

// val is a value that a run works with.
type val struct {
	kind  kind
	form  form
	node  int32 // of a container of the message; 0 if it is none, the message itself having none
	i     int
	f     float64
	text  []byte      // the content of a string
	value codec.Value // of a number as asValue, and of a container that is not of the message
}

// itself marks the message itself, where a val names a node.
const itself = none

func boolVal(b bool) val {
	if b {
		return val{kind: isTrue}
	}
	return val{kind: isFalse}
}

func intVal(i int) val { return val{kind: isNumber, i: i} }

func floatVal(f float64) val { return val{kind: isNumber, form: asFloat, f: f} }

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
	case n.state != isKept:
		r.doubt()
		return val{}
	}
	return r.was(at)
}

// was is what node at was on the wire.
func (r *Runner) was(at int32) val {
	n := &r.nodes[at]
	f := n.field
	switch {
	case !n.there:
		return val{}
	case at == 0:
		return r.container(isObject, at, itself)
	case f.key != nil:
		return r.container(isObject, at, at)
	case f.list && !n.element:
		return r.container(isArray, at, at)
	case f.message != nil && f.message.special == nil:
		return r.container(isObject, at, at)
	case f.message != nil:
		v, err := r.decoder().message(f.message, r.text[n.body:n.bodyEnd], 0, 0)
		if err != nil {
			r.doubt()
		}
		switch v.(type) {
		case []any:
			return r.container(isArray, at, at)
		case map[string]any:
			return r.container(isObject, at, at)
		}
		return r.fromValue(v)
	case n.start == none, n.inMap && n.value == none:
		return r.fromValue(f.zeroElement())
	}
	return r.scalar(f, int(n.value))
}

func (r *Runner) container(k kind, at, node int32) val {
	if r.nodes[at].touched { // what it is now stands nowhere
		r.doubt()
	}
	return val{kind: k, node: node}
}

func (r *Runner) decoder() *decoder { return newDecoder(len(r.text), maxDepth) }

// scalar is the element of f at i, which was skimmed.
func (r *Runner) scalar(f *field, i int) val {
	switch f.wire {
	case protowire.VarintType:
		bits := uint64(r.text[i])
		if bits >= 0x80 {
			bits, _ = protowire.ConsumeVarint(r.text[i:])
		}
		return r.fromBits(f, bits)
	case protowire.Fixed32Type:
		bits, _ := protowire.ConsumeFixed32(r.text[i:])
		return r.fromBits(f, uint64(bits))
	case protowire.Fixed64Type:
		bits, _ := protowire.ConsumeFixed64(r.text[i:])
		return r.fromBits(f, bits)
	}
	from, to := r.sized(i, len(r.text))
	text := r.text[from:to:to]
	if f.kind == protoreflect.BytesKind {
		at := len(r.scratch)
		r.scratch = base64.StdEncoding.AppendEncode(r.scratch, text)
		text = r.scratch[at:len(r.scratch):len(r.scratch)]
	} else if !f.utf8 && !utf8.Valid(text) { // jq would mend it, at times
		r.doubt()
	}
	return val{kind: isString, text: text}
}

func (r *Runner) fromBits(f *field, bits uint64) val {
	var n int64
	switch f.kind {
	case protoreflect.BoolKind:
		return boolVal(bits != 0)
	case protoreflect.EnumKind:
		if name, ok := f.enum.names[protoreflect.EnumNumber(int32(bits))]; ok {
			return val{kind: isString, text: r.keep(name)}
		}
		n = int64(int32(bits))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		n = int64(int32(bits))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		n = int64(bits)
	case protoreflect.DoubleKind:
		return floatVal(math.Float64frombits(bits))
	default:
		return r.fromValue(f.fromBits(bits))
	}
	if int64(int(n)) != n {
		r.doubt()
	}
	return intVal(int(n))
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
		return floatVal(v)
	case *big.Int, json.Number:
		return val{kind: isNumber, form: asValue, value: v}
	case string:
		return val{kind: isString, text: r.keep(v)}
	case []any:
		return val{kind: isArray, value: v}
	case map[string]any:
		return val{kind: isObject, value: v}
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
		if v.node != 0 {
			return r.decoded(v.node)
		}
	}
	return v.value
}

// decoded is what the container of a node reads as.
func (r *Runner) decoded(at int32) codec.Value {
	if at == itself {
		v, err := r.decoder().message(r.bound.message, r.text, 0, 0)
		if err != nil {
			r.doubt()
		}
		return v
	}
	n := &r.nodes[at]
	if n.field.message != nil && (!n.field.list || n.element) {
		v, err := r.decoder().message(n.field.message, r.text[n.body:n.bodyEnd], 0, 0)
		if err != nil {
			r.doubt()
		}
		return v
	}
	var records []byte
	end := int32(0)
	for c := n.first; c != 0; c = r.nodes[c].next {
		if c := &r.nodes[c]; c.start >= end { // elements of one record
			records, end = append(records, r.text[c.start:c.end]...), c.end
		}
	}
	fields, err := r.decoder().fields(r.bound.places[r.nodes[n.parent].place].message, records, 0, 0)
	if err != nil {
		r.doubt()
	}
	return fields[n.field.name]
}

// number is what v is to arithmetic: an int, or else a float64. ok is false if
// it is neither, and then the run is in doubt.
func (r *Runner) number(v *val) (i int, f float64, isInt, ok bool) {
	switch {
	case v.kind == isNumber && v.form == asInt:
		return v.i, float64(v.i), true, true
	case v.kind == isNumber && v.form == asFloat:
		return 0, v.f, false, true
	}
	r.doubt()
	return 0, 0, false, false
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
		i, f, isInt, ok := r.number(a)
		j, g, also, okay := r.number(b)
		switch {
		case !ok || !okay:
		case isInt && also && i < j:
			return -1
		case isInt && also && i > j:
			return 1
		case isInt && also:
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

// same reports whether v is what the editor takes for equal to was, scalars both.
func (r *Runner) same(was, v *val) bool {
	switch {
	case was.kind != v.kind:
		return false
	case v.kind == isString:
		return bytes.Equal(was.text, v.text)
	case v.kind == isNumber && was.form == asInt && v.form == asInt:
		return was.i == v.i
	case v.kind == isNumber:
		return value.Equal(r.valueOf(*was), r.valueOf(*v))
	}
	return true
}
