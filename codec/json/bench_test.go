package json_test

import (
	stdjson "encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
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

func BenchmarkEdit(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(size)
		codectest.Bench(b, fmt.Sprintf("sluice/%d", size), data, codectest.Editing(json.Codec{}, data, codectest.Masked))
		codectest.Bench(b, fmt.Sprintf("encoding-json/%d", size), data, func() error {
			var v any
			if err := stdjson.Unmarshal(data, &v); err != nil {
				return err
			}
			_, err := stdjson.Marshal(codectest.Masked(v))
			return err
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(size)
		codectest.Bench(b, fmt.Sprintf("sluice/%d", size), data, func() error {
			_, _, err := (json.Codec{}).Decode(data, codec.Limits{})
			return err
		})
		codectest.Bench(b, fmt.Sprintf("encoding-json/%d", size), data, func() error {
			var v any
			return stdjson.Unmarshal(data, &v)
		})
	}
}
