package json_test

import (
	stdjson "encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

// orders is a text of about size bytes as services send it.
func orders(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"user":{"id":7,"email":"ann@example.org","password":"hunter2"},"items":[`)
	for i := 0; b.Len() < size-80; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"sku":"A-%05d","price":%d.50,"tags":["new","sale"],"ok":true,"note":null}`, i, i, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
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
		data := orders(size)
		b.Run(fmt.Sprintf("sluice/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				v, original, err := json.Codec{}.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := (json.Codec{}).Encode(original, masked(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encoding-json/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var v any
				if err := stdjson.Unmarshal(data, &v); err != nil {
					b.Fatal(err)
				}
				if _, err := stdjson.Marshal(masked(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(size)
		b.Run(fmt.Sprintf("sluice/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := (json.Codec{}).Decode(data, codec.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encoding-json/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var v any
				if err := stdjson.Unmarshal(data, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
