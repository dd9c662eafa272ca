package msgpack_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/msgpack"
)

var seeds = []string{
	"\xc0", "\x93\x01\xcc\x02\xd1\xff\x00", "\x82\xa1a\x01\xa1a\x02", "\x82\x01\xa1x\xa11\xa1y", "\x92\xca\x3f\xc0\x00\x00\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01",
	"\xc4\x02\x00\xff", "\x91\xd6\xff\x00\x00\x00\x01", "\xc7\x03\x05abc", "\x81\xa4$ext\x81\xa4data\xa0", "\xdf\x00\x00\x00\x01\xda\x00\x01k\xdd\x00\x00\x00\x02\xc2\xc3",
	"\x82\xa1a\x92\x81\xa1x\x01\x81\xa1x\xcd\x00\x02\xa1b\x80", "\xc1", "\x91\x91\x91\x90", "\x92\xa1\xff\xa1\xfe", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\x82\xc0\x01\xc2\x02",
}

// FuzzDecode compares with tinylib/msgp on what is well formed: it too takes
// any key for a value, and looks into no str.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := msgpack.Codec{}
		v, original, err := c.Decode(data, codec.Limits{})
		rest, oracle := msgp.Skip(data)
		wellFormed := oracle == nil && len(rest) == 0
		var syntax *codec.SyntaxError
		switch {
		case errors.Is(err, codec.ErrTooLarge):
			return
		case err == nil && !wellFormed:
			t.Fatalf("accepted %q: %v", data, oracle)
		case err != nil && (!errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data)):
			t.Fatalf("error is %#v", err)
		case err != nil && wellFormed && data[syntax.Offset] < 0xc1 && data[syntax.Offset] >= 0xa0:
			t.Fatalf("refused %q: %v", data, err)
		case err != nil:
			return
		}
		if err := codectest.Check(v); err != nil {
			t.Fatal(err)
		}
		for _, v := range []codec.Value{v, codectest.Copy(v)} {
			if out, err := c.Encode(original, v); err != nil || !bytes.Equal(out, data) {
				t.Fatalf("equal value wrote %q, %v, want %q", out, err, data)
			}
		}
		out, err := c.Encode(nil, v)
		if err != nil {
			t.Fatalf("%q from scratch: %v", data, err)
		}
		if again, _, err := c.Decode(out, codec.Limits{}); err != nil || !value.Equal(v, again) {
			t.Fatalf("%q from scratch is %q: %v, %v", data, out, again, err)
		}
	})
}

var programs = []string{
	".", "null", "[.]", "{a: ., b: 1}", ".a = 1", "del(.a)", "del(.[0])", ".a.b = [1,2]", ".[0] = {}", "reverse", "[.[]]", "map(.)", ". + .",
	"to_entries", "with_entries(.value |= [.])", "walk(if type == \"number\" then . + 1 else . end)", "walk(if type == \"object\" then del(.a) else . end)",
	"walk(if type == \"array\" then reverse else . end)", "[.[]?, .[]?]", "map_values(empty)", "[.. | scalars]", "[..]", "walk(.)",
	"with_entries(.key |= tostring + \"0\")", "walk(if type == \"string\" then . + \"AAAA\" else . end)", ".. |= (.data? = \"AA==\")? // .",
}

// FuzzEdit writes onto one document what a program makes of it, and a wholly
// different value, and reads both back.
func FuzzEdit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+3)%len(seeds)]), uint8(i*3))
	}
	f.Fuzz(func(t *testing.T, data, other []byte, program uint8) {
		c := msgpack.Codec{}
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
				if !errors.As(err, new(*codec.ExpressError)) {
					t.Fatalf("error is a %T", err)
				}
				continue
			}
			again, _, err := c.Decode(out, codec.Limits{Depth: 1000})
			if err != nil || !value.Equal(w, again) {
				t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", w, data, out, again, err)
			}
			if value.Equal(v, w) && !bytes.Equal(out, data) {
				t.Fatalf("equal value wrote %q, want %q", out, data)
			}
		}
	})
}

// FuzzLocality changes one element of an array of records and finds the bytes
// of all others where they were.
func FuzzLocality(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+5)%len(seeds)]), uint8(i), "new")
	}
	f.Fuzz(func(t *testing.T, one, two []byte, at uint8, text string) {
		c := msgpack.Codec{}
		parts := [][]byte{one, two, []byte("\x81\xa1k\xd9\x03old"), two, one}
		n := int(at) % 3
		data, want := []byte{0x95}, []byte{0x95}
		for i, part := range parts {
			if v, _, err := c.Decode(part, codec.Limits{Size: 512, Depth: 100}); err != nil || value.Equal(v, map[string]any{"k": text}) {
				return
			}
			data = append(data, part...)
			switch {
			case i != 2:
				want = append(want, part...)
			case n == 0:
				want = append(want, 0xc3)
			default:
				changed, err := c.Encode(mustDecode(t, part), map[string]any{"k": text})
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, changed...)
			}
		}
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		list := append([]any(nil), v.([]any)...)
		list[2] = map[string]any{"k": text}
		if n == 0 {
			list[2] = true
			if value.Equal(list[2], list[0]) || value.Equal(list[2], list[1]) {
				return // pairs with an equal one
			}
		}
		edited, err := c.Encode(original, list)
		if err != nil || !bytes.Equal(edited, want) {
			t.Fatalf("%q became %q, %v, want %q", data, edited, err, want)
		}
	})
}

func mustDecode(t *testing.T, data []byte) codec.Original {
	t.Helper()
	_, original, err := msgpack.Codec{}.Decode(data, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return original
}
