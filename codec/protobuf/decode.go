package protobuf

import (
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
)

const (
	name     = "protobuf"
	maxDepth = 100 // as most implementations have it
)

// decoder reads messages to values.
type decoder struct {
	maxDepth int
	// Fields without presence appear even where nothing is sent, so a few bytes
	// may be a large object: slots is how many members may still be made, of
	// some 30 bytes each.
	slots, maxSlots int
	// Messages in parts and those within an Any are copied, at each level that
	// they are nested in: copies is how many bytes may still be.
	copies, maxCopies int
}

// leastSlots is what the smallest object takes.
const leastSlots = 8

func newDecoder(size, depth int) *decoder {
	slots, copies := slotsFor(size), 64<<10+4*size
	return &decoder{maxDepth: min(depth, maxDepth), slots: slots, maxSlots: slots, copies: copies, maxCopies: copies}
}

// slotsFor is how many members a message of size bytes may have.
func slotsFor(size int) int { return 1<<18 + 3*size }

// copying accounts for n bytes before they are copied.
func (d *decoder) copying(n int) error {
	if d.copies -= n; d.copies < 0 {
		return &codec.LimitError{Format: name, Limit: "copies", Max: int64(d.maxCopies)}
	}
	return nil
}

// message reads the message whose fields are b, which begins at offset.
func (d *decoder) message(m *message, b []byte, offset, depth int) (codec.Value, error) {
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
		lists:  make([][]any, m.lists),
		subs:   make([]sub, m.subs),
		cases:  make([]*field, len(m.oneofs)),
	}
	for pos := 0; pos < len(b); {
		number, typ, n := consumeTag(b[pos:])
		if n < 0 {
			return nil, malformed(offset+pos, n)
		}
		pos += n
		f := m.field(number)
		if f == nil || !f.accepts(typ) {
			n := protowire.ConsumeFieldValue(number, typ, b[pos:])
			if n < 0 {
				return nil, malformed(offset+pos, n)
			}
			pos += n
			continue
		}
		n, err := d.field(&o, f, typ, b[pos:], offset+pos, depth)
		if err != nil {
			return nil, err
		}
		pos += n
	}
	for _, s := range o.subs {
		if s.field == nil {
			continue
		}
		v, err := d.message(s.field.message, s.bytes, s.offset, depth+1)
		if err != nil {
			return nil, err
		}
		o.fields[s.field.name] = v
	}
	for _, f := range m.implicit {
		if f.list && len(o.lists[f.slot]) > 0 {
			o.fields[f.name] = o.lists[f.slot][:len(o.lists[f.slot]):len(o.lists[f.slot])]
		} else if _, ok := o.fields[f.name]; !ok && !f.hidden {
			o.fields[f.name] = f.zero
		}
	}
	return o.fields, nil
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
	v, n, err := f.scalar(b, offset)
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
	o.fields[f.name] = v
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
	_, err := d.message(was.message, s.bytes, s.offset, depth+1)
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

func (d *decoder) packed(o *open, f *field, b []byte, offset int) error {
	list := o.lists[f.slot]
	if list == nil {
		list = []any{}
	}
	for len(b) > 0 {
		v, n, err := f.scalar(b, offset)
		if err != nil {
			return err
		}
		list = append(list, v)
		b, offset = b[n:], offset+n
	}
	o.lists[f.slot] = list
	return nil
}

// scalar reads one element of f that is no message.
func (f *field) scalar(b []byte, offset int) (codec.Value, int, error) {
	switch f.wire {
	case protowire.VarintType:
		bits, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, 0, malformed(offset, n)
		}
		return f.fromBits(bits), n, nil
	case protowire.Fixed32Type:
		bits, n := protowire.ConsumeFixed32(b)
		if n < 0 {
			return nil, 0, malformed(offset, n)
		}
		if f.kind == protoreflect.Sfixed32Kind {
			return int(int32(bits)), n, nil
		}
		return f.fromBits(uint64(bits)), n, nil
	case protowire.Fixed64Type:
		bits, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return nil, 0, malformed(offset, n)
		}
		return f.fromBits(bits), n, nil
	}
	s, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return nil, 0, malformed(offset, n)
	}
	if f.kind == protoreflect.BytesKind {
		return toBase64(s), n, nil
	}
	if f.utf8 && !utf8.Valid(s) {
		return nil, 0, &codec.SyntaxError{Format: name, Offset: offset + n - len(s), Msg: "a string that is not UTF-8"}
	}
	return string(s), n, nil
}

// entry reads one entry of the map f.
func (d *decoder) entry(o *open, f *field, b []byte, offset, depth int) (int, error) {
	body, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return 0, malformed(offset, n)
	}
	if d.slots--; d.slots < 0 {
		return 0, d.tooMany()
	}
	e, err := f.readEntry(body, offset+n-len(body))
	if err != nil {
		return 0, err
	}
	if f.val.message != nil {
		if e.copied {
			if err := d.copying(len(e.body)); err != nil {
				return 0, err
			}
		}
		e.value, err = d.message(f.val.message, e.body, offset+n-len(body), depth+1)
		if err != nil {
			return 0, err
		}
	}
	entries, ok := o.fields[f.name].(map[string]any)
	if !ok {
		entries = make(map[string]any)
		o.fields[f.name] = entries
	}
	entries[e.key] = e.value
	return n, nil
}

// entry is one entry of a map; its value is either read or, for a message, its
// body, which is a copy if it came in parts.
type entry struct {
	key    string
	value  codec.Value
	body   []byte
	copied bool
}

func (f *field) readEntry(b []byte, offset int) (entry, error) {
	e := entry{key: keyName(f.key.zeroElement()), value: nil}
	if f.val.message == nil {
		e.value = f.val.zeroElement()
	}
	for pos := 0; pos < len(b); {
		number, typ, n := consumeTag(b[pos:])
		if n < 0 {
			return e, malformed(offset+pos, n)
		}
		pos += n
		var err error
		switch {
		case number == 1 && typ == f.key.wire:
			var key codec.Value
			key, n, err = f.key.scalar(b[pos:], offset+pos)
			if err == nil {
				e.key = keyName(key)
			}
		case number == 2 && typ == f.val.wire && f.val.message != nil:
			var body []byte
			body, _, n = f.val.body(b[pos:])
			if n >= 0 {
				err = whole(body, offset+pos) // several merge, as in part
			}
			if e.body == nil {
				e.body = body[:len(body):len(body)]
			} else {
				e.body, e.copied = append(e.body, body...), true
			}
		case number == 2 && typ == f.val.wire:
			e.value, n, err = f.val.scalar(b[pos:], offset+pos)
		default:
			n = protowire.ConsumeFieldValue(number, typ, b[pos:])
		}
		if err != nil {
			return e, err
		}
		if n < 0 {
			return e, malformed(offset+pos, n)
		}
		pos += n
	}
	return e, nil
}

func keyName(key codec.Value) string {
	switch key := key.(type) {
	case bool:
		return strconv.FormatBool(key)
	case int:
		return strconv.Itoa(key)
	case string:
		return key
	case interface{ String() string }: // *big.Int
		return key.String()
	}
	return ""
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
