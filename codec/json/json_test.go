package json_test

import (
	stdjson "encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/json"
)

func TestContract(t *testing.T) {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	codectest.Run(t, codectest.Suite{
		Codec: json.Codec{},
		Deep: func(n int) []byte {
			return []byte(strings.Repeat(`{"a":[`, n/2) + strings.Repeat("[", n%2) + strings.Repeat("]", n%2) + strings.Repeat("]}", n/2))
		},
		Invalid: []string{
			"", " ", "nul", "nulll", "tru", "01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "1.2.3",
			`"`, `"\x"`, `"\u12"`, `"\u123g"`, "\"\t\"", "\"\xff\"", "\"\\n\xc3\"", `"\ud800\u"`, "'a'",
			"[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{,}`,
			"1 2", "{}x", "\x00", "// comment\n1", "[1]\ufeff", "\v1",
		},
		Cases: []codectest.Case{
			{
				Name: "scalars", In: `[null, true ,false,0,-1,9223372036854775807,-9223372036854775808,"",1]`,
				Value: []any{nil, true, false, 0, -1, math.MaxInt64, math.MinInt64, "", 1},
			},
			{
				Name: "numbers keep their spelling", In: `{"a":1.10,"b":1e400,"c":-0,"d":1E2,"e":123456789012345678901234567890,"f":0.10}`,
				Value: map[string]any{
					"a": 1.1, "b": stdjson.Number("1e400"), "c": 0, "d": 100, "e": huge, "f": 0.1,
				},
				Edits: []codectest.Edit{
					{JQ: ".g = .a", Out: `{"a":1.10,"b":1e400,"c":-0,"d":1E2,"e":123456789012345678901234567890,"f":0.10,"g":1.10}`},
					{JQ: ".a += 0 | .b += 0 | .d = 100", Out: `{"a":1.10,"b":1e400,"c":-0,"d":1E2,"e":123456789012345678901234567890,"f":0.10}`},
					{JQ: ".a += 1 | .e += 1", Out: `{"a":2.1,"b":1e400,"c":-0,"d":1E2,"e":123456789012345678901234567891,"f":0.10}`},
					{JQ: "{x: .b, y: .c}", Out: `{"x":1e400,"y":-0}`},
					{JQ: ".f = nan", Err: "json: .f: JSON has no NaN"},
					{JQ: ".f = {g: [1, infinite]}", Err: "json: .f.g[1]: JSON has no infinity"},
				},
			},
			{
				Name: "order, white space and escapes stay", In: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,2 ],\"m\":{ \"k\":\"v\" } }\n",
				Edits: []codectest.Edit{
					{JQ: ".a[1] = 3", Out: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,3 ],\"m\":{ \"k\":\"v\" } }\n"},
					{JQ: ".z = \"a/\"", Out: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,2 ],\"m\":{ \"k\":\"v\" } }\n"},
					{JQ: ".m.k = \"<&>\\u2028\\n\\u0001\"", Out: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,2 ],\"m\":{ \"k\":\"<&>\u2028\\n\\u0001\" } }\n"},
					{JQ: "del(.z)", Out: "{\"a\":[ 1,2 ],\"m\":{ \"k\":\"v\" } }\n"},
					{JQ: "del(.a)", Out: "{\"z\" : \"\\u0061\\/\",\"m\":{ \"k\":\"v\" } }\n"},
					{JQ: "del(.m)", Out: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,2 ] }\n"},
					{JQ: "del(.z, .m)", Out: "{\"a\":[ 1,2 ] }\n"},
					{JQ: "del(.z, .a)", Out: "{\"m\":{ \"k\":\"v\" } }\n"},
					{JQ: "del(.m.k)", Out: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,2 ],\"m\":{} }\n"},
					{JQ: "{}", Out: "{}\n"},
					{JQ: "{n: .m}", Out: "{\"n\":{ \"k\":\"v\" } }\n"},
					{JQ: ".n = .m | del(.m)", Out: "{\"z\" : \"\\u0061\\/\",\t\"a\":[ 1,2 ],\"n\":{ \"k\":\"v\" } }\n"},
					{JQ: "[.a, .m]", Out: "[[ 1,2 ],{ \"k\":\"v\" }]\n"},
					{JQ: ".a", Out: "[ 1,2 ]\n"},
					{JQ: "1", Out: "1\n"},
				},
			},
			{
				Name: "a pretty text stays pretty", In: "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    2\n  ]\n}",
				Edits: []codectest.Edit{
					{JQ: ".d = 4 | .c = {y: 1, x: 2}", Out: "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    2\n  ],\n  \"c\": {\"x\":2,\"y\":1},\n  \"d\": 4\n}"},
					{JQ: ".a += [3]", Out: "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    2,\n    3\n  ]\n}"},
					{JQ: "del(.a[0])", Out: "{\n  \"b\": 1,\n  \"a\": [\n    2\n  ]\n}"},
					{JQ: "del(.a[1])", Out: "{\n  \"b\": 1,\n  \"a\": [\n    1\n  ]\n}"},
					{JQ: ".a = []", Out: "{\n  \"b\": 1,\n  \"a\": []\n}"},
					{JQ: "with_entries(.key |= \"x\" + .)", Out: "{\n  \"xa\": [\n    1,\n    2\n  ],\n  \"xb\": 1\n}"},
				},
			},
			{
				Name: "elements pair", In: `[{"id":1, "x":1.0},{"id":2,  "x":2.0},{"id":3,   "x":3.0}]`,
				Edits: []codectest.Edit{
					{JQ: "reverse", Out: `[{"id":3,   "x":3.0},{"id":2,  "x":2.0},{"id":1, "x":1.0}]`},
					{JQ: "map(select(.id != 2))", Out: `[{"id":1, "x":1.0},{"id":3,   "x":3.0}]`},
					{JQ: "map(.x += 1)", Out: `[{"id":1, "x":2},{"id":2,  "x":3},{"id":3,   "x":4}]`},
					{JQ: ".[1].x = 9", Out: `[{"id":1, "x":1.0},{"id":2,  "x":9},{"id":3,   "x":3.0}]`},
					{JQ: "[{id: 0}] + .", Out: `[{"id":0},{"id":1, "x":1.0},{"id":2,  "x":2.0},{"id":3,   "x":3.0}]`},
					{JQ: "del(.[0]) | .[0].x = 7", Out: `[{"id":2,"x":7},{"id":3,   "x":3.0}]`},
					{JQ: "map({id, x}) | reverse", Out: `[{"id":3,   "x":3.0},{"id":2,  "x":2.0},{"id":1, "x":1.0}]`},
				},
			},
			{
				Name: "members of one name: the last counts, an edit takes all", In: `{"a":1, "b":{"p":[1],"p":2}, "a":2, "c":3}`,
				Value: map[string]any{"a": 2, "b": map[string]any{"p": 2}, "c": 3},
				Edits: []codectest.Edit{
					{JQ: ".c = 4", Out: `{"a":1, "b":{"p":[1],"p":2}, "a":2, "c":4}`},
					{JQ: ".a = 5", Out: `{"b":{"p":[1],"p":2}, "a":5, "c":3}`},
					{JQ: "del(.a)", Out: `{"b":{"p":[1],"p":2}, "c":3}`},
					{JQ: ".b.p = 0", Out: `{"a":1, "b":{"p":0}, "a":2, "c":3}`},
					{JQ: ".b = {p: 2}", Out: `{"a":1, "b":{"p":[1],"p":2}, "a":2, "c":3}`},
					{JQ: "{d: .b}", Out: `{"d":{"p":[1],"p":2}}`},
				},
			},
			{
				Name: "surrogates", In: `["\ud83d\ude00", "\ud800", "\udc00\ud800", "\ud800\u0061", "\u0000"]`,
				Value: []any{"😀", "\ufffd", "\ufffd\ufffd", "\ufffda", "\x00"},
				Edits: []codectest.Edit{
					{JQ: ".[0] += \"x\"", Out: `["😀x", "\ud800", "\udc00\ud800", "\ud800\u0061", "\u0000"]`},
					{JQ: ".[1] += \"x\"", Out: `["\ud83d\ude00", "` + "\ufffd" + `x", "\udc00\ud800", "\ud800\u0061", "\u0000"]`},
				},
			},
			{
				Name: "names with escapes", In: `{"\u0061":1,"b\"":2}`,
				Edits: []codectest.Edit{
					{JQ: ".a = 3", Out: `{"\u0061":3,"b\"":2}`},
					{JQ: `del(.["b\""])`, Out: `{"\u0061":1}`},
				},
			},
			{Name: "a byte order mark stays", In: "\ufeff {\"a\":1}", Edits: []codectest.Edit{{JQ: ".a = 2", Out: "\ufeff {\"a\":2}"}}},
			{Name: "white space alone", In: " [ ] ", Edits: []codectest.Edit{{JQ: ". + [1]", Out: " [ 1] "}, {JQ: "{}", Out: " {} "}}},
			{Name: "an empty object", In: `{ }`, Edits: []codectest.Edit{{JQ: ".b = 1 | .a = 2", Out: `{"a":2,"b":1 }`}}},
			{Name: "a scalar", In: ` 1.0 `, Edits: []codectest.Edit{{JQ: ". == 1", Out: ` true `}, {JQ: ". * 1", Out: ` 1.0 `}}},
			{Name: "NUL in a name", In: `{"a\u0000b":1}`},
			{Name: "deep", In: strings.Repeat("[", 512) + strings.Repeat("]", 512)},
		},
	})
}

