// Package msgpack is the MessagePack codec (msgpack.org's spec of 2013, with
// bin and ext): strict in, and out the bytes that came in with the difference
// written onto them. What an edit does not name keeps its very bytes: the order
// of maps, keys that occur twice, integers, lengths and counts in a wider form
// than they need.
//
// As jq sees it:
//   - nil, bool, arrays and str are what they are in JSON. A str's bytes that are
//     no UTF-8 read as U+FFFD and stay until the str is edited.
//   - An integer is an int, or a [*big.Int] above int64. A float, of 32 or 64
//     bits, is a float64, NaN and the infinities included.
//   - bin is a string, its base64 (standard alphabet, padded).
//   - ext is {"$ext": type, "data": base64}, timestamps (type -1) too: they hold
//     more than JSON's forms of a time. A map that came with these very members
//     is seen as the same, and stays a map.
//   - A key that is no str goes by its text: an integer's decimal digits, "nil"
//     as "null", "true", "false", a float as JSON spells it, a bin's base64.
//     A key that is an array, a map or an ext is an error. Where two keys of a
//     map read as the same, such as 1 and "1", the last counts and an edit of
//     that name replaces or deletes all of them, as with JSON's duplicates.
//
// As an edit writes it:
//   - What takes the place of a value keeps its form where it fits: an int its
//     width, a float its 32 bits if they are enough, a string the width of its
//     length. A string in place of a bin must be base64 and is a bin. Counts of
//     maps and arrays that change keep their width if it is enough.
//   - What is new is written as short as it can be: a number without fraction as
//     an integer unless it is spelled with one, another as 32 bits if no digit is
//     lost, a string as str, {"$ext", "data"} as ext if both members are as above.
//     A new key is a str, except that it is an integer where all other keys of
//     the map are integers and it is one in decimal digits.
package msgpack

import (
	"math"

	"github.com/sluice-proxy/sluice/codec"
)

const name = "msgpack"

// Codec is the MessagePack codec. The zero value is ready.
type Codec struct{}

var _ codec.Codec = Codec{}

// Name returns "msgpack".
func (Codec) Name() string { return name }

// Decode parses one value, which has to take all of data. Containers that
// would take over 32 bytes a byte of data, and 32 MiB, or over eight times what
// data may be long, are a [*codec.LimitError] of "items".
func (Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	limits.Size = min(limits.Size, math.MaxInt32) // as the index has places
	if int64(len(data)) > int64(limits.Size) {
		return nil, nil, &codec.LimitError{Format: name, Limit: "size", Max: int64(limits.Size)}
	}
	// One copy to a string lets every str be a part of it.
	d := decoder{text: string(data), depth: limits.Depth, maxDepth: limits.Depth}
	d.memory = memoryFor(len(data), limits.Size)
	d.most = d.memory
	v, err := d.document()
	if err != nil {
		return nil, nil, err
	}
	return v, &Original{data: data, text: d.text, value: v, ambiguous: d.ambiguous}, nil
}

// Encode writes v onto original, or from scratch if original is nil.
func (Codec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	o, ok := original.(*Original)
	if !ok || o == nil {
		var w writer
		if err := w.value(v); err != nil {
			return nil, err
		}
		return w.out, nil
	}
	return o.edit(v)
}

// Original is what Decode keeps: the bytes and what they read as.
type Original struct {
	data      []byte
	text      string // data once more, of which the value's strings are part
	value     codec.Value
	ambiguous bool
}

// Ambiguous reports whether some map has two keys that read as the same name,
// so that another reader may take the first where jq takes the last, or knows
// both. A rule that guards rather than edits should refuse such a payload.
func (o *Original) Ambiguous() bool { return o.ambiguous }
