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
		v, _, err := codectest.Keeps(t, c, data)
		rest, oracle := msgp.Skip(data)
		wellFormed := oracle == nil && len(rest) == 0
		var syntax *codec.SyntaxError
		switch {
		case errors.Is(err, codec.ErrTooLarge):
			return
		case err == nil && !wellFormed:
			t.Fatalf("accepted %q: %v", data, oracle)
		case errors.As(err, &syntax) && wellFormed && data[syntax.Offset] < 0xc1 && data[syntax.Offset] >= 0xa0:
			t.Fatalf("refused %q: %v", data, err)
		case err != nil:
			return
		}
		codectest.ComesBack(t, c, v)
	})
}

func FuzzEdit(f *testing.F) {
	codectest.EditFuzz{
		Codec: msgpack.Codec{}, Seeds: seeds,
		Programs: []string{
			"with_entries(.key |= tostring + \"0\")", "walk(if type == \"string\" then . + \"AAAA\" else . end)", ".. |= (.data? = \"AA==\")? // .",
		},
		MayRefuse: func(_ codec.Value, err error) bool { return errors.As(err, new(*codec.ExpressError)) },
	}.Run(f)
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
