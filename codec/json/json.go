// Package json is the JSON codec: strict RFC 8259 in, and out the bytes that
// came in with the difference written onto them.
//
// What is decided where the RFC leaves room:
//   - A number is an int if it is spelled as one and fits, a [*big.Int] if it is
//     a longer integer, and else a [json.Number]: gojq computes with that as with
//     a float64, but passes it on with its spelling if nobody computes, so 1.10,
//     1e400 and -0 survive even where a rule moves them. A float64 would turn them
//     into 1.1, infinity and 0. A number of over 4096 characters is over a limit:
//     converting it would cost the square of its length.
//   - Of members with the same name the last counts, as in jq. An edit of that
//     name replaces or deletes all of them. The Original says that there are such.
//   - A lone surrogate reads as U+FFFD and keeps its spelling until it is edited.
//   - Invalid UTF-8 is an error; a byte order mark at the start is kept.
//   - Values may take twelve times what a text may be long: 96 MiB by default. A
//     text of millions of tiny values is over that limit, of "items".
package json

import (
	"math"

	"github.com/sluice-proxy/sluice/codec"
)

const name = "json"

// Codec is the JSON codec. The zero value is ready.
type Codec struct{}

var _ codec.Codec = Codec{}

// Name returns "json".
func (Codec) Name() string { return name }

// Decode parses one JSON text. An empty payload is an error, as in the RFC.
func (Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	limits.Size = min(limits.Size, math.MaxInt32) // as the index has places
	if int64(len(data)) > int64(limits.Size) {
		return nil, nil, &codec.LimitError{Format: name, Limit: "size", Max: int64(limits.Size)}
	}
	// One copy to a string lets every key and plain string be a part of it.
	d := decoders.Get().(*decoder)
	defer d.rest()
	d.text, d.data, d.depth, d.memory = string(data), data, limits.Depth, memoryFor(limits.Size)
	v, err := d.document()
	if err != nil {
		return nil, nil, err
	}
	return v, &Original{data: data, text: d.text, value: v, ambiguous: d.duplicate}, nil
}

// Encode writes v onto original, or from scratch if original is nil.
func (Codec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	o, ok := original.(*Original)
	if !ok || o == nil {
		w := writer{strict: true}
		if err := w.value(v); err != nil {
			return nil, err
		}
		return w.out, nil
	}
	return o.edit(v)
}

// Original is what Decode keeps: the text and what it read as.
type Original struct {
	data      []byte
	text      string // data again, of which names are made; it may be empty
	value     codec.Value
	ambiguous bool
}

// Ambiguous reports whether some object has two members of one name, so that
// another reader may take the first where jq takes the last. A rule that guards
// rather than edits should refuse such a payload.
func (o *Original) Ambiguous() bool { return o.ambiguous }
