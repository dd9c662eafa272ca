package json_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// Only what was edited differs: white space, order and number spelling stay.
func ExampleCodec() {
	v, original, err := json.Codec{}.Decode([]byte(`{"total": 1.10, "email": "ann@example.org"}`), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	edited := map[string]any{"total": v.(map[string]any)["total"], "email": "x", "checked": true}
	out, err := json.Codec{}.Encode(original, edited)
	fmt.Println(string(out), err)
	// Output: {"total": 1.10, "email": "x", "checked": true} <nil>
}

// The plan of .email = "x" | del(.password), as a compiler of programs makes
// it, edits the bytes: no value is made of them.
func ExampleCodec_Edit() {
	p := &plan.Plan{
		Places: []plan.Place{
			{Children: []int{1, 2}},
			{Kind: plan.Member, Key: "email"},
			{Kind: plan.Member, Key: "password"},
		},
		Body: []plan.Stmt{
			{Op: plan.Set, Place: 1, Expr: &plan.Expr{Op: plan.Literal, Value: "x", Text: []byte("x")}},
			{Op: plan.Delete, Place: 2},
		},
	}
	result, err := json.Codec{}.Edit(nil, p, []byte(`{"email": "ann@example.org", "total": 1.10, "password": "p"}`), nil, codec.Limits{})
	fmt.Println(result.Outcome == plan.Changed, string(result.Data), err)
	// Output: true {"email": "x", "total": 1.10} <nil>
}
