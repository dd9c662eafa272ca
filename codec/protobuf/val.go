package protobuf

import (
	"bytes"
	"encoding/base64"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// Was implements [run.Format].
func (r *runner) Was(at int32) run.Val {
	n := &r.Nodes[at]
	f := n.Spot.field
	switch {
	case !n.There:
		return run.Val{}
	case at == 0, f.key != nil && !n.Spot.element, f.message != nil && f.message.special == nil && !isList(n):
		return run.Val{Kind: run.Object, Node: at}
	case isList(n):
		return run.Val{Kind: run.Array, Node: at}
	case f.message != nil:
		return r.special(at)
	case n.Spot.start == none, n.Spot.inMap && n.Spot.value == none:
		return r.FromValue(f.zeroElement())
	}
	return r.scalar(f, int(n.Spot.value))
}

// special is the well-known type of node at.
func (r *runner) special(at int32) run.Val {
	n := &r.Nodes[at]
	of := r.FromValue(r.message(n.Spot.field.message, r.Text[n.Spot.body:n.Spot.bodyEnd]))
	if of.IsContainer() {
		of.Node, of.Value = at, nil
	}
	return of
}

func (r *runner) decoder() *decoder { return newDecoder(len(r.Text), maxDepth) }

// scalar is the element of f at i, which was skimmed.
func (r *runner) scalar(f *field, i int) run.Val {
	switch f.wire {
	case protowire.VarintType:
		bits := uint64(r.Text[i])
		if bits >= 0x80 {
			bits, _ = protowire.ConsumeVarint(r.Text[i:])
		}
		return r.fromBits(f, bits)
	case protowire.Fixed32Type:
		bits, _ := protowire.ConsumeFixed32(r.Text[i:])
		return r.fromBits(f, uint64(bits))
	case protowire.Fixed64Type:
		bits, _ := protowire.ConsumeFixed64(r.Text[i:])
		return r.fromBits(f, bits)
	}
	from, to := r.sized(i, len(r.Text))
	text := r.Text[from:to:to]
	if f.kind == protoreflect.BytesKind {
		at := len(r.Scratch)
		r.Scratch = base64.StdEncoding.AppendEncode(r.Scratch, text)
		text = r.Made(at)
	} else if !f.utf8 && !utf8.Valid(text) { // jq would mend it, at times
		r.Doubt()
	}
	return run.StringVal(text)
}

func (r *runner) fromBits(f *field, bits uint64) run.Val {
	var n int64
	switch f.kind {
	case protoreflect.BoolKind:
		return run.BoolVal(bits != 0)
	case protoreflect.EnumKind:
		if name, ok := f.enum.names[protoreflect.EnumNumber(int32(bits))]; ok {
			return run.StringVal(r.Keep(name))
		}
		n = int64(int32(bits))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		n = int64(int32(bits))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		n = int64(bits)
	case protoreflect.DoubleKind:
		return run.FloatVal(math.Float64frombits(bits))
	default:
		return r.FromValue(f.fromBits(bits))
	}
	if int64(int(n)) != n {
		r.Doubt()
	}
	return run.IntVal(int(n))
}

// Value implements [run.Format].
func (r *runner) Value(v run.Val) codec.Value {
	if v.Node == 0 {
		return r.message(r.bound.message, r.Text)
	}
	n := &r.Nodes[v.Node]
	f := n.Spot.field
	if f.message != nil && !isList(n) {
		return r.message(f.message, r.Text[n.Spot.body:n.Spot.bodyEnd])
	}
	var records []byte
	end := int32(0)
	for c := n.Spot.records; c != 0; c = r.Nodes[c].Next {
		if s := &r.Nodes[c].Spot; s.start >= end { // elements of one record
			records, end = append(records, r.Text[s.start:s.end]...), s.end
		}
	}
	fields, err := r.decoder().fields(r.bound.places[r.Nodes[n.Parent].Place].message, records, 0, 0)
	if err != nil {
		r.Doubt()
	}
	return fields[f.name]
}

// message is what the message of type m in body reads as.
func (r *runner) message(m *message, body []byte) codec.Value {
	v, err := r.decoder().message(m, body, 0, 0)
	if err != nil {
		r.Doubt()
	}
	return v
}

// same reports whether v is what the editor takes for equal to was, scalars both.
func (r *runner) same(was, v *run.Val) bool {
	switch {
	case was.Kind != v.Kind:
		return false
	case v.Kind == run.String:
		return bytes.Equal(was.Text, v.Text)
	case v.Kind == run.Number && was.Form == run.Int && v.Form == run.Int:
		return was.Int == v.Int
	case v.Kind == run.Number:
		return value.Equal(r.ValueOf(*was), r.ValueOf(*v))
	}
	return true
}
