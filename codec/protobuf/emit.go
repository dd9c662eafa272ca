package protobuf

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// cut is a record, or several in a row, that something else stands in for.
type cut struct {
	start, end int32
	from, to   int32 // of the scratch, what stands in for it
	node       int32 // if not 0, the message that does
}

// tail is a field that has no record yet.
type tail struct {
	field    *field
	from, to int32 // of the scratch
}

// Splice implements [run.Format]. It writes just what the editor would; where
// that depends on more than is known here, it doubts.
func (r *runner) Splice(dst []byte) (out []byte, differs bool) {
	if !r.Nodes[0].Touched {
		return dst, false
	}
	r.out, r.pos, r.edits = dst, 0, 0
	r.emit(0)
	if cap(r.Nodes) > run.MaxKept/64 {
		r.cuts, r.tails = nil, nil
	}
	out, r.out = r.out, nil
	return out, r.edits > 0 && !bytes.Equal(out[len(dst):], r.Text)
}

// emit writes the fields of the message of node at, which is on the wire.
func (r *runner) emit(at int32) {
	cuts, tails := len(r.cuts), len(r.tails)
	n := &r.Nodes[at]
	if n.State != run.Kept || n.Alone || n.First == 0 {
		r.Doubt()
		return
	}
	r.tail = tails
	lists := false
	for c := n.First; c != 0 && r.Outcome == plan.Changed; c = r.Nodes[c].Next {
		if r.Nodes[c].Touched {
			lists = r.collect(c) || lists
		}
	}
	r.oneofs(at)
	slices.SortFunc(r.cuts[cuts:], byPlace)
	r.pos = int(n.Spot.body)
	for i := cuts; i < len(r.cuts) && r.Outcome == plan.Changed; i++ {
		c := r.cuts[i]
		r.out = append(r.out, r.Text[r.pos:c.start]...)
		if c.node == 0 {
			r.edits++
			r.out = append(r.out, r.Scratch[c.from:c.to]...)
		} else {
			r.emitSub(c.node)
		}
		r.pos = int(c.end)
		r.Measure(r.out)
	}
	r.out = append(r.out, r.Text[r.pos:n.Spot.bodyEnd]...)
	r.cuts = r.cuts[:cuts]
	for i := tails; i < len(r.tails); i++ {
		r.edits++
		r.out = append(r.out, r.Scratch[r.tails[i].from:r.tails[i].to]...)
	}
	r.tails = r.tails[:tails]
	if lists && r.Outcome == plan.Changed {
		r.checkLists(at)
	}
}

// byPlace orders cuts. One of nothing comes before the record that begins there.
func byPlace(a, b cut) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
}

// emitSub writes the record of a message that was written to, as it was if that
// came to nothing.
func (r *runner) emitSub(at int32) {
	s := r.Nodes[at].Spot
	f := s.field
	mark, edits := len(r.out), r.edits
	r.out = protowire.AppendTag(r.out, f.number, f.wire)
	if f.kind == protoreflect.GroupKind {
		r.emit(at)
		r.out = protowire.AppendTag(r.out, f.number, protowire.EndGroupType)
	} else {
		guess := protowire.SizeVarint(uint64(s.bodyEnd - s.body))
		length := len(r.out)
		r.out = append(r.out, make([]byte, guess)...)
		body := len(r.out)
		r.emit(at)
		size := len(r.out) - body
		if need := protowire.SizeVarint(uint64(size)); need > guess {
			r.out = append(r.out, r.out[len(r.out)-(need-guess):]...)
			copy(r.out[body+need-guess:], r.out[body:body+size])
		} else if need < guess {
			copy(r.out[body+need-guess:], r.out[body:])
			r.out = r.out[:len(r.out)-(guess-need)]
		}
		protowire.AppendVarint(r.out[:length], uint64(size))
	}
	if r.edits == edits {
		r.out = append(r.out[:mark], r.Text[s.start:s.end]...)
	}
	r.Nodes[at].Spot.from, r.Nodes[at].Spot.to = int32(mark), int32(len(r.out))
}

// collect finds what to cut for a field that was written to, and reports whether
// elements of a list were that only their values tell apart.
func (r *runner) collect(at int32) bool {
	n := &r.Nodes[at]
	f := n.Spot.field
	switch {
	case f == nil || n.Alone: // there is none; what no place names is to go
		r.Doubt()
	case n.State == run.Gone:
		r.clear(at)
	case n.State == run.Set:
		r.put(at)
	case f.key != nil:
		r.collectEntries(at)
	case n.State == run.Made:
		r.putRecord(at, r.made(at))
	case !n.There || n.First == 0:
	case f.list && f.message != nil:
		return r.collectMessages(at)
	case f.list:
		r.collectScalars(at)
	case n.Spot.start != none:
		r.cuts = append(r.cuts, cut{start: n.Spot.start, end: n.Spot.end, node: at})
	}
	return false
}

// clear drops the field of node at unless it reads as one that is not there.
func (r *runner) clear(at int32) {
	n := &r.Nodes[at]
	if f := n.Spot.field; n.Spot.start != none && !f.presence && !f.list && f.key == nil {
		was, zero := r.Was(at), r.FromValue(f.zeroElement())
		if r.same(&was, &zero) {
			return
		}
	}
	r.drop(at)
}

