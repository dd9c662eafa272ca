package protobuf

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// draft collects what to write instead of which records of a message.
type draft struct {
	*editor
	message *message
	body    []byte
	depth   int

	records  []record // on the editor's
	first    []int32  // of each field of the message, its first record, counted from 1; on the editor's
	replaced bool     // some record is
	tail     []byte   // fields that have no record yet
}

// record is one field on the wire with its tag, field nil if it is not known.
type record struct {
	field             *field
	start, value, end int
	instead           []byte // what it is replaced by; none leaves it out
	replaced          bool
	next              int32 // of the field, counted from 1
	typ               protowire.Type
}

func (p *draft) scan() {
	if p.first != nil {
		return
	}
	from := len(p.editor.firsts)
	p.editor.firsts = slices.Grow(p.editor.firsts, len(p.message.fields))[:from+len(p.message.fields)]
	p.first = p.editor.firsts[from:]
	clear(p.first)
	from = len(p.editor.records)
	for pos := 0; pos < len(p.body); {
		r := record{start: pos}
		number, typ, n := protowire.ConsumeTag(p.body[pos:])
		r.typ, r.value = typ, pos+n
		r.end = r.value + protowire.ConsumeFieldValue(number, typ, p.body[r.value:])
		if f := p.message.field(number); f != nil && f.accepts(typ) {
			r.field = f
		}
		p.editor.records = append(p.editor.records, r)
		pos = r.end
	}
	p.records = p.editor.records[from:]
	for i := range slices.Backward(p.records) {
		if r := &p.records[i]; r.field != nil {
			r.next, p.first[r.field.at] = p.first[r.field.at], int32(i+1)
		}
	}
}

// close gives the records back to the editor, in the opposite order of scans.
func (p *draft) close() {
	if p.first != nil {
		p.editor.firsts = p.editor.firsts[:len(p.editor.firsts)-len(p.first)]
		p.editor.records = p.editor.records[:len(p.editor.records)-len(p.records)]
	}
}

// places returns the records of f.
func (p *draft) places(f *field) []int {
	if len(p.body) == 0 {
		return nil
	}
	p.scan()
	var few [4]int
	places := few[:0]
	for i := p.first[f.at]; i > 0; i = p.records[i-1].next {
		places = append(places, int(i-1))
	}
	return places
}

// replace puts b in the place of record i.
func (p *draft) replace(i int, b []byte) {
	r := &p.records[i]
	r.instead, r.replaced, p.replaced = b, true, true
}

// replacement returns what stands in the place of record i, if another does.
func (p *draft) replacement(i int) ([]byte, bool) {
	r := &p.records[i]
	return r.instead, r.replaced
}

// live returns the records of f that count: of a oneof those after the last of
// another case.
func (p *draft) live(f *field) []int {
	places := p.places(f)
	if f.oneof < 0 {
		return places
	}
	last := -1
	for _, other := range p.message.oneofs[f.oneof] {
		if o := p.places(other); other != f && len(o) > 0 {
			last = max(last, o[len(o)-1])
		}
	}
	for len(places) > 0 && places[0] < last {
		places = places[1:]
	}
	return places
}

// drop leaves out all records of f and, as they would count again, those of the
// other cases of its oneof that it hid.
func (p *draft) drop(f *field) {
	p.edits++
	hidden := []*field{f}
	if f.oneof >= 0 {
		hidden = p.message.oneofs[f.oneof]
	}
	for _, f := range hidden {
		for _, i := range p.places(f) {
			if !p.records[i].replaced {
				p.replace(i, nil)
			}
		}
	}
}

// put writes b in the place of the last record of f, or of the first if f is a
// list, and leaves the others out.
func (p *draft) put(f *field, b []byte) {
	p.edits++
	places := p.places(f)
	for _, i := range places {
		p.replace(i, nil)
	}
	switch {
	case len(places) == 0:
		p.tail = append(p.tail, b...)
	case f.list:
		p.replace(places[0], b)
	default:
		p.replace(places[len(places)-1], b)
	}
}

func (p *draft) write() []byte {
	if !p.replaced && len(p.tail) == 0 {
		return p.body
	}
	if p.depth == 0 { // the message outlives the editor
		return p.appendTo(make([]byte, 0, len(p.body)+len(p.tail)+64))
	}
	at := len(p.arena)
	p.arena = p.appendTo(p.arena)
	return p.since(at)
}

func (p *draft) appendTo(out []byte) []byte {
	for i, r := range p.records {
		if b, ok := p.replacement(i); ok {
			out = append(out, b...)
		} else {
			out = append(out, p.body[r.start:r.end]...)
		}
	}
	return append(out, p.tail...)
}
