package protobuf

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

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

// splice writes what the run has left behind dst. It writes just what the
// editor would; where that depends on more than is known here, it doubts.
func (r *Runner) splice(dst []byte) {
	r.out, r.pos, r.edits = dst, 0, 0
	if !r.nodes[0].touched {
		r.outcome = plan.Unchanged
		return
	}
	r.emit(0)
	if r.outcome == plan.Changed && r.edits == 0 {
		r.outcome = plan.Unchanged
	}
}

// emit writes the fields of the message of node at, which is on the wire.
func (r *Runner) emit(at int32) {
	cuts, tails := len(r.cuts), len(r.tails)
	kids := r.children(at)
	if r.nodes[at].state != isKept || kids == nil {
		r.doubt()
		return
	}
	r.tail = tails
	lists := false
	for i := range kids {
		if kids[i].touched && r.outcome == plan.Changed {
			lists = r.collect(r.nodes[at].first+int32(i)) || lists
		}
	}
	r.oneofs(at)
	slices.SortFunc(r.cuts[cuts:], byPlace)
	r.pos = int(r.nodes[at].body)
	for i := cuts; i < len(r.cuts) && r.outcome == plan.Changed; i++ {
		c := r.cuts[i]
		r.out = append(r.out, r.text[r.pos:c.start]...)
		if c.node == 0 {
			r.edits++
			r.out = append(r.out, r.scratch[c.from:c.to]...)
		} else {
			r.emitSub(c.node)
		}
		r.pos = int(c.end)
		r.measure(r.out)
	}
	r.out = append(r.out, r.text[r.pos:r.nodes[at].bodyEnd]...)
	r.cuts = r.cuts[:cuts]
	for i := tails; i < len(r.tails); i++ {
		r.edits++
		r.out = append(r.out, r.scratch[r.tails[i].from:r.tails[i].to]...)
	}
	r.tails = r.tails[:tails]
	if lists && r.outcome == plan.Changed {
		r.checkLists(at)
	}
}

// byPlace orders cuts. One of nothing comes before the record that begins there.
func byPlace(a, b cut) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
}

// emitSub writes the record of a message that was written to, as it was if that
// came to nothing.
func (r *Runner) emitSub(at int32) {
	f, n := r.nodes[at].field, r.nodes[at]
	mark, edits := len(r.out), r.edits
	r.out = protowire.AppendTag(r.out, f.number, f.wire)
	if f.kind == protoreflect.GroupKind {
		r.emit(at)
		r.out = protowire.AppendTag(r.out, f.number, protowire.EndGroupType)
	} else {
		guess := protowire.SizeVarint(uint64(n.bodyEnd - n.body))
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
		r.out = append(r.out[:mark], r.text[n.start:n.end]...)
	}
	r.nodes[at].from, r.nodes[at].to = int32(mark), int32(len(r.out))
}

// collect finds what to cut for a field that was written to, and reports whether
// elements of a list were that only their values tell apart.
func (r *Runner) collect(at int32) bool {
	n := &r.nodes[at]
	f := n.field
	if f == nil {
		return false // there is none, and so nothing was written
	}
	if n.state == isGone {
		r.clear(at)
		return false
	}
	if n.state == isMade {
		r.add(at, r.made(at))
		return false
	}
	if n.state == isSet {
		r.put(at)
		return false
	}
	switch {
	case f.key != nil:
		r.collectEntries(at)
	case !n.there || n.first == 0:
	case f.list && f.message != nil:
		return r.collectMessages(at)
	case f.list:
		r.collectScalars(at)
	case n.start != none:
		r.cuts = append(r.cuts, cut{start: n.start, end: n.end, node: at})
	}
	return false
}

// clear drops the field of node at unless it reads as one that is not there.
func (r *Runner) clear(at int32) {
	n := &r.nodes[at]
	if f := n.field; n.start != none && !f.presence && !f.list && f.key == nil {
		was, zero := r.was(at), r.fromValue(f.zeroElement())
		if r.same(&was, &zero) {
			return
		}
	}
	r.drop(at)
}

