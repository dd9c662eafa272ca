package yaml_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

// Only what was edited differs: comments, quotes and the order of members stay.
func ExampleCodec() {
	v, original, err := yaml.Codec{}.Decode([]byte("total: 1.10 # net\nemail: 'ann@example.org'\n"), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	edited := map[string]any{"total": v.(map[string]any)["total"], "email": "x", "checked": true}
	out, err := yaml.Codec{}.Encode(original, edited)
	fmt.Print(string(out), err)
	// Output:
	// total: 1.10 # net
	// email: 'x'
	// checked: true
	// <nil>
}
