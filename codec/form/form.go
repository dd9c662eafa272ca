// Package form holds the codecs of what HTML forms send: pairs of names and
// values in application/x-www-form-urlencoded (WHATWG URL standard), and parts
// in multipart/form-data (RFC 7578, RFC 2046).
//
// As jq sees it either is an object. A name that occurs once is a string, one
// that occurs more often is an array. In edits:
//   - What is edited is written anew, all else keeps its place and its spelling.
//   - null is an empty value; numbers and booleans are written as text, and
//     change nothing where they read the same.
//   - An empty array is no value, as if the name was deleted. An array of one
//     reads again as what is in it.
//   - New names follow the old ones, sorted. A new value of a name that is there
//     follows the value before it.
package form

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/json"
)

const urlencoded = "form"

// Codec is the codec of application/x-www-form-urlencoded. The zero value is
// ready. What is decided where the standard is lenient:
//   - Only & separates pairs; ; is a part of names and values.
//   - A pair without = has an empty value. Nothing between two & is no pair.
//   - A percent sign without two hexadecimal digits is an error, and so is what
//     is not UTF-8: services differ in what they make of them.
//
// New text is escaped as the standard says, with + for a space unless the form
// itself has spaces as %20 alone.
type Codec struct{}

var _ codec.Codec = Codec{}

// Name returns "form".
func (Codec) Name() string { return urlencoded }

// Original is what Decode keeps: the text and what it read as.
type Original struct {
	data  []byte
	value map[string]any
}

// Decode parses a form. An empty one is an empty object.
func (Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if err := checkSize(urlencoded, data, limits); err != nil {
		return nil, nil, err
	}
	text := string(data)
	var values repeated
	left := maxPairs(limits)
	for start := 0; start < len(text); {
		pair, _, _ := strings.Cut(text[start:], "&")
		if pair != "" {
			if left--; left < 0 {
				return nil, nil, &codec.LimitError{Format: urlencoded, Limit: "fields", Max: maxPairs(limits)}
			}
			name, v, _ := strings.Cut(pair, "=")
			key, err := unescape(name, start)
			if err != nil {
				return nil, nil, err
			}
			if v, err = unescape(v, start+min(len(name)+1, len(pair))); err != nil {
				return nil, nil, err
			}
			values.add(key, v)
		}
		start += len(pair) + 1
	}
	o := &Original{data, values.object()}
	return o.value, o, nil
}

// maxPairs is how many pairs a form may have: a value takes up to 200 bytes, of two that
// are read.
func maxPairs(limits codec.Limits) int64 {
	return int64(max(limits.WithDefaults().Size, 8*codec.MiB)) / 16
}

func checkSize(format string, data []byte, limits codec.Limits) error {
	most := min(limits.WithDefaults().Size, math.MaxInt32)
	if int64(len(data)) > int64(most) {
		return &codec.LimitError{Format: format, Limit: "size", Max: int64(most)}
	}
	return nil
}

// unescape reads text, which is at offset.
func unescape(text string, offset int) (string, error) {
	out := text
	if strings.ContainsAny(text, "%+") {
		b := make([]byte, 0, len(text))
		for i := 0; i < len(text); i++ {
			switch c := text[i]; c {
			case '+':
				b = append(b, ' ')
			case '%':
				high, low := hexAt(text, i+1), hexAt(text, i+2)
				if high < 0 || low < 0 {
					return "", &codec.SyntaxError{Format: urlencoded, Offset: offset + i, Msg: "found '%', expected two hexadecimal digits after it"}
				}
				b = append(b, byte(high<<4|low))
				i += 2
			default:
				b = append(b, c)
			}
		}
		out = string(b)
	}
	if !utf8.ValidString(out) {
		return "", &codec.SyntaxError{Format: urlencoded, Offset: offset, Msg: "text that is not UTF-8"}
	}
	return out, nil
}

