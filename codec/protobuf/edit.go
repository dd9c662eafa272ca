package protobuf

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// editor brings encoded messages from one value to another. What a value does
// not differ in is copied as bytes, and with it what no value shows: unknown
// fields, spellings of lengths and numbers, the order of fields.
type editor struct {
	edits  int
	pairer value.Pairer
	arena  []byte // where what is written stands one behind the other

	records []record // of the messages that are being edited, the innermost last
	firsts  []int32
}

// editors wait for the next edit with room for records.
var editors = sync.Pool{New: func() any { return new(editor) }}

// maxIdleRecords is what is kept for the next edit.
const maxIdleRecords = 1 << 10

// rest forgets the edit.
func (e *editor) rest() {
	if cap(e.records) > maxIdleRecords || cap(e.firsts) > maxIdleRecords {
		return
	}
	clear(e.records[:cap(e.records)])
	*e = editor{records: e.records[:0], firsts: e.firsts[:0]}
	editors.Put(e)
}

// since returns what the arena has from at on.
func (e *editor) since(at int) []byte { return e.arena[at:len(e.arena):len(e.arena)] }

// absent stands for the value of a message that was not there.
type absent struct{}

// message returns body, which was decoded as before, brought to after. It adds
// to e.edits if there was a difference. Body is nil if before is absent.
func (e *editor) message(m *message, body []byte, before, after codec.Value, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, inexpressible(fmt.Sprintf("nested deeper than %d", maxDepth))
	}
	toFields := fieldsOf
	if m.special != nil {
		if m.special.edit != nil {
			return m.special.edit(e, m, body, before, after, depth)
		}
		toFields = m.special.toFields
	}
	a, err := toFields(after)
	if err != nil {
		return nil, err
	}
	var b map[string]any
	if !isAbsent(before) {
		if b, err = toFields(before); err != nil {
			return nil, err
		}
	}
	return e.fields(m, body, b, a, depth)
}

func fieldsOf(v codec.Value) (map[string]any, error) {
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, inexpressible(withArticle(value.TypeName(v)) + " in place of a message")
	}
	return fields, nil
}

func (e *editor) fields(m *message, body []byte, before, after map[string]any, depth int) ([]byte, error) {
	if err := m.knows(after); err != nil {
		return nil, err
	}
	after, err := m.oneCase(before, after)
	if err != nil {
		return nil, err
	}
	p := draft{editor: e, message: m, body: body, depth: depth}
	defer p.close()
	for _, f := range m.fields {
		b, was := before[f.name]
		v, is := after[f.name]
		is = is && (v != nil || f.null)
		if f.required && !is && (was || before == nil) {
			return nil, value.Within(value.Key(f.name), inexpressible("a required field is missing"))
		}
		if !f.presence && !is {
			v, is = f.zero, true
		}
		if !f.presence && !was {
			b, was = f.zero, true
		}
		if !was && !is || was && is && value.Same(b, v) {
			continue
		}
		if !was {
			b = absent{}
		}
		if !is {
			p.drop(f)
		} else if err := p.field(f, b, v); err != nil {
			return nil, value.Within(value.Key(f.name), err)
		}
	}
	return p.write(), nil
}

// knows refuses names that m does not have: left alone they would vanish.
func (m *message) knows(fields map[string]any) error {
	var unknown []string
	for k := range fields {
		if m.byName[k] == nil {
			unknown = append(unknown, k)
		}
	}
	if unknown == nil {
		return nil
	}
	k := slices.Min(unknown)
	msg := m.name + " has no field of this name"
	for _, f := range m.fields {
		if f.jsonName == k {
			msg += "; did you mean " + f.name + "?"
		}
	}
	return value.Within(value.Key(k), inexpressible(msg))
}

// oneCase returns after with one case of each oneof at most. A case that the
// edit set takes the place of one that it left as it was.
func (m *message) oneCase(before, after map[string]any) (map[string]any, error) {
	cloned := false
	for _, cases := range m.oneofs {
		var set, changed []*field
		for _, f := range cases {
			v, ok := after[f.name]
			if !ok || v == nil && !f.null {
				continue
			}
			set = append(set, f)
			if b, ok := before[f.name]; !ok || !value.Equal(b, v) {
				changed = append(changed, f)
			}
		}
		if len(set) < 2 {
			continue
		}
		if len(changed) != 1 {
			return nil, value.Within(value.Key(set[1].name), inexpressible("set together with "+set[0].name+", of which a oneof holds one"))
		}
		if !cloned {
			after, cloned = maps.Clone(after), true
		}
		for _, f := range set {
			if f != changed[0] {
				delete(after, f.name)
			}
		}
	}
	return after, nil
}

