package codectest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// Keeps decodes any data at all. If the codec accepts it, an equal value must
// write those very bytes; if not, its error must be one that a codec may have.
// It returns what Decode does.
func Keeps(t testing.TB, c codec.Codec, data []byte) (codec.Value, codec.Original, error) {
	t.Helper()
	v, original, err := c.Decode(data, codec.Limits{})
	var syntax *codec.SyntaxError
	switch {
	case errors.Is(err, codec.ErrTooLarge):
		return nil, nil, err
	case err != nil && (!errors.As(err, &syntax) || syntax.Format != c.Name() || syntax.Offset < 0 || syntax.Offset > len(data)):
		t.Fatalf("Decode of %q: error %#v", data, err)
	case err != nil:
		return nil, nil, err
	}
	if err := Check(v); err != nil {
		t.Fatal(err)
	}
	for _, v := range []codec.Value{v, Copy(v)} {
		if out, err := c.Encode(original, v); err != nil || !bytes.Equal(out, data) {
			t.Fatalf("equal value wrote %q, %v, want %q", out, err, data)
		}
	}
	return v, original, nil
}

// ComesBack returns v written from scratch, which must read as itself.
func ComesBack(t testing.TB, c codec.Codec, v codec.Value) []byte {
	t.Helper()
	out, err := c.Encode(nil, v)
	if err != nil {
		t.Fatalf("%#v from scratch: %v", v, err)
	}
	if again, _, err := c.Decode(out, codec.Limits{}); err != nil || !value.Equal(v, again) {
		t.Fatalf("%#v from scratch is %q: %#v, %v", v, out, again, err)
	}
	return out
}

// EditFuzz is a fuzz target that writes onto one payload what a program makes of
// it, and a wholly different value, and reads both back.
type EditFuzz struct {
	Codec    codec.Codec
	Seeds    []string
	Programs []string // beyond the usual ones

	// MayRefuse, if set, reports whether Encode may have the error for v. No
	// other value may be refused.
	MayRefuse func(v codec.Value, err error) bool
	// ReadsAs, if set, reports whether what was written reads back as it should.
	// Without it the two must be equal.
	ReadsAs func(written, read codec.Value) bool
}

// Run makes f the target.
func (z EditFuzz) Run(f *testing.F) {
	for i, s := range z.Seeds {
		f.Add([]byte(s), []byte(z.Seeds[(i+3)%len(z.Seeds)]), uint8(i*3))
	}
	programs := append(usualPrograms(), z.Programs...)
	f.Fuzz(func(t *testing.T, data, other []byte, program uint8) {
		v, original, err := z.Codec.Decode(data, codec.Limits{Size: 4096})
		if err != nil {
			return
		}
		if w, _, err := z.Codec.Decode(other, codec.Limits{Size: 4096}); err == nil {
			z.check(t, data, v, original, w)
		}
		if w, err := JQ(programs[int(program)%len(programs)], v); err == nil {
			z.check(t, data, v, original, w)
		}
	})
}

// check writes w onto data, which reads as v.
func (z EditFuzz) check(t *testing.T, data []byte, v codec.Value, original codec.Original, w codec.Value) {
	t.Helper()
	out, err := z.Codec.Encode(original, w)
	if err != nil {
		if z.MayRefuse == nil || !z.MayRefuse(w, err) {
			t.Fatalf("Encode of %#v onto %q: %v", w, data, err)
		}
		return
	}
	readsAs := z.ReadsAs
	if readsAs == nil {
		readsAs = value.Equal
	}
	again, _, err := z.Codec.Decode(out, codec.Limits{Depth: 1000})
	if err != nil || !readsAs(w, again) {
		t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", w, data, out, again, err)
	}
	if value.Equal(v, w) && !bytes.Equal(out, data) {
		t.Fatalf("equal value wrote %q, want %q", out, data)
	}
}

func usualPrograms() []string {
	return []string{
		".", "null", "[.]", "{a: ., b: 1}", ".a = 1", "del(.a)", "del(.[0])", ".a.b = [1,2]", ".[0] = {}", "reverse", "[.[]]", "map(.)", ". + .",
		"to_entries", "with_entries(.value |= [.])", "walk(if type == \"number\" then . + 1 else . end)", "walk(if type == \"object\" then del(.a) else . end)",
		"walk(if type == \"array\" then reverse else . end)", "[.[]?, .[]?]", "map_values(empty)", "[.. | scalars]", "[..]", "walk(.)",
	}
}
