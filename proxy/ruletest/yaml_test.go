package ruletest

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
)

// values makes what jq may leave.
func values(depth int) *rapid.Generator[any] {
	text := rapid.OneOf(
		rapid.SampledFrom([]string{"", "x", "true", "No", "null", "~", "a: b", "a #b", "- a", "1", "1.5", "2026-03-01", "é", " a", "a ", "a\nb", "a\r\n", "{", "*a", "&a", "!a", "%", "@", "`", "'", `"`, "\u2028", "<<", "=", "0x1", "1_000", "/a/b", ".inf", ".nan"}),
		rapid.String(),
	)
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.IntRange(-1000, 1000).AsAny(), text.AsAny(),
		rapid.SampledFrom([]any{2.5, 1e21, 1.5e-9, json.Number("1e3"), json.Number("1.5E+3"), json.Number("12345678901234567890"), json.Number("1.50")}),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	below := values(depth - 1)
	return rapid.OneOf(append(scalars, rapid.SliceOfN(below, 0, 4).AsAny(), rapid.MapOfN(text, below, 0, 4).AsAny())...)
}

// What is written as YAML is read as the same value, in a flow and in blocks.
func TestWhatIsWrittenReadsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values(3).Draw(t, "value")
		for i, text := range []string{
			"v: " + flow(v),
			"v:\n  " + block(v, 2, nil),
			"v: {a: [" + flow(v) + "]}",
			"v:\n  - " + block(v, 4, nil) + "\n",
		} {
			d := document.Parse("a.yaml", []byte(text), nil)
			if problems := d.Problems(); len(problems) > 0 {
				t.Fatalf("%q: %v", text, problems)
			}
			got, ok := document.Any().Read(d.Root.Get("v"))
			if !ok {
				t.Fatalf("%q: %v", text, d.Problems())
			}
			switch i {
			case 2:
				got = got.(map[string]any)["a"].([]any)[0]
			case 3:
				got = got.([]any)[0]
			}
			if !equal(got, v) {
				t.Fatalf("%q: got %#v, want %#v", text, got, v)
			}
		}
	})
}

func TestNumbersAreEqualByTheirWorth(t *testing.T) {
	big1, _ := new(big.Int).SetString("12345678901234567890", 10)
	for _, tt := range []struct {
		a, b codec.Value
		want bool
	}{
		{1, 1.0, true},
		{1, json.Number("1.0"), true},
		{2.5, json.Number("2.50"), true},
		{big1, json.Number("12345678901234567890"), true},
		{json.Number("12345678901234567891"), json.Number("12345678901234567890"), false},
		{json.Number("9007199254740993"), 9007199254740992, false},
		{1, "1", false},
		{nil, 0, false},
		{[]any{1}, []any{1, 2}, false},
		{map[string]any{"a": nil}, map[string]any{"b": nil}, false},
		{map[string]any{"a": []any{1}}, map[string]any{"a": []any{1.0}}, true},
	} {
		if got := equal(tt.a, tt.b); got != tt.want || equal(tt.b, tt.a) != tt.want {
			t.Errorf("%v, %v: got %v", tt.a, tt.b, got)
		}
	}
}
