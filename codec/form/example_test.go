package form_test

import (
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/form"
)

// Only the pair that was edited differs: order and escapes stay.
func ExampleCodec() {
	v, original, err := form.Codec{}.Decode([]byte("b=%7e&tag=x+y&password=hunter2&tag=z"), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	o := v.(map[string]any)
	out, err := form.Codec{}.Encode(original, map[string]any{"b": o["b"], "tag": o["tag"], "tier": "gold & more"})
	fmt.Println(string(out), err)
	// Output: b=%7e&tag=x+y&tag=z&tier=gold+%26+more <nil>
}

// A file passes as it is.
func ExampleMultipart() {
	c, err := form.Multipart{}.For("multipart/form-data; boundary=x")
	if err != nil {
		fmt.Println(err)
		return
	}
	text := "--x\r\nContent-Disposition: form-data; name=note\r\n\r\nhi\r\n--x\r\nContent-Disposition: form-data; name=scan; filename=a.png\r\n\r\n\x89PNG\r\n--x--\r\n"
	v, original, err := c.Decode([]byte(text), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	scan := v.(map[string]any)["scan"]
	fmt.Println(scan)
	out, err := c.Encode(original, map[string]any{"note": "hello", "scan": scan})
	fmt.Println(string(out) == strings.Replace(text, "hi", "hello", 1), err)
	// Output:
	// map[filename:a.png size:4]
	// true <nil>
}