func hexAt(text string, i int) int {
	if i >= len(text) {
		return -1
	}
	switch c := text[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendEscaped is the serializer of the standard, but for what a space becomes.
func appendEscaped(out []byte, text, space string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ':
			out = append(out, space...)
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("*-._", c) >= 0:
			out = append(out, c)
		default:
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return out
}

// Encode writes v onto original, or from scratch if original is nil.
func (Codec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	after, err := object(urlencoded, v)
	if err != nil {
		return nil, err
	}
	o, ok := original.(*Original)
	if !ok || o == nil {
		o = &Original{}
	}
	if o.data != nil && value.Equal(o.value, after) {
		return o.data, nil
	}
	return o.edit(after)
}

func (o *Original) edit(after map[string]any) ([]byte, error) {
	pairs := split(o.data)
	names, none := make([]string, len(pairs)), make([]bool, len(pairs))
	for i, p := range pairs {
		names[i], none[i] = o.name(p), p.start == p.end
	}
	w := pairWriter{original: o, space: "+"}
	if bytes.Contains(o.data, []byte("%20")) && bytes.IndexByte(o.data, '+') < 0 {
		w.space = "%20"
	}
	l := place(names, none, o.value, after)
	for i, p := range pairs {
		if l.kept[i] || none[i] {
			w.keep(p)
			continue
		}
		for _, piece := range l.slots[i] {
			if err := w.edited(pairs[piece.like], piece); err != nil {
				return nil, piece.within(names[i], err)
			}
		}
	}
	for _, added := range l.added {
		name := appendEscaped(nil, added.name, w.space)
		for _, piece := range added.pieces {
			if err := w.pair(name, piece.value); err != nil {
				return nil, piece.within(added.name, err)
			}
		}
	}
	if len(l.added) == 0 && bytes.HasSuffix(o.data, []byte{'&'}) {
		w.separate()
	}
	return w.out, nil
}

// pair is the place of a pair, or of nothing between two separators.
type pair struct{ start, end int32 }

// split finds all pairs. After a separator at the end there is none.
func split(data []byte) []pair {
	pairs := make([]pair, 0, bytes.Count(data, []byte{'&'})+1)
	for start := 0; start < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[start:], '&'); i >= 0 {
			end = start + i
		}
		pairs = append(pairs, pair{int32(start), int32(end)})
		start = end + 1
	}
	return pairs
}

func (o *Original) name(p pair) string {
	name, _, _ := bytes.Cut(o.data[p.start:p.end], []byte{'='})
	text, _ := unescape(string(name), 0) // Decode accepted it
	return text
}

// pairWriter writes pairs.
type pairWriter struct {
	original *Original
	out      []byte
	pairs    int
	space    string
}

func (w *pairWriter) separate() {
	if w.pairs++; w.pairs > 1 {
		w.out = append(w.out, '&')
	}
}

func (w *pairWriter) keep(p pair) {
	w.separate()
	w.out = append(w.out, w.original.data[p.start:p.end]...)
}

// edited writes what is in the place of a pair in the way of the pair like, or
// as that was if it says the same.
func (w *pairWriter) edited(like pair, p piece) error {
	name, v, _ := bytes.Cut(w.original.data[like.start:like.end], []byte{'='})
	if p.from >= 0 {
		said, err := textOf(urlencoded, p.value)
		if err != nil {
			return err
		}
		if was, _ := unescape(string(v), 0); was == said {
			w.keep(like)
			return nil
		}
	}
	return w.pair(name, p.value)
}

// pair writes a pair with its name spelled as it is.
func (w *pairWriter) pair(name []byte, v codec.Value) error {
	said, err := textOf(urlencoded, v)
	if err != nil {
		return err
	}
	w.separate()
	w.out = append(append(w.out, name...), '=')
	w.out = appendEscaped(w.out, said, w.space)
	return nil
}

func object(format string, v codec.Value) (map[string]any, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, inexpressible(format, "a form is an object, and "+value.TypeName(v)+" is none")
	}
	return o, nil
}

// textOf is what v says as a value.
func textOf(format string, v codec.Value) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return strings.ToValidUTF8(v, "\ufffd"), nil
	case bool:
		return map[bool]string{true: "true", false: "false"}[v], nil
	}
	if !value.IsNumber(v) {
		return "", inexpressible(format, "a value is text, and "+value.TypeName(v)+" is none")
	}
	text, err := json.Codec{}.Encode(nil, v) // spells numbers
	if err != nil {
		return "", inexpressible(format, "a number that has no text")
	}
	return string(text), nil
}

func inexpressible(format, msg string) error {
	return &codec.ExpressError{Format: format, Path: ".", Msg: msg}
}
