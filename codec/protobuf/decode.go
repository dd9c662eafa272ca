package protobuf

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
)

// message reads the message whose fields are b, which begins at offset.
func (d *decoder) message(m *message, b []byte, offset, depth int) (codec.Value, error) {
	if m.special != nil && m.special.fromWire != nil && depth < d.maxDepth {
		if v, ok := m.special.fromWire(d, m, b); ok {
			return v, nil
		}
	}
	fields, err := d.fields(m, b, offset, depth)
	if err != nil || m.special == nil {
		return fields, err
	}
	return m.special.fromFields(d, m, fields, depth)
}

// open is a message while its fields are read.
type open struct {
	fields map[string]any
	lists  [][]any
	subs   []sub    // the singular messages, to be read when all parts are there
	cases  []*field // the case set last of each oneof
	seen   uint64   // a bit for each of the first fields without presence that is in fields
}

type sub struct {
	field  *field
	bytes  []byte
	offset int
	merged bool
}

func (d *decoder) fields(m *message, b []byte, offset, depth int) (map[string]any, error) {
	if depth >= d.maxDepth {
		return nil, &codec.LimitError{Format: name, Limit: "depth", Max: int64(d.maxDepth)}
	}
	if d.slots -= len(m.implicit) + leastSlots; d.slots < 0 {
		return nil, d.tooMany()
	}
	o := open{
		fields: make(map[string]any, len(m.implicit)+4),
		lists:  take(&d.lists, m.lists),
		subs:   take(&d.subs, m.subs),
		cases:  take(&d.cases, len(m.oneofs)),
	}
	defer func() {
		leave(&d.lists, m.lists)
		leave(&d.subs, m.subs)
		leave(&d.cases, len(m.oneofs))
	}()
	for pos := 0; pos < len(b); {
		number, typ, n := consumeTag(b[pos:])
		if n < 0 {
			return nil, malformed(offset+pos, n)
		}
		f, start := m.field(number), pos
		pos += n
		if f == nil || !f.accepts(typ) {
			n := protowire.ConsumeFieldValue(number, typ, b[pos:])
			if n < 0 {
				return nil, malformed(offset+pos, n)
			}
			pos += n
			continue
		}
		if f.list && typ == protowire.BytesType && typ == f.wire && o.lists[f.slot] == nil {
			o.lists[f.slot] = make([]any, 0, inRow(b[start:], n))
		}
		n, err := d.field(&o, f, typ, b[pos:], offset+pos, depth)
		if err != nil {
			return nil, err
		}
		pos += n
	}
	for i := range o.subs {
		s := &o.subs[i]
		if s.field == nil {
			continue
		}
		v, err := d.sub(s, depth+1)
		if err != nil {
			return nil, err
		}
		o.fields[s.field.name] = v
	}
	for i, f := range m.implicit {
		switch {
		case f.list && len(o.lists[f.slot]) > 0:
			o.fields[f.name] = o.lists[f.slot][:len(o.lists[f.slot]):len(o.lists[f.slot])]
		case f.hidden || i < 64 && o.seen>>i&1 != 0:
		case i >= 64 && o.has(f.name):
		default:
			o.fields[f.name] = f.zero
		}
	}
	return o.fields, nil
}

func (o *open) has(name string) bool {
	_, ok := o.fields[name]
	return ok
}

// put sets f to v.
func (o *open) put(f *field, v codec.Value) {
	o.fields[f.name] = v
	if !f.presence {
		o.seen |= 1 << f.index // nothing if there are too many
	}
}

// inRow counts the fields of bytes at the start of b that have the tag of the
// first, which is of n bytes.
func inRow(b []byte, n int) int {
	count := 0
	for rest := b; len(rest) >= n && string(rest[:n]) == string(b[:n]); count++ {
		size := protowire.ConsumeFieldValue(1, protowire.BytesType, rest[n:])
		if size < 0 {
			break
		}
		rest = rest[n+size:]
	}
	return count
}

func (d *decoder) sub(s *sub, depth int) (codec.Value, error) {
	if s.merged {
		return d.copied(s.field.message, s.bytes, s.offset, depth)
	}
	return d.message(s.field.message, s.bytes, s.offset, depth)
}

