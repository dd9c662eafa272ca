package protobuf_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/protobuf"
)

// A field that no descriptor names, here number 9, survives an edit.
func ExampleNewFiles() {
	files, err := protobuf.NewFiles(protobuf.File{Name: "shop.proto", Data: []byte(`
		syntax = "proto3";
		message Order { int64 id = 1; string email = 2; repeated string tags = 3; }
	`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := files.Message("Order")
	if err != nil {
		fmt.Println(err)
		return
	}
	v, original, err := order.Decode([]byte("\x08\x07\x12\x03ann\x4a\x03new"), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", json.AppendCompact(nil, v))
	out, err := order.Encode(original, map[string]any{"id": 7, "email": "x"})
	fmt.Printf("%q %v\n", out, err)
	// Output:
	// {"email":"ann","id":7,"tags":[]}
	// "\b\a\x12\x01xJ\x03new" <nil>
}
