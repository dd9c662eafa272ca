package protobuf

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// skim reads the fields of a message from i to end, those of node at, which may
// be none, and is as strict as a decoder. Of what a message rarely has and the
// wire may, fields in parts or two cases of a oneof, it doubts. It returns
// false where there is doubt or an error.
func (r *Runner) skim(m *message, i, end, depth int, at int32) bool {
	if r.slots -= len(m.implicit) + leastSlots; r.slots < 0 || depth >= r.depth {
		return false
	}
	if at != none && !r.open(m, at) {
		return false
	}
	once := uint64(0)
	for i < end {
		start := i
		tag := uint64(r.text[i])
		if i++; tag >= 0x80 {
			var n int
			if tag, n = protowire.ConsumeVarint(r.text[start:end]); n < 0 {
				return false
			}
			i = start + n
		}
		if tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
			return false
		}
		number, typ := protowire.Number(tag>>3), protowire.Type(tag&7)
		f := m.field(number)
		if f == nil || !f.accepts(typ) {
			n := protowire.ConsumeFieldValue(number, typ, r.text[i:end])
			if n < 0 {
				return false
			}
			i += n
			continue
		}
		if f.once != none {
			if f.once >= 64 || once>>f.once&1 != 0 {
				r.doubt()
				return false
			}
			once |= 1 << f.once
		}
		child := int32(none)
		if at != none {
			child = r.found(at, f, start, i)
			if r.outcome == plan.Unsure {
				return false
			}
		}
		var next int
		switch {
		case f.key != nil:
			next = r.skimEntry(f, i, end, depth, child)
		case f.packs(typ):
			next = r.skimPacked(f, i, end, child)
		case f.message != nil:
			next = r.skimBody(f, i, end, depth, child)
		default:
			next = r.skimScalar(f, i, end)
		}
		if next < 0 {
			return false
		}
		i = next
		if child != none {
			r.nodes[child].end = int32(i)
		}
	}
	if at != none {
		r.nodes[at].once = once
	}
	if m.special != nil && m.special.edit != nil { // an Any has a message inside
		r.doubt()
		return false
	}
	return true
}

// sized returns where the bytes at i begin and end, or none.
func (r *Runner) sized(i, end int) (from, to int) {
	if i < end && r.text[i] < 0x80 {
		from = i + 1
		if to = from + int(r.text[i]); to > end {
			return none, none
		}
		return from, to
	}
	n, length := protowire.ConsumeVarint(r.text[i:end])
	if length < 0 || n > uint64(end-i-length) {
		return none, none
	}
	return i + length, i + length + int(n)
}

// skimScalar returns the end of one element of f at i.
func (r *Runner) skimScalar(f *field, i, end int) int {
	switch f.wire {
	case protowire.VarintType:
		if i < end && r.text[i] < 0x80 {
			return i + 1
		}
		_, n := protowire.ConsumeVarint(r.text[i:end])
		if n < 0 {
			return none
		}
		return i + n
	case protowire.Fixed32Type:
		if end-i < 4 {
			return none
		}
		return i + 4
	case protowire.Fixed64Type:
		if end-i < 8 {
			return none
		}
		return i + 8
	}
	from, to := r.sized(i, end)
	if to < 0 || f.utf8 && !utf8.Valid(r.text[from:to]) {
		return none
	}
	return to
}

func (r *Runner) skimBody(f *field, i, end, depth int, child int32) int {
	var from, to, next int
	if f.kind == protoreflect.GroupKind {
		body, n := protowire.ConsumeGroup(f.number, r.text[i:end])
		if n < 0 {
			return none
		}
		from, to, next = i, i+len(body), i+n
	} else {
		if from, to = r.sized(i, end); to < 0 {
			return none
		}
		next = to
	}
	at := int32(none)
	if child != none {
		n := &r.nodes[child]
		n.body, n.bodyEnd = int32(from), int32(to)
		if n.place != none && r.bound.places[n.place].message != nil {
			at = child
		}
	}
	if !r.skim(f.message, from, to, depth+1, at) {
		return none
	}
	return next
}

// skimPacked reads elements; those after the first are nodes behind node child.
func (r *Runner) skimPacked(f *field, i, end int, child int32) int {
	from, to := r.sized(i, end)
	if to < 0 || child != none && from == to {
		return none
	}
	element := child
	for i = from; i < to; {
		value := i
		if i = r.skimScalar(f, i, to); i < 0 {
			return none
		}
		if child == none || value != from && !r.bound.places[r.nodes[r.nodes[child].parent].place].all {
			continue
		}
		if value != from {
			first := r.nodes[child]
			if element = r.addElement(first.parent, f); element == none {
				return none
			}
			r.nodes[element].start = first.start
		}
		n := &r.nodes[element]
		n.value, n.end, n.packed = int32(value), int32(to), true
	}
	return to
}

