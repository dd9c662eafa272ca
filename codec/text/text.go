// Package text is the codecs of payloads without structure: [Codec] reads a
// text as one string, [Binary] reads any bytes as their base64.
package text

import (
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

const name = "text"

// Codec reads UTF-8 as a string, all of it: a byte order mark and line ends
// are characters like others. The zero value is ready.
type Codec struct{}

var _ codec.Codec = Codec{}

// Name returns "text".
func (Codec) Name() string { return name }

// Decode returns data as a string; no bytes are the empty string. Invalid
// UTF-8 is a [*codec.SyntaxError], as jq would pass on other characters than
// those that came.
func (Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if err := withinSize(name, data, limits); err != nil {
		return nil, nil, err
	}
	s := string(data)
	if !utf8.ValidString(s) {
		return nil, nil, &codec.SyntaxError{Format: name, Offset: firstInvalid(s), Msg: "a text that is not UTF-8"}
	}
	return s, &original{data: data, value: s}, nil
}

// Encode writes v, which has to be a string; what is not UTF-8 in it becomes
// U+FFFD.
func (Codec) Encode(o codec.Original, v codec.Value) ([]byte, error) {
	s, err := stringOf(name, v)
	if err != nil {
		return nil, err
	}
	if data, ok := unchanged(o, s); ok {
		return data, nil
	}
	return toValid(s), nil
}

func toValid(s string) []byte {
	if utf8.ValidString(s) {
		return []byte(s)
	}
	return []byte(string([]rune(s)))
}

func firstInvalid(s string) int {
	for i, r := range s {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
			return i
		}
	}
	return len(s)
}

// original is what both codecs keep: the bytes and the string that they read as.
type original struct {
	data  []byte
	value string
}

func unchanged(o codec.Original, s string) ([]byte, bool) {
	was, ok := o.(*original)
	if !ok || was == nil || was.value != s {
		return nil, false
	}
	return was.data, true
}

func withinSize(format string, data []byte, limits codec.Limits) error {
	limits = limits.WithDefaults()
	if int64(len(data)) > int64(limits.Size) {
		return &codec.LimitError{Format: format, Limit: "size", Max: int64(limits.Size)}
	}
	return nil
}

func stringOf(format string, v codec.Value) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", &codec.ExpressError{Format: format, Path: ".", Msg: "found " + value.TypeName(v) + ", expected a string"}
	}
	return s, nil
}
