package value_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-proxy/sluice/codec/internal/value"
)

func TestEqual(t *testing.T) {
	big53, _ := new(big.Int).SetString("9007199254740993", 10)
	for _, test := range []struct {
		a, b any
		want bool
	}{
		{nil, nil, true},
		{nil, false, false},
		{1, 1, true},
		{1, 2, false},
		{1, 1.0, true},
		{1, json.Number("1.0"), true},
		{1, "1", false},
		{9007199254740993, 9007199254740992.0, false},
		{big53, 9007199254740993, true},
		{big53, 9007199254740992.0, false},
		{json.Number("1.10"), json.Number("1.1"), true},
		{json.Number("1.10"), 1.1, true},
		{json.Number("0.1"), json.Number("0.1000000000000000055511151231257827"), false},
		{json.Number("0.1000000000000000055511151231257827"), 0.1, true},
		{json.Number("1e400"), json.Number("10e399"), true},
		{json.Number("1e400"), json.Number("1e401"), false},
		{json.Number("1e400"), math.Inf(1), true},
		{json.Number("-0"), 0, true},
		{json.Number("1e99999999999999999999"), json.Number("1e99999999999999999999"), true},
		{math.NaN(), math.NaN(), true},
		{math.NaN(), 1, false},
		{1e300, 1e300, true},
		{[]any{}, []any{}, true},
		{[]any{1, "a"}, []any{1.0, "a"}, true},
		{[]any{1}, []any{1, 2}, false},
		{map[string]any{"a": nil}, map[string]any{"b": nil}, false},
		{map[string]any{"a": []any{}}, map[string]any{"a": []any{}}, true},
		{map[string]any{}, []any{}, false},
	} {
		if got := value.Equal(test.a, test.b); got != test.want {
			t.Errorf("Equal(%v, %v) = %v, want %v", test.a, test.b, got, test.want)
		}
		if got := value.Equal(test.b, test.a); got != test.want {
			t.Errorf("Equal(%v, %v) = %v, want %v", test.b, test.a, got, test.want)
		}
	}
}

func TestPair(t *testing.T) {
	object := func(k string) map[string]any { return map[string]any{"k": k} }
	a, a2, b, c := object("a"), object("a"), object("b"), object("c")
	for _, test := range []struct {
		name          string
		before, after []any
		want          []int
	}{
		{"untouched", []any{a, b}, []any{a, b}, []int{0, 1}},
		{"first deleted", []any{a, b, c}, []any{b, c}, []int{1, 2}},
		{"reversed", []any{a, b, c}, []any{c, b, a}, []int{2, 1, 0}},
		{"identity before value", []any{a, a2, b}, []any{a2, a, c}, []int{1, 0, 2}},
		{"equal arrays", []any{a, a2}, []any{a2, a}, []int{0, 1}},
		{"value for what was rebuilt", []any{a, b}, []any{object("b"), object("a")}, []int{1, 0}},
		{"equal in its place before equal elsewhere", []any{a, a2}, []any{object("x"), object("a")}, []int{0, 1}},
		{"position for the rest, if the length is unchanged", []any{a, b}, []any{object("x"), object("y")}, []int{0, 1}},
		{"position only where both sides are free", []any{a, b}, []any{b, object("x")}, []int{1, -1}},
		{"no position when the length changed", []any{a, b}, []any{object("x")}, []int{-1}},
		{"used once", []any{a}, []any{a, a}, []int{0, -1}},
		{"scalars by spelling, then by value", []any{json.Number("1.0"), 1}, []any{1}, []int{1}},
		{"scalars by value", []any{json.Number("1.0"), 2}, []any{3, 1, 2}, []int{-1, 0, 1}},
		{"NaN", []any{math.NaN(), 2}, []any{math.Float64frombits(0x7ff8000000000002)}, []int{0}},
		{"from nothing", nil, []any{1}, []int{-1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p value.Pairer
			if diff := cmp.Diff(test.want, p.Pair(test.before, test.after)); diff != "" {
				t.Errorf("Pair (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPairOfManyChangedElementsIsLinear(t *testing.T) {
	const n = 200_000
	before, after := make([]any, n), make([]any, n)
	for i := range n {
		before[i], after[i] = i, fmt.Sprint(i)
	}
	var p value.Pairer
	if pairs := p.Pair(before, after); !value.InPlace(pairs, n) {
		t.Error("elements did not pair by position")
	}
}

func TestKey(t *testing.T) {
	for name, want := range map[string]string{"a_1": ".a_1", "1a": `["1a"]`, "a b": `["a b"]`, "": `[""]`, "é": `["é"]`} {
		if got := value.Key(name); got != want {
			t.Errorf("Key(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestPlacesRememberContainers(t *testing.T) {
	var p value.Places
	if _, ok := p.Get(value.ID{}); ok {
		t.Error("found what nobody put")
	}
	var all []any
	for i := range 1000 {
		v := any([]any{i})
		if i%2 == 0 {
			v = map[string]any{"n": i}
		}
		all = append(all, v)
		id, _ := value.Identity(v)
		p.Put(id, -1)
		p.Put(id, i)
	}
	for i, v := range all {
		id, _ := value.Identity(v)
		if n, ok := p.Get(id); !ok || n != i {
			t.Fatalf("got %d %v, want %d", n, ok, i)
		}
	}
	stranger, _ := value.Identity([]any{1})
	if _, ok := p.Get(stranger); ok {
		t.Error("found a stranger")
	}
	p.Reset(10)
	if id, _ := value.Identity(all[0]); p.Room() < 20 {
		t.Errorf("room for %d", p.Room())
	} else if _, ok := p.Get(id); ok {
		t.Error("found what was forgotten")
	}
}