// accepts reports whether a field on the wire is f: with another wire type it
// is an unknown one. Lists of numbers may be packed whatever the descriptor says.
func (f *field) accepts(t protowire.Type) bool {
	return t == f.wire || f.packs(t)
}

func (f *field) packs(t protowire.Type) bool {
	return f.list && t == protowire.BytesType && f.wire != protowire.BytesType && f.wire != protowire.StartGroupType
}

// field reads the value of f at the start of b and returns its length.
func (d *decoder) field(o *open, f *field, typ protowire.Type, b []byte, offset, depth int) (int, error) {
	switch {
	case f.key != nil:
		return d.entry(o, f, b, offset, depth)
	case f.packs(typ):
		packed, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, malformed(offset, n)
		}
		return n, d.packed(o, f, packed, offset+n-len(packed))
	case f.message != nil:
		body, start, n := f.body(b)
		if n < 0 {
			return 0, malformed(offset, n)
		}
		if !f.list {
			return n, d.part(o, f, body, offset+start, depth)
		}
		v, err := d.message(f.message, body, offset+start, depth+1)
		o.lists[f.slot] = append(o.lists[f.slot], v)
		return n, err
	}
	v, n, err := f.scalar(d, b, offset)
	if err != nil {
		return 0, err
	}
	if f.list {
		o.lists[f.slot] = append(o.lists[f.slot], v)
		return n, nil
	}
	if err := d.choose(o, f, depth); err != nil {
		return 0, err
	}
	o.put(f, v)
	return n, nil
}

// part keeps one occurrence of the singular message f. All of them merge, which
// their bytes do in a row, if each is whole.
func (d *decoder) part(o *open, f *field, body []byte, offset, depth int) error {
	if err := d.choose(o, f, depth); err != nil {
		return err
	}
	s := &o.subs[f.slot]
	if s.field == nil {
		*s = sub{f, body[:len(body):len(body)], offset, false}
		return nil
	}
	if !s.merged {
		if err := whole(s.bytes, s.offset); err != nil {
			return err
		}
		s.merged = true
		if err := d.copying(len(s.bytes)); err != nil {
			return err
		}
	}
	if err := d.copying(len(body)); err != nil {
		return err
	}
	s.bytes = append(s.bytes, body...)
	return whole(body, offset)
}

// whole refuses bytes that are not all fields from end to end.
func whole(b []byte, offset int) error {
	for pos := 0; pos < len(b); {
		number, typ, n := consumeTag(b[pos:])
		if n < 0 {
			return malformed(offset+pos, n)
		}
		pos += n
		if n = protowire.ConsumeFieldValue(number, typ, b[pos:]); n < 0 {
			return malformed(offset+pos, n)
		}
		pos += n
	}
	return nil
}

// choose clears the other cases of f's oneof, but not without reading them: what
// nobody can read is malformed even where it does not count.
func (d *decoder) choose(o *open, f *field, depth int) error {
	if f.oneof < 0 {
		return nil
	}
	was := o.cases[f.oneof]
	o.cases[f.oneof] = f
	if was == nil || was == f {
		return nil
	}
	delete(o.fields, was.name)
	if was.message == nil {
		return nil
	}
	s := o.subs[was.slot]
	o.subs[was.slot] = sub{}
	_, err := d.sub(&s, depth+1)
	return err
}

// body returns the fields of the message at the start of b, where they start,
// and the length of all.
func (f *field) body(b []byte) (body []byte, start, n int) {
	if f.kind == protoreflect.GroupKind {
		body, n = protowire.ConsumeGroup(f.number, b)
		return body, 0, n
	}
	body, n = protowire.ConsumeBytes(b)
	return body, n - len(body), n
}

func (d *decoder) tooMany() error {
	return &codec.LimitError{Format: name, Limit: "fields", Max: int64(d.maxSlots)}
}

// malformed says what protowire found at offset.
func malformed(offset, n int) error {
	return &codec.SyntaxError{Format: name, Offset: offset, Msg: "malformed field: " + protowire.ParseError(n).Error()}
}

// consumeTag is protowire's, which takes numbers beyond the greatest valid one.
func consumeTag(b []byte) (protowire.Number, protowire.Type, int) {
	number, typ, n := protowire.ConsumeTag(b)
	if number > protowire.MaxValidNumber {
		return 0, 0, -1
	}
	return number, typ, n
}