// drop cuts all records of the field of node at.
func (r *Runner) drop(at int32) {
	n := &r.nodes[at]
	if n.field.required {
		r.doubt()
	}
	if n.start != none {
		r.cuts = append(r.cuts, cut{start: n.start, end: n.end})
	}
	if !n.field.list && n.field.key == nil {
		return
	}
	end := int32(0)
	for c := n.first; c != 0; c = r.nodes[c].next {
		if c := &r.nodes[c]; c.start >= end {
			r.cuts = append(r.cuts, cut{start: c.start, end: c.end})
			end = c.end
		}
	}
}

// put cuts the field of node at for what was set there.
func (r *Runner) put(at int32) {
	n := &r.nodes[at]
	f, v := n.field, r.vals[n.val]
	switch {
	case v.kind == isNull:
		r.clear(at)
		return
	case v.isContainer():
		r.putContainer(at, v)
		return
	case f.key != nil || f.list || f.message != nil && f.message.special == nil:
		r.doubt() // what holds several takes no scalar
		return
	}
	if f.message != nil {
		r.putSpecial(at, &v)
		return
	}
	if n.there {
		if was := r.was(at); r.same(&was, &v) {
			return
		}
	}
	from := int32(len(r.scratch))
	r.scratch = protowire.AppendTag(r.scratch, f.number, f.wire)
	element := len(r.scratch)
	r.scratch = r.appendVal(r.scratch, f, &v)
	if !f.presence && allZero(r.scratch[element:]) {
		r.edits++
		r.drop(at)
		return
	}
	r.add(at, from)
}

// putSpecial sets a well-known type.
func (r *Runner) putSpecial(at int32, v *val) {
	n := &r.nodes[at]
	d, e := r.decoder(), editor{}
	var body []byte
	var before any = absent{}
	if n.there {
		body = r.text[n.body:n.bodyEnd:n.bodyEnd]
		was, err := d.message(n.field.message, body, 0, 0)
		if err != nil {
			r.doubt()
			return
		}
		before = was
	}
	out, err := e.message(n.field.message, body, before, r.valueOf(*v), maxSteps)
	if err != nil {
		r.doubt()
		return
	}
	if n.there && e.edits == 0 {
		return
	}
	from := int32(len(r.scratch))
	r.scratch = append(r.scratch, e.wrap(n.field, out)...)
	r.add(at, from)
}

// add writes the scratch behind from as the record of node at.
func (r *Runner) add(at, from int32) {
	n := &r.nodes[at]
	to := int32(len(r.scratch))
	if n.start != none {
		r.cuts = append(r.cuts, cut{start: n.start, end: n.end, from: from, to: to})
		return
	}
	r.tails = append(r.tails, tail{n.field, from, to})
	for i := len(r.tails) - 1; i > r.tail && r.tails[i-1].field.number > n.field.number; i-- {
		r.tails[i], r.tails[i-1] = r.tails[i-1], r.tails[i]
	}
}

// oneofs doubts where another case of a oneof would have to go.
func (r *Runner) oneofs(at int32) {
	kids, once := r.children(at), r.nodes[at].once
	for i := range kids {
		c := &kids[i]
		if !c.touched || c.field == nil || c.field.oneof < 0 || c.state != isSet && c.state != isMade || c.state == isSet && r.vals[c.val].kind == isNull {
			continue
		}
		bit := uint64(1) << c.field.once
		if c.field.once >= 64 || c.start == none && once&bit != 0 {
			r.doubt()
			return
		}
		once |= bit
	}
}

// appendVal appends v without a tag.
func (r *Runner) appendVal(dst []byte, f *field, v *val) []byte {
	switch {
	case v.kind == isString && f.kind == protoreflect.StringKind && (!f.utf8 || utf8.Valid(v.text)):
		return protowire.AppendBytes(dst, v.text)
	case v.kind == isString && f.kind == protoreflect.EnumKind:
		if n, ok := f.enum.numbers[string(v.text)]; ok {
			return protowire.AppendVarint(dst, uint64(n))
		}
	case v.kind == isNumber && v.form == asInt:
		if bits, ok := f.intBits(int64(v.i)); ok {
			switch f.wire {
			case protowire.Fixed32Type:
				return protowire.AppendFixed32(dst, uint32(bits))
			case protowire.Fixed64Type:
				return protowire.AppendFixed64(dst, bits)
			}
			return protowire.AppendVarint(dst, bits)
		}
	}
	out, err := f.appendScalar(dst, r.valueOf(*v))
	if err != nil {
		r.doubt()
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
