package xml_test

import (
	"fmt"
	"maps"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/xml"
)

// Only what was edited differs: order, white space, quotes and comments stay.
func ExampleCodec() {
	v, original, err := xml.Codec{}.Decode([]byte("<order id='7'>\n  <!-- from the shop -->\n  <total>1.10</total>\n  <email>ann@example.org</email>\n</order>"), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	order := maps.Clone(v.(map[string]any)["order"].(map[string]any))
	order["email"], order["checked"] = "x", true
	out, err := xml.Codec{}.Encode(original, map[string]any{"order": order})
	fmt.Printf("%s\n%v\n", out, err)
	// Output:
	// <order id='7'>
	//   <!-- from the shop -->
	//   <total>1.10</total>
	//   <email>x</email>
	//   <checked>true</checked>
	// </order>
	// <nil>
}

// A rule that loops over items needs an array even where there is one.
func ExampleCodec_arrays() {
	data := []byte("<order><items><item>pen</item></items></order>")
	for _, c := range []xml.Codec{{}, {Arrays: []string{"order.items.item"}}} {
		v, _, err := c.Decode(data, codec.Limits{})
		fmt.Println(v, err)
	}
	// Output:
	// map[order:map[items:map[item:pen]]] <nil>
	// map[order:map[items:map[item:[pen]]]] <nil>
}
