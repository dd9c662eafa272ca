package protobuf

import (
	"math/big"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// mapEntries brings the map f from before to after. Entries pair by key, new
// ones follow the last.
func (p *draft) mapEntries(f *field, before map[string]any, after codec.Value) error {
	entries, ok := after.(map[string]any)
	if !ok {
		return inexpressible(withArticle(value.TypeName(after)) + " in a map")
	}
	places := p.places(f)
	last := make(map[string]int, len(places)) // of entries with one key the last counts
	keys := make([]string, len(places))
	for i, place := range places {
		body, _ := protowire.ConsumeBytes(p.body[p.records[place].value:])
		e, _ := f.readEntry(nil, body, 0) // Decode read it
		keys[i], last[e.key] = e.key, place
	}
	changed := make(map[string]bool)
	for i := range slices.Backward(places) {
		key, place := keys[i], places[i]
		v, is := entries[key]
		switch {
		case !is || v == nil && !f.val.null || place != last[key] && changed[key]:
			p.edits++
			p.replace(place, nil)
		case place == last[key] && !value.Same(before[key], v):
			b, err := p.entry(f, place, before[key], v)
			if err != nil {
				return value.Within(value.Key(key), err)
			}
			if b != nil {
				changed[key] = true
				p.edits++
				p.replace(place, b)
			}
		}
	}
	added, err := p.newEntries(f, before, entries)
	if err != nil || added == nil {
		return err
	}
	p.edits++
	if len(places) == 0 {
		p.tail = append(p.tail, added...)
		return nil
	}
	place := places[len(places)-1]
	r := p.records[place]
	b, ok := p.replacement(place)
	if !ok {
		b = p.body[r.start:r.end:r.end]
	}
	p.replace(place, append(b, added...))
	return nil
}

// entry returns the record at place with v in place of before, nil if they are
// equal.
func (p *draft) entry(f *field, place int, before, v codec.Value) ([]byte, error) {
	body, _ := protowire.ConsumeBytes(p.body[p.records[place].value:])
	var element []byte
	if f.val.message == nil {
		if value.Equal(before, v) {
			return nil, nil
		}
		b, err := f.val.appendScalar(nil, v)
		if err != nil {
			return nil, err
		}
		element = append(protowire.AppendTag(nil, f.val.number, f.val.wire), b...)
	} else {
		e, _ := f.readEntry(nil, body, 0)
		edits := p.edits
		b, err := p.editor.message(f.val.message, e.body, before, v, p.depth+1)
		if err != nil {
			return nil, err
		}
		if p.edits == edits {
			return nil, nil
		}
		element = p.wrap(f.val, b)
	}
	// The key and what is unknown stay, the value goes last.
	var kept []byte
	for pos := 0; pos < len(body); {
		number, typ, n := protowire.ConsumeTag(body[pos:])
		n += protowire.ConsumeFieldValue(number, typ, body[pos+n:])
		if number != f.val.number || typ != f.val.wire {
			kept = append(kept, body[pos:pos+n]...)
		}
		pos += n
	}
	return p.wrap(f, append(kept, element...)), nil
}

func (p *draft) newEntries(f *field, before, after map[string]any) ([]byte, error) {
	var out []byte
	for _, key := range value.NewKeys(before, after) {
		v := after[key]
		if v == nil && !f.val.null {
			continue
		}
		body, err := f.key.appendKey(key)
		if err != nil {
			return nil, value.Within(value.Key(key), err)
		}
		if f.val.message != nil {
			var b []byte
			b, err = p.editor.message(f.val.message, nil, absent{}, v, p.depth+1)
			body = append(body, p.wrap(f.val, b)...)
		} else {
			body = protowire.AppendTag(body, f.val.number, f.val.wire)
			body, err = f.val.appendScalar(body, v)
		}
		if err != nil {
			return nil, value.Within(value.Key(key), err)
		}
		out = append(out, p.wrap(f, body)...)
	}
	return out, nil
}

// appendKey returns the key field f for a member's name. Only the usual
// spelling of a number is taken: 01 and 1 would be one key.
func (f *field) appendKey(key string) ([]byte, error) {
	var v codec.Value = key
	switch f.kind {
	case protoreflect.StringKind:
	case protoreflect.BoolKind:
		if key != "true" && key != "false" {
			return nil, inexpressible("a key that is neither true nor false")
		}
		v = key == "true"
	default:
		n, ok := new(big.Int).SetString(key[:min(len(key), 21)], 10)
		if !ok || n.String() != key {
			return nil, inexpressible("a key that is no " + f.kind.String())
		}
		v = n
	}
	return f.appendScalar(protowire.AppendTag(nil, f.number, f.wire), v)
}
