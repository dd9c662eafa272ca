package msgpack_test

import (
	"fmt"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/sluice-proxy/sluice/codec/codectest"
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

func BenchmarkEdit(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(b, size)
		codectest.Bench(b, fmt.Sprintf("sluice/%d", len(data)), data, codectest.Editing(msgpack.Codec{}, data, codectest.Masked))
		codectest.Bench(b, fmt.Sprintf("msgp/%d", len(data)), data, func() error {
			v, _, err := msgp.ReadIntfBytes(data)
			if err != nil {
				return err
			}
			_, err = msgp.AppendIntf(nil, codectest.Masked(v))
			return err
		})
	}
}
