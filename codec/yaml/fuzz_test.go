package yaml_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	goyaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

var seeds = []string{
	"a: 1\nb: [x, {c: d}]\n", "- 1\n- - 2\n  - 3\n# c\n- {a: b, c}\n", "# c\n---\na: &x {p: 1}\nb: *x\nc:\n  <<: *x\n  d: 'it''s'\n...\n",
	"l: |\n  one\n   two\n\nf: >-\n  folded\n  text\n", "p: plain\n  goes on\nq: \"double\n  goes \\\n  on\"\n", "? a\n: b\n1: c\n~: d\n", "a:\nb: # c\nd:\n  -\n  - &x\n",
	"[~, 1.10, 0x1f, .inf, '1', !!str 3, \"\\u0041\\x07\"]", "\ufeffa: 1\r\nb:\r\n- 2\r\n", "--- text\n", "--- |\ntext\n", "", "# c", "a: b: c", "&a [*a]", "k: |+\n  keep\n\nz: 1\n",
	"a: {b: [1,\n  2], # c\n  d: 3}\n", "- !!map\n  a: 1\n- &y\n  b: 2\n- *y\n", "a: -1\n\n\nb:   'x'   # y\n",
}

// FuzzDecode reads anything: what is accepted comes back as it was, from
// scratch as its value, and in goyaml's reading of what was written.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := yaml.Codec{}
		v, original, err := c.Decode(data, codec.Limits{})
		var syntax *codec.SyntaxError
		switch {
		case errors.Is(err, codec.ErrTooLarge):
			return
		case err != nil && (!errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data)):
			t.Fatalf("error is %#v", err)
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
			t.Fatalf("%q from scratch is %q: %#v, %v", data, out, again, err)
		}
		var other any
		if err := goyaml.Load(out, &other); err != nil || !alike(v, other) {
			t.Fatalf("%q, which is %#v, reads as %#v elsewhere: %v", out, v, other, err)
		}
	})
}

// alike compares with what goyaml makes of a document: strings are strings
// there too, and numbers numbers, as far as it has them.
func alike(v, other any) bool {
	switch v := v.(type) {
	case map[string]any:
		o, ok := other.(map[string]any)
		if !ok || len(o) != len(v) {
			return false
		}
		for k := range v {
			if w, ok := o[k]; !ok || !alike(v[k], w) {
				return false
			}
		}
		return true
	case []any:
		o, ok := other.([]any)
		if !ok || len(o) != len(v) {
			return false
		}
		for i := range v {
			if !alike(v[i], o[i]) {
				return false
			}
		}
		return true
	case string:
		return v == other
	case bool, nil:
		return v == other
	}
	switch o := other.(type) {
	case int:
		return value.Float(v) == float64(o)
	case uint64:
		return value.Float(v) == float64(o)
	case float64:
		return value.Float(v) == o || math.IsNaN(o)
	}
	return math.Abs(value.Float(v)) > math.MaxInt64
}

var programs = []string{
	".", "null", "[.]", "{a: ., b: 1}", ".a = 1", "del(.a)", "del(.[0])", ".a.b = [1,2]", ".[0] = {}", "reverse", "[.[]]", "map(.)", ". + .",
	"to_entries", "with_entries(.value |= [.])", "walk(if type == \"number\" then . + 1 else . end)", "walk(if type == \"object\" then del(.a) else . end)",
	"walk(if type == \"array\" then reverse else . end)", "[.[]?, .[]?]", "map_values(empty)", "[.. | scalars]", "[..]", "walk(.)", ".new = {x: [1]}",
	"walk(if type == \"string\" then . + \"\\n\" else . end)", "walk(if type == \"string\" then . + \" # x\" else . end)", "walk(if type == \"array\" then . + [{n: \"yes\"}] else . end)",
	"walk(if type == \"array\" then .[1:] else . end)", "walk(if type == \"object\" then .zz = \"\" else . end)", ".b = {}", "(.. | scalars) |= \"s\"",
}

// FuzzEdit writes onto one document what a program makes of it, and a wholly
// different value, and reads both back.
func FuzzEdit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+3)%len(seeds)]), uint8(i*3))
	}
	f.Fuzz(func(t *testing.T, data, other []byte, program uint8) {
		c := yaml.Codec{}
		v, original, err := c.Decode(data, codec.Limits{Size: 4096})
		if err != nil {
			return
		}
		results := make([]codec.Value, 0, 2)
		if w, _, err := c.Decode(other, codec.Limits{Size: 4096}); err == nil {
			results = append(results, w)
		}
		if w, err := codectest.JQ(programs[int(program)%len(programs)], v); err == nil {
			results = append(results, w)
		}
		for _, w := range results {
			out, err := c.Encode(original, w)
			if err != nil {
				t.Fatalf("Encode of %#v onto %q: %v", w, data, err)
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
