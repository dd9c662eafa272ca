package stream

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// Lines is NDJSON as one payload: an array of what its lines say. It is for
// payloads that are to be turned into another format; an edited one is written
// anew.
type Lines struct{}

var _ codec.Codec = Lines{}

type linesOriginal struct {
	text []byte
	said []any
}

// Name returns "ndjson".
func (Lines) Name() string { return ndjson }

// Decode parses all lines.
func (Lines) Decode(text []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	said := []any{}
	split := NDJSON{}.Split(limits)
	if len(text) > sizeOf(limits) {
		return nil, nil, &codec.LimitError{Format: ndjson, Limit: "size", Max: int64(sizeOf(limits))}
	}
	for rest := text; len(rest) > 0; {
		n, line, err := split.Next(rest, true)
		if err != nil {
			return nil, nil, err
		}
		if line != nil {
			v, _, err := NDJSON{}.Decode(line, limits)
			if err != nil {
				return nil, nil, of(ndjson, len(text)-len(rest), err)
			}
			said = append(said, v)
		}
		rest = rest[n:]
	}
	return said, &linesOriginal{text, said}, nil
}

// Encode writes a line for each element of v, which is an array.
func (Lines) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	if o, ok := original.(*linesOriginal); ok && value.Equal(o.said, v) {
		return o.text, nil
	}
	elements, ok := v.([]any)
	if !ok {
		return nil, &codec.ExpressError{Format: ndjson, Path: ".", Msg: fmt.Sprintf("lines are an array, not %s", value.TypeName(v))}
	}
	var out []byte
	for i, e := range elements {
		line, err := NDJSON{}.Encode(nil, e)
		if err != nil {
			return nil, value.Within(value.Index(i), err)
		}
		out = append(out, line...)
	}
	return out, nil
}
