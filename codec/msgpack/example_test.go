package msgpack_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/msgpack"
)

// Only what was edited differs: the order of members and the width of integers
// stay, and with them keys that are integers.
func ExampleCodec() {
	v, original, err := msgpack.Codec{}.Decode([]byte("\x82\x02\xcd\x00\x07\xa5email\xa3ann"), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v)
	out, err := msgpack.Codec{}.Encode(original, map[string]any{"2": 7, "email": "x"})
	fmt.Printf("%q %v\n", out, err)
	// Output:
	// map[2:7 email:ann]
	// "\x82\x02\xcd\x00\a\xa5email\xa1x" <nil>
}
