package plan

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

func TestEachTellsWhatRunsOnElements(t *testing.T) {
	for _, test := range []struct{ source, want string }{
		{".", "."},
		{"map(.n |= tonumber)", "(.n |= tonumber)"},
		{"map(select(.n > 1))", "(select(.n > 1))"},
		{".[].name |= ascii_downcase", ".name |= ascii_downcase"},
		{".[].name = \"x\" | del(.[].secret, .[].key)", ".name = \"x\" | del(.secret, .key)"},
		{".[] |= {id, name: .n}", ""}, // an object is not among what surely yields one
		{".[] |= (.a = 1 | del(.b))", ". |= (.a = 1 | del(.b))"},
		{".[] |= if .a then .b = 1 else . end", ". |= if .a then .b = 1 else . end"},
		{".[].n += 1", ".n += 1"},
		{".[].tenant = $request.headers[\"x-tenant\"]", ".tenant = $request.headers[\"x-tenant\"]"},
		{"del(.[] | select(.n == \"1\"))", "select((.n == \"1\") | not)"},
		{".[] |= empty", ""},
		{".[] |= (., .)", ""},
		{".[] |= select(.a)", ""},
		{".[].n = length", ""},
		{".[].n = .[0].n", ""},
		{".[0].n = 1", ""},
		{"sort_by(.n)", ""},
		{"map(.n) | add", ""},
		{"length as $n | map(.n = $n)", ""},
		{"def f: .n = 1; map(f)", ""},
		{"del(.[])", ""},
		{"del(.[0])", ""},
		{"map(.a)[0]", ""},
		{".[.[0].k | tostring] = 1", ""},
	} {
		got, ok := Each(test.source)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q, %v, want %q", test.source, got, ok, test.want)
		}
	}
}

// What runs on each element by itself makes of an array what the whole does.
func TestEachIsTheProgramElementByElement(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	value := func() string {
		return pick(`"x"`, "1", "null", ".n", ".a.b", "$v", "length", "(.n | tostring)", ".n + 1", "empty", "(1, 2)", "not", "if .a then 1 else 2 end")
	}
	var piece func() string
	piece = func() string {
		switch random.IntN(6) {
		case 0:
			return "map(" + pick(".", "select(.n)", ".n = "+value(), value(), "del(.a)", ".a?", "to_entries") + ")"
		case 1:
			return ".[]" + pick("", ".n", ".a.b", ".a?", "[\"n\"]", "[0]?") + pick(" = ", " |= ", " += ", " //= ") + value()
		case 2:
			return "del(.[]" + pick("", ".n", ".a.b", " | select("+value()+")", ".n, .[].a") + ")"
		case 3:
			return piece() + " | " + piece()
		case 4:
			return ".[] |= (" + pick(".n", ".a") + " |= " + value() + ")"
		}
		return pick(".", "sort", "reverse", "map(.)", "(.[].n) |= 3")
	}
	elements := []string{`{"n":1}`, `{"n":"x","a":{"b":2}}`, `{}`, `{"a":null}`, `[1,2]`, `"s"`, `null`, `{"n":null,"a":[3]}`}
	taken := 0
	for range 30_000 {
		source := piece()
		element, ok := Each(source)
		if !ok {
			continue
		}
		taken++
		var whole []any
		for range random.IntN(4) {
			whole = append(whole, decodeJSON(t, elements[random.IntN(len(elements))]))
		}
		want, wantErr := outcomes(t, source, append([]any{}, whole...))
		got := []any{}
		var err error
		for _, v := range whole {
			var each []any
			if each, err = outcomes(t, element, v); err != nil {
				break
			}
			got = append(got, each...)
		}
		if (err != nil) != (wantErr != nil) || err == nil && (len(want) != 1 || !reflect.DeepEqual(want[0], any(got))) {
			t.Fatalf("%s, by element %s, of %v:\n got %v %v\nwant %v %v", source, element, whole, got, err, want, wantErr)
		}
	}
	if taken < 5000 {
		t.Errorf("only %d programs were taken", taken)
	}
}

func outcomes(t *testing.T, source string, input any) (all []any, err error) {
	t.Helper()
	q, err := gojq.Parse(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	code, err := gojq.Compile(q, gojq.WithVariables([]string{"$v"}))
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	results := code.Run(input, map[string]any{"a": 1})
	for {
		v, ok := results.Next()
		if !ok {
			return all, nil
		}
		if err, ok := v.(error); ok {
			return nil, fmt.Errorf("run: %w", err)
		}
		all = append(all, v)
	}
}

func decodeJSON(t *testing.T, text string) any {
	t.Helper()
	v, _, err := json.Codec{}.Decode([]byte(text), codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
