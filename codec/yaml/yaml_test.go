package yaml_test

import (
	stdjson "encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

func TestContract(t *testing.T) {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	codectest.Run(t, codectest.Suite{
		Codec: yaml.Codec{},
		Deep: func(n int) []byte {
			return []byte(strings.Repeat("{a: [", n/2) + strings.Repeat("[", n%2) + strings.Repeat("]", n%2) + strings.Repeat("]}", n/2))
		},
		Invalid: []string{
			"a: b: c", "[1", "{a: 1", "'", "\"", "a: 1\n b: 2", "- a\nb", "\"\\x\"", "*a", "&a [*a]", "a: 1\na: 2", "1: a\n\"1\": b", "? [a]\n: b", "{a: 1}: b",
			"--- a\n--- b", "a\n...\n---\nb", "\xff", "a: \xc3", "!!int x", "!!bool 1", "!!null x", "!!float x", "\t- a", "a: |\n\tb\n  c", "%YAML 1.2\na", "%YAML 2.0\n---\na", "@a", "`a`", "a: @b",
			"<<: 1", "<<: [a]", "a: *b\nb: &b 1", "\x00", "a\x01b", "{a, b", "a: &x &y 1",
		},
		Cases: []codectest.Case{
			{
				Name: "scalars", In: "[~, null, Null, true, FALSE, 0, -1, +7, 007, 0o17, 0xfF, '1', \"2\", !!str 3, ! 4, !!int 5, !!float 6, .inf, -.INF, abc, \"\", '']",
				Value: []any{nil, nil, nil, true, false, 0, -1, 7, 7, 15, 255, "1", "2", "3", "4", 5, 6, math.Inf(1), math.Inf(-1), "abc", "", ""},
			},
			{
				Name: "what only YAML 1.1 knows is a string", In: "[yes, No, on, OFF, y, 1_000, 0b11, 12:30:00, 2001-12-14, =, 0o8, 1e, 0x, .]",
				Value: []any{"yes", "No", "on", "OFF", "y", "1_000", "0b11", "12:30:00", "2001-12-14", "=", "0o8", "1e", "0x", "."},
				Edits: []codectest.Edit{
					{JQ: "[.[] | . + \"\"][:4]", Out: "[yes, No, on, OFF]"},
					{JQ: "[\"yes\", \"null\", \"1_0\", \"1\", \"~\", \"a: b\", \" a\", \"#a\", \"a #b\", \"a-b c\", \"é\", \"x@y.z\", \"-a\", \"\"]", Out: "[yes, \"null\", \"1_0\", \"1\", \"~\", \"a: b\", \" a\", \"#a\", \"a #b\", a-b c, é, x@y.z, \"-a\", \"\"]"},
				},
			},
			{
				Name: "numbers keep their spelling", In: "a: 1.10\nb: 1e400\nc: -0\nd: 1E2\ne: 123456789012345678901234567890\nf: .5\ng: +1.\n",
				Value: map[string]any{"a": 1.1, "b": stdjson.Number("1e400"), "c": 0, "d": 100, "e": huge, "f": 0.5, "g": 1},
				Edits: []codectest.Edit{
					{JQ: ".h = .a | .f += 0", Out: "a: 1.10\nb: 1e400\nc: -0\nd: 1E2\ne: 123456789012345678901234567890\nf: .5\ng: +1.\nh: 1.10\n"},
					{JQ: ".a += 1 | .e += 1 | .g = nan", Out: "a: 2.1\nb: 1e400\nc: -0\nd: 1E2\ne: 123456789012345678901234567891\nf: .5\ng: .nan\n"},
					{JQ: "{x: .b, y: 1e-7}", Out: "x: 1.0e+400\n\"y\": 1.0e-07\n"},
				},
			},
			{
				Name: "order, comments, quotes and blank lines stay", In: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\na: [ 1,  2 ]\n# end\n...\n",
				Value: map[string]any{"z": "it's", "m": map[string]any{"k": "vA", "l": "plain text"}, "a": []any{1, 2}},
				Edits: []codectest.Edit{
					{JQ: ".z = \"x'y\"", Out: "# head\n---\nz: 'x''y'   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: ".m.k = \"n\\n\" | .m.l = \"1\"", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"n\\n\" # two\n    l:   \"1\"\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: ".a[1] = 3", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\na: [ 1,  3 ]\n# end\n...\n"},
					{JQ: ".a += [3]", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\na: [ 1,  2, 3 ]\n# end\n...\n"},
					{JQ: "del(.z)", Out: "# head\n---\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: "del(.m.k)", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    l:   plain text\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: "del(.m)", Out: "# head\n---\nz: 'it''s'   # one\n\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: "del(.a)", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\n# end\n...\n"},
					{JQ: ".m.n = [1, {b: 2, a: []}]", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n    \"n\":\n      - 1\n      - a: []\n        b: 2\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: ".n1 = {} | del(.m.l)", Out: "# head\n---\nz: 'it''s'   # one\n\nm:\n    k: \"v\\u0041\" # two\n# between\na: [ 1,  2 ]\nn1: {}\n# end\n...\n"},
					{JQ: ".m = 5", Out: "# head\n---\nz: 'it''s'   # one\n\nm: 5\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: ".m = {}", Out: "# head\n---\nz: 'it''s'   # one\n\nm: {}\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: ".z = {a: 1}", Out: "# head\n---\nz: {a: 1}   # one\n\nm:\n    k: \"v\\u0041\" # two\n    l:   plain text\n# between\na: [ 1,  2 ]\n# end\n...\n"},
					{JQ: "{}", Out: "# head\n---\n{}\n# end\n...\n"},
					{JQ: "[1, [2]]", Out: "# head\n---\n- 1\n- - 2\n# end\n...\n"},
				},
			},
			{
				Name: "elements pair", In: "- id: 1 # one\n  x: 1.0\n# second\n- {id: 2,  x: 2.0}\n- id: 3\n  x: 3.0\n",
				Edits: []codectest.Edit{
					{JQ: "reverse", Out: "- id: 3\n  x: 3.0\n# second\n- {id: 2,  x: 2.0}\n- id: 1 # one\n  x: 1.0\n"},
					{JQ: "map(select(.id != 2))", Out: "- id: 1 # one\n  x: 1.0\n- id: 3\n  x: 3.0\n"},
					{JQ: "map(.x += 1)", Out: "- id: 1 # one\n  x: 2\n# second\n- {id: 2,  x: 3}\n- id: 3\n  x: 4\n"},
					{JQ: "del(.[0])", Out: "- {id: 2,  x: 2.0}\n- id: 3\n  x: 3.0\n"},
					{JQ: "map(del(.id))", Out: "- x: 1.0\n# second\n- {x: 2.0}\n- x: 3.0\n"},
					{JQ: "map(del(.x))", Out: "- id: 1 # one\n# second\n- {id: 2}\n- id: 3\n"},
					{JQ: "map(.y1 = true)", Out: "- id: 1 # one\n  x: 1.0\n  y1: true\n# second\n- {id: 2,  x: 2.0, y1: true}\n- id: 3\n  x: 3.0\n  y1: true\n"},
					{JQ: ". + [{id: 4, t: [1]}, 5]", Out: "- id: 1 # one\n  x: 1.0\n# second\n- {id: 2,  x: 2.0}\n- id: 3\n  x: 3.0\n- id: 4\n  t:\n    - 1\n- 5\n"},
					{JQ: "[0] + .", Out: "- 0\n- id: 1 # one\n  x: 1.0\n# second\n- {id: 2,  x: 2.0}\n- id: 3\n  x: 3.0\n"},
					{JQ: "[]", Out: "[]\n"},
				},
			},
			{
				Name: "a list at its key's indentation", In: "a:\n- 1\n- - 2\n  - 3\nb: 4", Value: map[string]any{"a": []any{1, []any{2, 3}}, "b": 4},
				Edits: []codectest.Edit{
					{JQ: ".a[1][0] = 5 | .a += [6]", Out: "a:\n- 1\n- - 5\n  - 3\n- 6\nb: 4"},
					{JQ: "del(.a[0])", Out: "a:\n- - 2\n  - 3\nb: 4"},
					{JQ: "del(.a[1][1])", Out: "a:\n- 1\n- - 2\nb: 4"},
					{JQ: "del(.b)", Out: "a:\n- 1\n- - 2\n  - 3\n"},
					{JQ: ".a = []", Out: "a: []\nb: 4"},
					{JQ: ".a = {c: 1}", Out: "a:\n  c: 1\nb: 4"},
					{JQ: ".a[1] = {c: [1]}", Out: "a:\n- 1\n- {c: [1]}\nb: 4"},
					{JQ: ".c = 1", Out: "a:\n- 1\n- - 2\n  - 3\nb: 4\nc: 1"},
				},
			},
			{
				Name: "flow", In: `{"a":1, b: [x, {c: d}], 'e': "f", g, }`, Value: map[string]any{"a": 1, "b": []any{"x", map[string]any{"c": "d"}}, "e": "f", "g": nil},
				Edits: []codectest.Edit{
					{JQ: ".a = \"s\" | .e = \"\\\"\"", Out: `{"a":s, b: [x, {c: d}], 'e': "\"", g, }`},
					{JQ: ".b[1].c = [1]", Out: `{"a":1, b: [x, {c: [1]}], 'e': "f", g, }`},
					{JQ: "del(.e, .g)", Out: `{"a":1, b: [x, {c: d}], }`},
					{JQ: "del(.g) | .n1 = {p: 1} | .b += [2]", Out: `{"a":1, b: [x, {c: d}, 2], 'e': "f", n1: {p: 1}, }`},
					{JQ: "del(.g) | .b |= reverse", Out: `{"a":1, b: [{c: d}, x], 'e': "f", }`},
					{JQ: ".g = 1", Out: `{"a":1, b: [x, {c: d}], 'e': "f", g: 1, }`},
				},
			},
			{
				Name: "nulls of no characters", In: "a:\nb: # c\nd:\n  -\n  - &x\n", Value: map[string]any{"a": nil, "b": nil, "d": []any{nil, nil}},
				Edits: []codectest.Edit{
					{JQ: ".a = 1 | .b = \"t\" | .d = [true, \"s\"]", Out: "a: 1\nb: t # c\nd:\n  - true\n  - &x s\n"},
					{JQ: "del(.a, .b)", Out: "d:\n  -\n  - &x\n"},
				},
			},
			{
				Name: "multi-line scalars", In: "l: |\n  one\n   two\n\nf: >-\n  folded\n  text\n\n  para\np: plain\n  goes on\nq: \"double\n  goes \\\n  on\"\nk: |+\n  keep\n\nz: 1\n",
				Value: map[string]any{"l": "one\n two\n", "f": "folded text\npara", "p": "plain goes on", "q": "double goes on", "k": "keep\n\n", "z": 1},
				Edits: []codectest.Edit{
					{JQ: ".l += \"three\\n\"", Out: "l: |\n  one\n   two\n  three\n\nf: >-\n  folded\n  text\n\n  para\np: plain\n  goes on\nq: \"double\n  goes \\\n  on\"\nk: |+\n  keep\n\nz: 1\n"},
					{JQ: ".l = \"a\\n\\nb\" | .f = \"x\" | .p = \"y2\" | .q = \"z\" | .k = null", Out: "l: |-\n  a\n\n  b\n\nf: \"x\"\np: y2\nq: \"z\"\nk: null\nz: 1\n"},
					{JQ: "del(.l, .f)", Out: "\np: plain\n  goes on\nq: \"double\n  goes \\\n  on\"\nk: |+\n  keep\n\nz: 1\n"},
					{JQ: "del(.k) | .l = \"t \\u0007\"", Out: "l: \"t \\x07\"\n\nf: >-\n  folded\n  text\n\n  para\np: plain\n  goes on\nq: \"double\n  goes \\\n  on\"\nz: 1\n"},
				},
			},
			{
				Name: "aliases", In: "base: &b {host: a, port: 1}\none: *b\ntwo: *b\nn: &n 5\nm: *n\n",
				Edits: []codectest.Edit{
					{JQ: ".one.port = 2", Out: "base: &b {host: a, port: 1}\none: {host: a, port: 2}\ntwo: *b\nn: &n 5\nm: *n\n"},
					{JQ: ".base.port = 2", Out: "base: &b {host: a, port: 2}\none: {host: a, port: 1}\ntwo: {host: a, port: 1}\nn: &n 5\nm: *n\n"},
					{JQ: ".base.port = 2 | .one.port = 2", Out: "base: &b {host: a, port: 2}\none: *b\ntwo: {host: a, port: 1}\nn: &n 5\nm: *n\n"},
					{JQ: ".n = \"x\"", Out: "base: &b {host: a, port: 1}\none: *b\ntwo: *b\nn: &n x\nm: 5\n"},
					{JQ: "del(.n, .base)", Out: "one: {host: a, port: 1}\ntwo: {host: a, port: 1}\nm: 5\n"},
					{JQ: "del(.one)", Out: "base: &b {host: a, port: 1}\ntwo: *b\nn: &n 5\nm: *n\n"},
				},
			},
			{
				Name: "merge keys", In: "d: &d\n  a: 1\n  b: 2\nx:\n  <<: *d\n  b: 3\n  c: 4\n'<<': quoted\n", Value: map[string]any{"d": map[string]any{"a": 1, "b": 2}, "x": map[string]any{"a": 1, "b": 3, "c": 4}, "<<": "quoted"},
				Edits: []codectest.Edit{
					{JQ: ".x.c = 5", Out: "d: &d\n  a: 1\n  b: 2\nx:\n  <<: *d\n  b: 3\n  c: 5\n'<<': quoted\n"},
					{JQ: ".x.a = 7", Out: "d: &d\n  a: 1\n  b: 2\nx:\n  <<: *d\n  b: 3\n  c: 4\n  a: 7\n'<<': quoted\n"},
					{JQ: "del(.x.a)", Out: "d: &d\n  a: 1\n  b: 2\nx:\n  b: 3\n  c: 4\n'<<': quoted\n"},
					{JQ: "del(.x.b)", Out: "d: &d\n  a: 1\n  b: 2\nx:\n  a: 1\n  c: 4\n'<<': quoted\n"},
					{JQ: ".d.a = 9", Out: "d: &d\n  a: 9\n  b: 2\nx:\n  a: 1\n  b: 3\n  c: 4\n'<<': quoted\n"},
				},
			},
			{
				Name: "what a merge hides does not survive an edit", In: "a: {<<: {p: hidden, q: 1}, p: seen}\nb: 1\n", Value: map[string]any{"a": map[string]any{"p": "seen", "q": 1}, "b": 1},
				Edits: []codectest.Edit{
					{JQ: ".b = 2", Out: "a: {<<: {p: hidden, q: 1}, p: seen}\nb: 2\n"},
					{JQ: ".a.p = \"x\"", Out: "a: {p: x, q: 1}\nb: 1\n"},
				},
			},
			{
				Name: "several merged members changed", In: "a: &a {p: 1, q: 2}\nb:\n  <<: *a\n", Edits: []codectest.Edit{
					{JQ: ".b |= map_values(3)", Out: "a: &a {p: 1, q: 2}\nb:\n  <<: *a\n  p: 3\n  q: 3\n"},
				},
			},
			{
				Name: "several merged, the first wins", In: "- &a {k: 1, l: 1}\n- &b {k: 2, m: 2}\n- <<: [*a, *b]\n  l: 3\n", Value: []any{map[string]any{"k": 1, "l": 1}, map[string]any{"k": 2, "m": 2}, map[string]any{"k": 1, "l": 3, "m": 2}},
			},
			{
				Name: "tags", In: "a: !!str 5\nb: !custom {c: 1}\nd: !x y\ne: !!binary aGk=\ng: !!int \"7\"\n", Value: map[string]any{"a": "5", "b": map[string]any{"c": 1}, "d": "y", "e": "aGk=", "g": 7},
				Edits: []codectest.Edit{
					{JQ: ".a = \"6\" | .d = \"z\" | .b.c = 2", Out: "a: !!str \"6\"\nb: !custom {c: 2}\nd: !x z\ne: !!binary aGk=\ng: !!int \"7\"\n"},
					{JQ: ".a = 6 | .g = true | .d = null", Out: "a: 6\nb: !custom {c: 1}\nd: null\ne: !!binary aGk=\ng: true\n"},
				},
			},
			{
				Name: "keys", In: "1: a\ntrue: b\n~: c\n\"q k\": d\n? e\n: f\n1.0: g\n", Value: map[string]any{"1": "a", "true": "b", "null": "c", "q k": "d", "e": "f", "1.0": "g"},
				Edits: []codectest.Edit{
					{JQ: ".[\"1\"] = 2 | .null = 3 | .e = 4", Out: "1: 2\ntrue: b\n~: 3\n\"q k\": d\n? e\n: 4\n1.0: g\n"},
					{JQ: "{\"1\": 2, \"true\": [], \"a b\": 1, \"c: d\": 0}", Out: "1: 2\ntrue: []\na b: 1\n\"c: d\": 0\n"},
				},
			},
			{
				Name: "line ends of Windows", In: "a: 1\r\nb:\r\n  - 2\r\n  - 3\r\n", Edits: []codectest.Edit{
					{JQ: ".a = 2 | .c = 1", Out: "a: 2\r\nb:\r\n  - 2\r\n  - 3\r\nc: 1\r\n"},
					{JQ: "del(.a)", Out: "b:\r\n  - 2\r\n  - 3\r\n"},
					{JQ: "del(.b[1])", Out: "a: 1\r\nb:\r\n  - 2\r\n"},
					{JQ: ".b += [4]", Out: "a: 1\r\nb:\r\n  - 2\r\n  - 3\r\n  - 4\r\n"},
				},
			},
			{Name: "a byte order mark stays", In: "\ufeffa: é\nb: 1\n", Edits: []codectest.Edit{{JQ: ".b = 2", Out: "\ufeffa: é\nb: 2\n"}, {JQ: "[1]", Out: "\ufeff- 1\n"}}},
			{Name: "no document", In: "# nothing\n", Value: nil, Edits: []codectest.Edit{{JQ: "{a: 1}", Out: "# nothing\na: 1\n"}}},
			{Name: "nothing", In: "", Edits: []codectest.Edit{{JQ: "[1]", Out: "- 1\n"}}},
			{Name: "an empty document", In: "---\n", Edits: []codectest.Edit{{JQ: "5", Out: "---\n5\n"}}},
			{Name: "a scalar", In: "--- text\n", Value: "text", Edits: []codectest.Edit{{JQ: ". + \"s\"", Out: "--- texts\n"}, {JQ: "{a: 1}", Out: "--- {a: 1}\n"}}},
			{Name: "long keys", In: "a: 1\n", Edits: []codectest.Edit{{JQ: ".[\"k\" * 2000] = 1 | .a = 2", Out: "a: 2\n? \"" + strings.Repeat("k", 2000) + "\"\n: 1\n"}}},
			{Name: "deep", In: strings.Repeat("[", 512) + strings.Repeat("]", 512)},
		},
	})
}

func TestErrorsTellThePlace(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\nb: [é, *x]\n": "yaml: offset 13: unknown anchor 'x' referenced",
		"a: 1\na: 2":         "yaml: offset 5: found a key twice",
		"a\n---\nb":          "yaml: offset 0: found a second document, expected one",
	} {
		if _, _, err := (yaml.Codec{}).Decode([]byte(in), codec.Limits{}); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", in, err, want)
		}
	}
}
