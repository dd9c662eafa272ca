package json_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
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
