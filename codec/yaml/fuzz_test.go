package yaml_test

import (
	"math"
	"testing"

	goyaml "go.yaml.in/yaml/v4"

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
		v, _, err := codectest.Keeps(t, yaml.Codec{}, data)
		if err != nil {
			return
		}
		out := codectest.ComesBack(t, yaml.Codec{}, v)
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

func FuzzEdit(f *testing.F) {
	codectest.EditFuzz{
		Codec: yaml.Codec{}, Seeds: seeds,
		Programs: []string{
			".new = {x: [1]}",
			"walk(if type == \"string\" then . + \"\\n\" else . end)", "walk(if type == \"string\" then . + \" # x\" else . end)", "walk(if type == \"array\" then . + [{n: \"yes\"}] else . end)",
			"walk(if type == \"array\" then .[1:] else . end)", "walk(if type == \"object\" then .zz = \"\" else . end)", ".b = {}", "(.. | scalars) |= \"s\"",
		},
	}.Run(f)
}
