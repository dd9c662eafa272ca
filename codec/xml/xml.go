// Package xml is the XML codec: strict XML 1.0 with Namespaces in, and out the
// bytes that came in with the difference written onto them.
//
// A document reads as an object with one key, its root element:
//
//	<order id="7"><item>pen</item><item>ink</item>paid</order>
//	{"order": {"@id": "7", "item": ["pen", "ink"], "#text": "paid"}}
//
// What is decided where that leaves room:
//   - An element with neither attributes nor children is a string, "" if it is
//     empty. Every value read is a string. Elements and attributes are named as
//     they are written, with their prefix, and namespace declarations are
//     attributes: prefixes are not resolved.
//   - Children of one name are an array if there are two or more, or if
//     [Codec.Arrays] names them. How children of different names follow one
//     another is kept, but jq does not see it.
//   - The "#text" of an element with children is that of its runs: what stands
//     between two tags of children, or between one and the element's own, without
//     comments and processing instructions. A run of white space alone, written
//     as itself, is layout and no data; the others are joined, exactly as they
//     are. In an element without children all text is data. Where there is no
//     text there is no "#text".
//   - CDATA is text. Line ends read as \n, white space in attributes as spaces.
//   - A DOCTYPE, and with it every entity of a document's own, is an error, and so
//     is any encoding but UTF-8. A byte order mark is kept.
//   - Names are those of XML 1.0's fifth edition with one colon at most.
//
// And on the way out:
//   - null, {} and "" are the empty element, the empty attribute and no text; an
//     empty array is no element; an array of one is its element. What is written
//     so where it was so is no edit.
//   - Numbers and booleans are written as JSON spells them; NaN and the infinities
//     cannot be. A number that equals the one that the text before spells, 1.1 where
//     1.10 was, is no edit.
//   - A changed attribute keeps its quotes, a changed text its CDATA section unless
//     that cannot hold it. Of a text in pieces, with comments or CDATA between
//     them, only those pieces change that lie between the common beginning and the
//     common end of the text before and after. Where that is more than one run, so
//     that nobody knows which part belongs before which child, the edit cannot be
//     expressed; deleting all text can.
//   - A deleted child goes with the white space before it, and with the last child
//     all layout; comments stay. A new child stands behind the others of its name,
//     or else at the end, indented as the one before it.
//   - An element that jq moved as it was, into an envelope or under another name,
//     keeps its bytes; if it now stands in two places, the copies are without
//     comments and processing instructions.
//   - What is new is written without white space, its attributes and children
//     sorted, text first.
package xml

import (
	"math"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

const (
	name     = "xml"
	textKey  = "#text"
	maxDepth = 128 // elements in one another
)

// Codec is the XML codec. The zero value is ready, and reads an array only
// where an element is repeated. It is not comparable.
type Codec struct {
	// Arrays are paths of elements that are arrays even where they occur once,
	// by the elements' names from the root on: "order.items.item". A name that
	// contains a dot is written as it is.
	Arrays []string
}

var _ codec.Codec = Codec{}

// Name returns "xml".
func (Codec) Name() string { return name }

// Decode parses one document. An empty payload is an error. Elements nest 128
// deep at most, whatever the limits, and their values take twelve times at most what a
// document may be long.
func (c Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	limits.Size = min(limits.Size, math.MaxInt32) // as the index has places
	if int64(len(data)) > int64(limits.Size) {
		return nil, nil, &codec.LimitError{Format: name, Limit: "size", Max: int64(limits.Size)}
	}
	// One copy to a string lets every name and plain text be a part of it.
	d := decoder{text: string(data), max: min(limits.Depth, maxDepth), arrays: pathsOf(c.Arrays)}
	d.memory = memoryRatio * int(max(limits.Size, 8*codec.MiB))
	root, v, err := d.document()
	if err != nil {
		return nil, nil, err
	}
	o := map[string]any{root: v}
	return o, &Original{data: data, text: d.text, value: o, root: root, elements: d.elements}, nil
}

// Encode writes v onto original, or from scratch if original is nil. A document
// written from scratch has no declaration.
func (Codec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	o, ok := original.(*Original)
	if ok && o != nil {
		return o.edit(v)
	}
	root, v, err := rootOf(v)
	if err != nil {
		return nil, err
	}
	var w writer
	if err := w.element(root.name, v); err != nil {
		return nil, root.within(err)
	}
	return w.out, nil
}

// Original is what Decode keeps: the document and what it read as.
type Original struct {
	data     []byte
	text     string // data again
	value    map[string]any
	root     string
	elements int // how many there are
}

// step is the way from an object into one of its elements.
type step struct {
	name  string
	index int // in an array of them, else -1
}

// within puts s before the path of err.
func (s step) within(err error) error {
	if err != nil && s.index >= 0 {
		err = value.Within(value.Index(s.index), err)
	}
	return value.Within(value.Key(s.name), err)
}

// rootOf returns the one element of a document v.
func rootOf(v codec.Value) (step, codec.Value, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return step{}, nil, inexpressible("a document is an object with one key, its root element, not " + article(v))
	}
	if len(o) != 1 {
		return step{}, nil, inexpressible("a document has one root element, and so the object one key")
	}
	var root step
	for k, v := range o {
		root = step{k, -1}
		if a, ok := v.([]any); ok {
			if len(a) != 1 {
				return step{}, nil, root.within(inexpressible("a document has one root element"))
			}
			return step{k, 0}, a[0], nil
		}
	}
	return root, o[root.name], nil
}

func inexpressible(msg string) error {
	return &codec.ExpressError{Format: name, Path: ".", Msg: msg}
}

// article is the type of v as it is named in a sentence.
func article(v codec.Value) string {
	switch t := value.TypeName(v); t {
	case "null":
		return t
	case "array", "object":
		return "an " + t
	default:
		return "a " + t
	}
}