func (r *Runner) skimEntry(f *field, i, end, depth int, child int32) int {
	if r.slots--; r.slots < 0 {
		return none
	}
	i, to := r.sized(i, end)
	if to < 0 {
		return none
	}
	body, bodyEnd := int32(none), int32(none)
	key, val := int32(none), int32(none)
	for i < to {
		number, typ, n := consumeTag(r.text[i:to])
		if n < 0 {
			return none
		}
		i += n
		switch {
		case number == 1 && typ == f.key.wire:
			key = int32(i)
			i = r.skimScalar(f.key, i, to)
		case number == 2 && typ == f.val.wire && f.val.message != nil:
			if body != none { // in parts
				r.doubt()
				return none
			}
			var from int
			from, i = r.sized(i, to)
			body, bodyEnd = int32(from), int32(i)
		case number == 2 && typ == f.val.wire:
			val = int32(i)
			i = r.skimScalar(f.val, i, to)
		default:
			if n = protowire.ConsumeFieldValue(number, typ, r.text[i:to]); n < 0 {
				return none
			}
			i += n
		}
		if i < 0 {
			return none
		}
	}
	if f.val.message != nil && !r.skim(f.val.message, int(max(body, 0)), int(max(bodyEnd, 0)), depth+1, none) {
		return none
	}
	if child != none {
		r.entry(f, child, key, val)
	}
	return to
}

// entry makes the record of node at that of the entry which its key says, if that
// is looked at. key and val are where its key and its value are, or none.
func (r *Runner) entry(f *field, at, key, val int32) {
	in := r.nodes[at].parent
	of := &r.bound.places[r.nodes[in].place]
	if len(of.keys) == 0 {
		return
	}
	mark := len(r.scratch)
	name := r.keep(keyName(f.key.zeroElement()))
	if key != none {
		v := r.scalar(f.key, int(key))
		switch v.kind {
		case isFalse, isTrue, isString:
			name = r.toString(v).text
		default:
			name = r.keep(keyName(r.valueOf(v)))
		}
	}
	for i, k := range of.keys {
		if k != string(name) {
			continue
		}
		n := &r.nodes[r.nodes[in].entries+int32(i)]
		if n.there { // the last one counts
			r.doubt()
		}
		n.there, n.start, n.value, n.record = true, r.nodes[at].start, val, at
	}
	r.scratch = r.scratch[:mark]
}

// open makes nodes for the fields of node at that are looked at, not there yet.
func (r *Runner) open(m *message, at int32) bool {
	children := r.bound.places[r.nodes[at].place].children
	first := int32(len(r.nodes))
	if int(first)+len(children) > maxNodes {
		r.doubt()
		return false
	}
	r.nodes[at].first = first
	for _, c := range children {
		f := r.bound.places[c].field
		r.nodes = append(r.nodes, spot{place: c, parent: at, start: none, field: f, there: m != nil && f != nil && !f.presence && !f.hidden})
	}
	for i, c := range children {
		if entries := r.bound.places[c].children; len(r.bound.places[c].keys) > 0 {
			in := first + int32(i)
			r.nodes[in].entries = int32(len(r.nodes))
			for _, e := range entries {
				r.nodes = append(r.nodes, spot{place: e, parent: in, start: none, value: none, field: r.bound.places[e].field, inMap: true})
			}
		}
	}
	return true
}

// found returns the node for a field f at start of the message of node at, or
// none if it is not looked at.
func (r *Runner) found(at int32, f *field, start, value int) int32 {
	slot := r.bound.child(r.nodes[at].place, f)
	if slot == none {
		return none
	}
	child := r.nodes[at].first + slot
	n := &r.nodes[child]
	if n.there = true; f.list || f.key != nil {
		if child = r.addElement(child, f); child == none {
			return none
		}
		n = &r.nodes[child]
	} else if n.start != none { // the last one counts
		r.doubt()
	}
	n.start, n.value = int32(start), int32(value)
	return child
}

// addElement makes a node for an element of the list, or an entry of the map, of
// node in.
func (r *Runner) addElement(in int32, f *field) int32 {
	at := int32(len(r.nodes))
	if at >= maxNodes {
		r.doubt()
		return none
	}
	list := &r.nodes[in]
	place := int32(none)
	if list.place != none && f.key == nil {
		for _, c := range r.bound.places[list.place].children {
			if p := &r.plan.Places[c]; p.Kind == everyKind || p.Index == int(list.count) {
				place = c
			}
		}
	}
	if list.first == 0 {
		list.first = at
	} else {
		r.nodes[list.last].next = at
	}
	list.last = at
	list.count++
	r.nodes = append(r.nodes, spot{place: place, parent: in, start: none, field: f, there: true, element: true})
	return at
}