// field brings f from before to after, which is not null unless f can be.
func (p *draft) field(f *field, before, after codec.Value) error {
	switch {
	case f.key != nil:
		return p.mapEntries(f, before.(map[string]any), after)
	case f.list:
		return p.list(f, before.([]any), after)
	case f.message != nil:
		return p.sub(f, before, after)
	}
	if !isAbsent(before) && value.Equal(before, after) {
		return nil
	}
	at := len(p.arena)
	p.arena = protowire.AppendTag(p.arena, f.number, f.wire)
	tag := len(p.arena)
	var err error
	if p.arena, err = f.appendScalar(p.arena, after); err != nil {
		return err
	}
	if !f.presence && allZero(p.arena[tag:]) {
		p.drop(f)
		return nil
	}
	p.put(f, p.since(at))
	return nil
}

// allZero reports whether b is the default: of a string it is the length.
func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (p *draft) sub(f *field, before, after codec.Value) error {
	var body []byte
	if !isAbsent(before) {
		for _, i := range p.live(f) {
			part, _, _ := f.body(p.body[p.records[i].value:])
			if body == nil {
				body = part[:len(part):len(part)]
			} else {
				body = append(body, part...) // parts of one message merge
			}
		}
	}
	edits := p.edits
	out, err := p.editor.message(f.message, body, before, after, p.depth+1)
	if err != nil {
		return err
	}
	if isAbsent(before) || p.edits > edits {
		p.put(f, p.wrap(f, out))
	}
	return nil
}

// wrap puts the tag and the length, or the end of the group, around a message.
func (e *editor) wrap(f *field, body []byte) []byte {
	at := len(e.arena)
	e.arena = protowire.AppendTag(e.arena, f.number, f.wire)
	if f.kind == protoreflect.GroupKind {
		e.arena = protowire.AppendGroup(e.arena, f.number, body)
	} else {
		e.arena = protowire.AppendBytes(e.arena, body)
	}
	return e.since(at)
}

func (p *draft) list(f *field, before []any, after codec.Value) error {
	elements, ok := after.([]any)
	if !ok {
		return inexpressible(withArticle(value.TypeName(after)) + " in a repeated field")
	}
	if len(before) == 0 && len(elements) == 0 {
		return nil
	}
	if f.message != nil {
		return p.messages(f, before, elements)
	}
	if value.Equal(before, elements) {
		return nil
	}
	if len(elements) == 0 {
		p.drop(f)
		return nil
	}
	packed := f.packed
	if places := p.places(f); len(places) > 0 {
		packed = f.packs(p.records[places[0]].typ)
	}
	at := len(p.arena)
	var err error
	for i, v := range elements {
		if !packed {
			p.arena = protowire.AppendTag(p.arena, f.number, f.wire)
		}
		if p.arena, err = f.appendScalar(p.arena, v); err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	b := p.since(at)
	if packed {
		at = len(p.arena)
		p.arena = protowire.AppendBytes(protowire.AppendTag(p.arena, f.number, protowire.BytesType), b)
	}
	p.put(f, p.since(at))
	return nil
}

func (p *draft) messages(f *field, before, after []any) error {
	places := p.places(f)
	var pairs []int // none: each with that in its place
	inPlace := value.Standing(before, after)
	if !inPlace {
		pairs = p.pairer.Pair(before, after)
		inPlace = value.InPlace(pairs, len(before))
	}
	var all []byte
	for i, v := range after {
		j := i
		if pairs != nil {
			j = pairs[i]
		}
		if inPlace && value.Same(before[j], v) {
			continue
		}
		b, changed, err := p.element(f, places, j, before, v)
		if err != nil {
			return value.Within(value.Index(i), err)
		}
		switch {
		case !inPlace:
			all = append(all, b...)
		case changed:
			p.replace(places[j], b)
		}
	}
	if !inPlace {
		p.put(f, all)
	}
	return nil
}

// element returns the record of v, which pairs with element j of before if j is
// not negative.
func (p *draft) element(f *field, places []int, j int, before []any, v codec.Value) (b []byte, changed bool, err error) {
	if v == nil && !f.null {
		return nil, false, inexpressible("null in a repeated field")
	}
	var body []byte
	var was codec.Value = absent{}
	var r record
	if j >= 0 {
		r, was = p.records[places[j]], before[j]
		body, _, _ = f.body(p.body[r.value:])
	}
	edits := p.edits
	out, err := p.editor.message(f.message, body, was, v, p.depth+1)
	if err != nil {
		return nil, false, err
	}
	if j >= 0 && p.edits == edits {
		return p.body[r.start:r.end], false, nil
	}
	return p.wrap(f, out), true, nil
}

func isAbsent(v codec.Value) bool {
	_, ok := v.(absent)
	return ok
}
