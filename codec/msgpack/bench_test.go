package msgpack_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/msgpack"
)

// orders is a document of about size bytes as services send it.
func orders(b *testing.B, size int) []byte {
	var items []any
	for i := range size / 45 {
		items = append(items, map[string]any{"id": i, "sku": fmt.Sprintf("A-%05d", i), "price": float64(i) + 0.5, "tags": []any{"new", "sale"}, "ok": true})
	}
	data, err := msgpack.Codec{}.Encode(nil, map[string]any{
		"user": map[string]any{"id": 7, "email": "ann@example.org", "password": "hunter2"}, "items": items,
	})
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// masked is .user.email = "x" | del(.user.password), as gojq would leave it.
func masked(v any) any {
	root := maps.Clone(v.(map[string]any))
	user := maps.Clone(root["user"].(map[string]any))
	user["email"] = "x"
	delete(user, "password")
	root["user"] = user
	return root
}

func BenchmarkEdit(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(b, size)
		b.Run(fmt.Sprintf("sluice/%d", len(data)), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				v, original, err := msgpack.Codec{}.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := (msgpack.Codec{}).Encode(original, masked(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("msgp/%d", len(data)), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				v, _, err := msgp.ReadIntfBytes(data)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := msgp.AppendIntf(nil, masked(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
