package run

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// That what a run is sure of is what jq makes of it is shown where programs are
// compiled, in rules/internal/plan. Numbers at the borders are rare there.
func TestArithmeticIsSureOrDoubts(t *testing.T) {
	for _, test := range []struct {
		op   plan.ExprOp
		a, b any
		want any // nil: in doubt
	}{
		{plan.Add, 1<<61 - 1, -1 << 60, 1<<61 - 1 - 1<<60},
		{plan.Add, 1 << 61, 0, nil},
		{plan.Subtract, math.MinInt, 1, nil},
		{plan.Subtract, 1, math.MinInt, nil},
		{plan.Multiply, 1<<31 - 1, 1<<31 - 1, (1<<31 - 1) * (1<<31 - 1)},
		{plan.Multiply, math.MinInt, -1, nil},
		{plan.Multiply, -1 << 31, 1, nil},
		{plan.Divide, 7, 2, 3.5},
		{plan.Divide, -6, 2, -3},
		{plan.Divide, 1, 0, nil},
		{plan.Modulo, -7, 2, -1},
		{plan.Modulo, 7.5, 2, nil},
		{plan.Multiply, math.MaxFloat64, 2, nil},
		{plan.Add, math.NaN(), 1, nil},
		{plan.Add, json.Number("1.50"), 1, 2.5},
		{plan.Add, json.Number("12"), json.Number("-0"), 12},
		{plan.Add, json.Number("1e400"), 1, nil},
		{plan.Add, json.Number("123456789012345678"), 1, nil},
		{plan.Add, new(big.Int).Lsh(big.NewInt(1), 70), 1, nil},
		{plan.Add, nil, json.Number("1.10"), 1.1},
		{plan.Subtract, nil, 1, nil},
		{plan.Add, "a", 1, nil},
	} {
		r := Values{Outcome: plan.Changed, most: maxMade}
		v := r.arithmetic(test.op, r.FromValue(test.a), r.FromValue(test.b))
		var got any
		switch {
		case r.Outcome == plan.Unsure:
		case v.Form == Int:
			got = v.Int
		default:
			got = v.Float
		}
		if got != test.want {
			t.Errorf("%v of %v and %v is %v, want %v", test.op, test.a, test.b, got, test.want)
		}
	}
}

func TestTextsOfNumbersAreSureOrDoubt(t *testing.T) {
	for _, test := range []struct {
		v    any
		want string // empty: in doubt
	}{
		{-5, "-5"}, {0, "0"}, {json.Number("7"), "7"}, {json.Number("0"), "0"}, {true, "true"}, {nil, "null"}, {"x", "x"},
		{json.Number("-0"), ""}, {json.Number("007e0"), ""}, {1.0, ""}, {[]any{}, ""}, {math.Inf(1), ""},
	} {
		r := Values{Outcome: plan.Changed, most: maxMade}
		v := r.toString(r.FromValue(test.v))
		if got := string(v.Text); (r.Outcome == plan.Unsure) != (test.want == "") || r.Outcome != plan.Unsure && got != test.want {
			t.Errorf("%v is %q (%v), want %q", test.v, got, r.Outcome, test.want)
		}
	}
}

func TestNaNHasNoOrder(t *testing.T) {
	r := Values{Outcome: plan.Changed}
	nan, one := FloatVal(math.NaN()), IntVal(1)
	if r.compare(&nan, &one); r.Outcome != plan.Unsure {
		t.Error("a comparison with NaN is sure")
	}
}
