package protobuf

import (
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
)

func (d *decoder) packed(o *open, f *field, b []byte, offset int) error {
	list := o.lists[f.slot]
	if list == nil {
		list = make([]any, 0, f.elements(b))
	}
	for len(b) > 0 {
		v, n, err := f.scalar(d, b, offset)
		if err != nil {
			return err
		}
		list = append(list, v)
		b, offset = b[n:], offset+n
	}
	o.lists[f.slot] = list
	return nil
}

// elements is how many are packed in b, if it is not malformed.
func (f *field) elements(b []byte) int {
	switch f.wire {
	case protowire.Fixed32Type:
		return len(b) / 4
	case protowire.Fixed64Type:
		return len(b) / 8
	}
	count := 0
	for _, c := range b {
		if c < 0x80 {
			count++
		}
	}
	return count
}

// scalar reads one element of f that is no message, for d if that is not nil.
func (f *field) scalar(d *decoder, b []byte, offset int) (codec.Value, int, error) {
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
	return d.string(s, offset+n-len(s)), n, nil
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
	e, err := f.readEntry(d, body, offset+n-len(body))
	if err != nil {
		return 0, err
	}
	if f.val.message != nil {
		if e.copied {
			if err := d.copying(len(e.body)); err != nil {
				return 0, err
			}
			e.value, err = d.copied(f.val.message, e.body, e.offset, depth+1)
		} else {
			e.value, err = d.message(f.val.message, e.body, e.offset, depth+1)
		}
		if err != nil {
			return 0, err
		}
	}
	entries, ok := o.fields[f.name].(map[string]any)
	if !ok {
		entries = make(map[string]any)
		o.put(f, entries)
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
	offset int // of body
	copied bool
}

func (f *field) readEntry(d *decoder, b []byte, offset int) (entry, error) {
	e := entry{key: keyName(f.key.zeroElement()), value: nil, offset: offset}
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
			key, n, err = f.key.scalar(d, b[pos:], offset+pos)
			if err == nil {
				e.key = keyName(key)
			}
		case number == 2 && typ == f.val.wire && f.val.message != nil:
			var body []byte
			var start int
			body, start, n = f.val.body(b[pos:])
			if n >= 0 {
				err = whole(body, offset+pos) // several merge, as in part
			}
			if e.body == nil {
				e.body, e.offset = body[:len(body):len(body)], offset+pos+start
			} else {
				e.body, e.copied = append(e.body, body...), true
			}
		case number == 2 && typ == f.val.wire:
			e.value, n, err = f.val.scalar(d, b[pos:], offset+pos)
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
