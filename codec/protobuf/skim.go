package protobuf

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// skim reads the fields of a message from i to end, those of node at, which may
// be none, and is as strict as a decoder. Of what a message rarely has and the
// wire may, fields in parts or two cases of a oneof, it doubts. It returns
// false where there is doubt or an error.
func (r *runner) skim(m *message, i, end, depth int, at int32) bool {
	if r.slots -= len(m.implicit) + leastSlots; r.slots < 0 || depth >= r.depth {
		return false
	}
	if at != none && !r.open(at) {
		return false
	}
	once := uint64(0)
	for i < end {
		start := i
		tag := uint64(r.Text[i])
		if i++; tag >= 0x80 {
			var n int
			if tag, n = protowire.ConsumeVarint(r.Text[start:end]); n < 0 {
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
			n := protowire.ConsumeFieldValue(number, typ, r.Text[i:end])
			if n < 0 {
				return false
			}
			i += n
			continue
		}
		if f.once != none {
			if f.once >= 64 || once>>f.once&1 != 0 {
				r.Doubt()
				return false
			}
			once |= 1 << f.once
		}
		child := int32(none)
		if at != none {
			child = r.found(at, f, start, i)
			if r.Outcome == plan.Unsure {
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
			r.Nodes[child].Spot.end = int32(i)
		}
	}
	if at != none {
		r.Nodes[at].Spot.once = once
	}
	if m.special != nil && m.special.edit != nil { // an Any has a message inside
		r.Doubt()
		return false
	}
	return true
}

// sized returns where the bytes at i begin and end, or none.
func (r *runner) sized(i, end int) (from, to int) {
	if i < end && r.Text[i] < 0x80 {
		from = i + 1
		if to = from + int(r.Text[i]); to > end {
			return none, none
		}
		return from, to
	}
	n, length := protowire.ConsumeVarint(r.Text[i:end])
	if length < 0 || n > uint64(end-i-length) {
		return none, none
	}
	return i + length, i + length + int(n)
}

// skimScalar returns the end of one element of f at i.
func (r *runner) skimScalar(f *field, i, end int) int {
	switch f.wire {
	case protowire.VarintType:
		if i < end && r.Text[i] < 0x80 {
			return i + 1
		}
		_, n := protowire.ConsumeVarint(r.Text[i:end])
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
	if to < 0 || f.utf8 && !utf8.Valid(r.Text[from:to]) {
		return none
	}
	return to
}

func (r *runner) skimBody(f *field, i, end, depth int, child int32) int {
	var from, to, next int
	if f.kind == protoreflect.GroupKind {
		body, n := protowire.ConsumeGroup(f.number, r.Text[i:end])
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
		n := &r.Nodes[child]
		n.Spot.body, n.Spot.bodyEnd = int32(from), int32(to)
		if n.Place != none && r.bound.places[n.Place].message != nil {
			at = child
		}
	}
	if !r.skim(f.message, from, to, depth+1, at) {
		return none
	}
	return next
}

// skimPacked reads elements; those after the first are nodes behind node child.
func (r *runner) skimPacked(f *field, i, end int, child int32) int {
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
		if child == none || value != from && !r.LooksInto(r.Nodes[r.Nodes[child].Parent].Place) {
			continue
		}
		if value != from {
			if element = r.addElement(r.Nodes[child].Parent, f); element == none {
				return none
			}
			r.Nodes[element].Spot.start = r.Nodes[child].Spot.start
		}
		n := &r.Nodes[element].Spot
		n.value, n.end, n.packed = int32(value), int32(to), true
	}
	return to
}

func (r *runner) skimEntry(f *field, i, end, depth int, child int32) int {
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
		number, typ, n := consumeTag(r.Text[i:to])
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
				r.Doubt()
				return none
			}
			var from int
			from, i = r.sized(i, to)
			body, bodyEnd = int32(from), int32(i)
		case number == 2 && typ == f.val.wire:
			val = int32(i)
			i = r.skimScalar(f.val, i, to)
		default:
			if n = protowire.ConsumeFieldValue(number, typ, r.Text[i:to]); n < 0 {
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
func (r *runner) entry(f *field, at, key, val int32) {
	in := r.Nodes[at].Parent
	of := &r.bound.places[r.Nodes[in].Place]
	if len(of.keys) == 0 {
		return
	}
	mark := len(r.Scratch)
	name := r.Keep(keyName(f.key.zeroElement()))
	if key != none {
		v := r.scalar(f.key, int(key))
		if name = v.Text; v.Kind != run.String {
			name = r.Keep(keyName(r.ValueOf(v)))
		}
	}
	for i, k := range of.keys {
		if k != string(name) {
			continue
		}
		n := &r.Nodes[r.Nodes[in].Spot.keys+int32(i)]
		if n.There { // the last one counts
			r.Doubt()
		}
		n.There, n.Kind = true, f.val.kindOf(true)
		n.Spot.start, n.Spot.value, n.Spot.record = r.Nodes[at].Spot.start, val, at
	}
	r.Scratch = r.Scratch[:mark]
}

// open makes nodes for the fields of node at that are looked at.
func (r *runner) open(at int32) bool {
	children := r.bound.places[r.Nodes[at].Place].children
	for _, c := range children {
		f := r.bound.places[c].field
		n := &r.Nodes[r.Add(c, at)]
		if n.Spot = (spot{start: none, field: f}); f != nil && !f.presence && !f.hidden {
			n.There, n.Kind = true, f.kindOf(false)
		}
	}
	for i, c := range children {
		if len(r.bound.places[c].keys) > 0 {
			in := r.Nodes[at].First + int32(i)
			r.Nodes[in].Spot.keys = int32(len(r.Nodes))
			for _, key := range r.bound.places[c].children {
				r.Grow(int(key), in)
			}
		}
	}
	return r.Outcome == plan.Changed
}

// kindOf is the kind of the field, or of an element of it.
func (f *field) kindOf(element bool) run.Kind {
	switch {
	case f.list && !element:
		return run.Array
	case f.key != nil, f.message != nil && f.message.special == nil:
		return run.Object
	}
	return run.String // or whatever no place can be in
}

// found returns the node for a field f at start of the message of node at, or
// none if it is not looked at.
func (r *runner) found(at int32, f *field, start, value int) int32 {
	slot := r.bound.child(r.Nodes[at].Place, f)
	if slot == none {
		return none
	}
	child := r.Nodes[at].First + slot
	n := &r.Nodes[child]
	if n.There, n.Kind = true, f.kindOf(false); f.list || f.key != nil {
		if child = r.addElement(child, f); child == none {
			return none
		}
		n = &r.Nodes[child]
	} else if n.Spot.start != none { // the last one counts
		r.Doubt()
	}
	n.Spot.start, n.Spot.value = int32(start), int32(value)
	return child
}

// addElement makes a node for an element of the list, or an entry of the map, of
// node in.
func (r *runner) addElement(in int32, f *field) int32 {
	list, place := &r.Nodes[in], int32(none)
	if list.Place != none && f.key == nil {
		for _, c := range r.bound.places[list.Place].children {
			if p := &r.Plan.Places[c]; p.Kind == plan.Every || p.Index == int(list.Count) {
				place = c
			}
		}
	}
	list.Count++
	at := r.Add(place, in)
	if list = &r.Nodes[in]; list.Spot.records == 0 {
		list.Spot.records = at
	}
	n := &r.Nodes[at]
	n.There, n.Kind = true, f.kindOf(true)
	n.Spot = spot{start: none, field: f, element: true}
	if r.Outcome != plan.Changed {
		return none
	}
	return at
}