func TestLongNumberIsOverALimit(t *testing.T) {
	_, _, err := json.Codec{}.Decode([]byte("["+strings.Repeat("9", 5000)+"]"), codec.Limits{})
	if !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("error %v, want one that wraps ErrTooLarge", err)
	}
}

func TestErrorsShowNoPayload(t *testing.T) {
	secret := strings.Repeat("hunter2", 20)
	_, _, err := json.Codec{}.Decode([]byte(`{"password":"`+secret+`",}`), codec.Limits{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
	if want := "json: offset 155: found '}', expected a name in quotes"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestAmbiguous(t *testing.T) {
	for text, want := range map[string]bool{`{"a":1,"b":{"a":1}}`: false, `[{"a":1,"\u0061":1}]`: true} {
		_, original, err := json.Codec{}.Decode([]byte(text), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := original.(*json.Original).Ambiguous(); got != want {
			t.Errorf("Ambiguous of %s = %v, want %v", text, got, want)
		}
	}
}

func TestAppendCompactNeverFails(t *testing.T) {
	v := []any{math.NaN(), math.Inf(1), math.Inf(-1), struct{}{}, stdjson.Number("x"), "\xff<", 1e21, 1e-7, 1.5, map[string]any{"b": 1, "a": nil}}
	want := `[null,1.7976931348623157e+308,-1.7976931348623157e+308,null,null,"` + "\ufffd" + `<",1e+21,1e-7,1.5,{"a":null,"b":1}]`
	if got := string(json.AppendCompact(nil, v)); got != want {
		t.Errorf("AppendCompact = %s, want %s", got, want)
	}
}