// drop cuts all records of the field of node at.
func (r *runner) drop(at int32) {
	n := &r.Nodes[at]
	if n.Spot.field.required {
		r.Doubt()
	}
	if n.Spot.start != none {
		r.cuts = append(r.cuts, cut{start: n.Spot.start, end: n.Spot.end})
	}
	if !n.Spot.field.list && n.Spot.field.key == nil {
		return
	}
	end := int32(0)
	for c := n.Spot.records; c != 0; c = r.Nodes[c].Next {
		if s := &r.Nodes[c].Spot; s.start >= end {
			r.cuts = append(r.cuts, cut{start: s.start, end: s.end})
			end = s.end
		}
	}
}

// put cuts the field of node at for what was set there.
func (r *runner) put(at int32) {
	n := &r.Nodes[at]
	f, v := n.Spot.field, r.Vals[n.Val]
	switch {
	case v.Kind == run.Null:
		r.clear(at)
		return
	case v.IsContainer():
		r.putContainer(at, v)
		return
	case f.key != nil || f.list || f.message != nil && f.message.special == nil:
		r.Doubt() // what holds several takes no scalar
		return
	}
	if f.message != nil {
		r.putSpecial(at, &v)
		return
	}
	if n.There {
		if was := r.Was(at); r.same(&was, &v) {
			return
		}
	}
	from := int32(len(r.Scratch))
	r.Scratch = protowire.AppendTag(r.Scratch, f.number, f.wire)
	element := len(r.Scratch)
	r.Scratch = r.appendVal(r.Scratch, f, &v)
	if !f.presence && allZero(r.Scratch[element:]) {
		r.edits++
		r.drop(at)
		return
	}
	r.putRecord(at, from)
}

// putSpecial sets a well-known type.
func (r *runner) putSpecial(at int32, v *run.Val) {
	n := &r.Nodes[at]
	d, e := r.decoder(), editor{}
	var body []byte
	var before any = absent{}
	if n.There {
		body = r.Text[n.Spot.body:n.Spot.bodyEnd:n.Spot.bodyEnd]
		was, err := d.message(n.Spot.field.message, body, 0, 0)
		if err != nil {
			r.Doubt()
			return
		}
		before = was
	}
	out, err := e.message(n.Spot.field.message, body, before, r.ValueOf(*v), maxSteps)
	if err != nil {
		r.Doubt()
		return
	}
	if n.There && e.edits == 0 {
		return
	}
	from := int32(len(r.Scratch))
	r.Scratch = append(r.Scratch, e.wrap(n.Spot.field, out)...)
	r.putRecord(at, from)
}

// putRecord writes the scratch behind from as the record of node at.
func (r *runner) putRecord(at, from int32) {
	n := &r.Nodes[at]
	to := int32(len(r.Scratch))
	if n.Spot.start != none {
		r.cuts = append(r.cuts, cut{start: n.Spot.start, end: n.Spot.end, from: from, to: to})
		return
	}
	r.tails = append(r.tails, tail{n.Spot.field, from, to})
	for i := len(r.tails) - 1; i > r.tail && r.tails[i-1].field.number > n.Spot.field.number; i-- {
		r.tails[i], r.tails[i-1] = r.tails[i-1], r.tails[i]
	}
}

// oneofs doubts where another case of a oneof would have to go.
func (r *runner) oneofs(at int32) {
	once := r.Nodes[at].Spot.once
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		n := &r.Nodes[c]
		f := n.Spot.field
		if f == nil || f.oneof < 0 || n.State != run.Set && n.State != run.Made || n.State == run.Set && r.Vals[n.Val].Kind == run.Null {
			continue
		}
		bit := uint64(1) << f.once
		if f.once >= 64 || n.Spot.start == none && once&bit != 0 {
			r.Doubt()
			return
		}
		once |= bit
	}
}

// appendVal appends v without a tag.
func (r *runner) appendVal(dst []byte, f *field, v *run.Val) []byte {
	switch {
	case v.Kind == run.String && f.kind == protoreflect.StringKind && (!f.utf8 || utf8.Valid(v.Text)):
		return protowire.AppendBytes(dst, v.Text)
	case v.Kind == run.String && f.kind == protoreflect.EnumKind:
		if n, ok := f.enum.numbers[string(v.Text)]; ok {
			return protowire.AppendVarint(dst, uint64(n))
		}
	case v.Kind == run.Number && v.Form == run.Int:
		if bits, ok := f.intBits(int64(v.Int)); ok {
			switch f.wire {
			case protowire.Fixed32Type:
				return protowire.AppendFixed32(dst, uint32(bits))
			case protowire.Fixed64Type:
				return protowire.AppendFixed64(dst, bits)
			}
			return protowire.AppendVarint(dst, bits)
		}
	}
	out, err := f.appendScalar(dst, r.ValueOf(*v))
	if err != nil {
		r.Doubt()
		return dst
	}
	return out
}

// intBits is bits for the usual kinds of integers.
func (f *field) intBits(n int64) (uint64, bool) {
	switch f.kind {
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return uint64(n), true
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return uint64(n), n >= 0
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return uint64(n), math.MinInt32 <= n && n <= math.MaxInt32
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return uint64(n), 0 <= n && n <= math.MaxUint32
	}
	return 0, false
}
