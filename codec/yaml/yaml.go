// Package yaml is the YAML codec: one document in, and out the bytes that came
// in with the difference written onto them. go.yaml.in/yaml/v4 parses; places,
// types of scalars and edits are this package's own.
//
// As jq sees it:
//   - Scalars are of the core schema of YAML 1.2: yes, on, 1_000, 0b1, 12:30 and
//     dates are strings, 010 is ten, 0o10 is eight. Numbers are exact, as in
//     package codec/json: a [json.Number] keeps its spelling, as far as JSON has it.
//   - Of the tags only str, int, float, bool and null of tag:yaml.org,2002 have a
//     meaning; a scalar of another tag is its text.
//   - A key is its text, null being "null". Collections as keys are an error, and
//     so are two keys of a mapping that are the same text.
//   - An alias is what its anchor is. What aliases repeat may take 4 times as much
//     as the text, and 64 KiB (a [*codec.LimitError] of "copies"). A merge key (<<)
//     has done its work: the members are there. They and the order in which they
//     win are those of YAML 1.1, which most readers still know.
//   - A stream without a document is null; with two it is an error. A %YAML
//     directive may say any version 1.
//
// As an edit writes it:
//   - A scalar is replaced by one of its style if that can hold it, else by one in
//     double quotes. Its anchor stays, and its tag if it was a string and is one.
//     What YAML 1.1 or 1.2 would not read as a string is quoted.
//   - A member of a block that is removed takes its lines with it, an element also
//     the comments above it. A new one follows the last, at its indentation.
//     Elements that change places take their lines and comments along.
//   - In flow collections a member is removed with its comma and the comments up to
//     the next, and added after the last. If none stays, or elements change places,
//     the collection is written anew from bracket to bracket, with the elements as
//     they are; comments between them are lost.
//   - A value in place of an alias is written out there, and the anchor is left
//     alone. Where the anchor's own value changes, aliases to it are written out.
//   - A mapping whose merged members are removed or would change is written anew.
//   - What was written is read again. If it is not what was meant, which takes odd
//     layouts, the document is written anew between its first and last byte.
package yaml

import (
	"bytes"
	"math"

	yaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

const (
	name = "yaml"
	bom  = "\ufeff"
)

// Codec is the YAML codec. The zero value is ready.
type Codec struct{}

var _ codec.Codec = Codec{}

// Name returns "yaml".
func (Codec) Name() string { return name }

// Decode parses a stream of one document, in UTF-8.
func (Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	limits.Size = min(limits.Size, math.MaxInt32)
	if int64(len(data)) > int64(limits.Size) {
		return nil, nil, &codec.LimitError{Format: name, Limit: "size", Max: int64(limits.Size)}
	}
	root, err := parse(data, limits)
	if err != nil {
		return nil, nil, err
	}
	v, err := load(data, root, limits)
	if err != nil {
		return nil, nil, err
	}
	return v, &Original{data: data, root: root, value: v, limits: limits}, nil
}

// Encode writes v onto original, or from scratch, as blocks, if original is
// nil.
func (Codec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	o, ok := original.(*Original)
	if ok && o != nil {
		return o.edit(v)
	}
	w := writer{newline: "\n"}
	if err := w.document(v); err != nil {
		return nil, err
	}
	return w.out, nil
}

// Original is what Decode keeps: the text, its nodes and what they read as.
type Original struct {
	data   []byte
	root   *yaml.Node // nil if there is no document
	value  codec.Value
	limits codec.Limits
}

func (o *Original) edit(v codec.Value) ([]byte, error) {
	if value.Equal(o.value, v) {
		return o.data, nil
	}
	out, err := o.difference(v)
	if err != nil || o.reads(out, v) {
		return out, err
	}
	if out, err = o.anew(v); err != nil || o.reads(out, v) {
		return out, err
	}
	w := writer{newline: "\n"}
	err = w.document(v)
	return w.out, err
}

// reads reports whether out reads as v.
func (o *Original) reads(out []byte, v codec.Value) bool {
	if bytes.Equal(out, o.data) {
		return value.Equal(o.value, v)
	}
	limits := codec.Limits{Size: math.MaxInt32, Depth: o.limits.Depth + maxDeeper}
	again, _, err := Codec{}.Decode(out, limits)
	return err == nil && value.Equal(again, v)
}

// maxDeeper is how many levels an edit may add and still be a difference.
const maxDeeper = 64

// newline is how the text's lines end.
func (o *Original) newline() string {
	if i := bytes.IndexByte(o.data, '\n'); i > 0 && o.data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}
