package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/json"
)

var seeds = []string{
	`null`, ` [1, -0, 1.10, 1e400, 12345678901234567890] `, `{"a":1,"a":2,"b":{"c":[true,false]}}`,
	"\ufeff{}", `"\ud83d\ude00\ud800\u0041\/"`, `01`, `[1,]`, `{"a" : [ {"x":1} , {"x":2} ] , "b" : "c" }`, "[[[[]]]]", `{"":{}}`, "\"\xff\"",
}

// FuzzDecode compares with encoding/json, which accepts invalid UTF-8 and
// knows no byte order mark.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, original, err := json.Codec{}.Decode(data, codec.Limits{})
		plain := bytes.TrimPrefix(data, []byte("\ufeff"))
		var syntax *codec.SyntaxError
		switch {
		case errors.Is(err, codec.ErrTooLarge):
			return
		case err == nil && !stdjson.Valid(plain):
			t.Fatalf("accepted %q", data)
		case err != nil && stdjson.Valid(plain) && utf8.Valid(data):
			t.Fatalf("refused %q: %v", data, err)
		case err != nil && !errors.As(err, &syntax):
			t.Fatalf("error is a %T", err)
		case err != nil && (syntax.Offset < 0 || syntax.Offset > len(data)):
			t.Fatalf("offset %d of %d", syntax.Offset, len(data))
		case err != nil:
			return
		}
		if err := codectest.Check(got); err != nil {
			t.Fatal(err)
		}
		if want := reference(t, plain); !value.Equal(got, want) {
			t.Fatalf("%q reads as %#v, want %#v", data, got, want)
		}
		for _, v := range []codec.Value{got, codectest.Copy(got)} {
			if out, err := (json.Codec{}).Encode(original, v); err != nil || !bytes.Equal(out, data) {
				t.Fatalf("equal value wrote %q, %v, want %q", out, err, data)
			}
		}
		compact := json.AppendCompact(nil, got)
		if again := reference(t, compact); !value.Equal(got, again) {
			t.Fatalf("%q from scratch is %q", data, compact)
		}
	})
}

func reference(t *testing.T, data []byte) any {
	d := stdjson.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", data, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("encoding/json found more in %q", data)
	}
	return v
}

var programs = []string{
	".", "null", "[.]", "{a: ., b: 1}", ".a = 1", "del(.a)", "del(.[0])", ".a.b = [1,2]", ".[0] = {}", "reverse", "[.[]]", "map(.)", ". + .",
	"to_entries", "with_entries(.value |= [.])", "walk(if type == \"number\" then . + 1 else . end)", "walk(if type == \"object\" then del(.a) else . end)",
	"walk(if type == \"array\" then reverse else . end)", "[.[]?, .[]?]", "map_values(empty)", "[.. | scalars]", "[..]", "walk(.)",
}

// readsAs reports whether a value was read back as it was written. A float
// beyond 2^53 is written with no more digits than tell it from other floats, as
// jq writes it, and is read as that integer.
func readsAs(written, read any) bool {
	switch w := written.(type) {
	case float64:
		return value.IsNumber(read) && value.Float(read) == w || value.Equal(w, read)
	case []any:
		r, ok := read.([]any)
		return ok && slices.EqualFunc(w, r, readsAs)
	case map[string]any:
		r, ok := read.(map[string]any)
		return ok && maps.EqualFunc(w, r, readsAs)
	}
	return value.Equal(written, read)
}

// FuzzEdit writes onto one text what a program makes of it, and a wholly
// different value, and reads both back.
func FuzzEdit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+3)%len(seeds)]), uint8(i*3))
	}
	f.Fuzz(func(t *testing.T, data, other []byte, program uint8) {
		c := json.Codec{}
		v, original, err := c.Decode(data, codec.Limits{Size: 4096})
		if err != nil {
			return
		}
		results := make([]codec.Value, 0, 2)
		if w, _, err := c.Decode(other, codec.Limits{}); err == nil {
			results = append(results, w)
		}
		if w, err := codectest.JQ(programs[int(program)%len(programs)], v); err == nil {
			results = append(results, w)
		}
		for _, w := range results {
			out, err := c.Encode(original, w)
			if err != nil {
				if compact := json.AppendCompact(nil, w); !value.Equal(w, reference(t, compact)) {
					continue // NaN or an infinity
				}
				t.Fatalf("Encode of %#v onto %q: %v", w, data, err)
			}
			again, _, err := c.Decode(out, codec.Limits{Depth: 1000})
			if err != nil || !readsAs(w, again) {
				t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", w, data, out, again, err)
			}
			if value.Equal(v, w) && !bytes.Equal(out, data) {
				t.Fatalf("equal value wrote %q, want %q", out, data)
			}
		}
	})
}
