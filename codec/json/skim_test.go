package json

import (
	"bytes"
	"fmt"
	"testing"
)

func BenchmarkSkim(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		var t bytes.Buffer
		t.WriteString(`{"user":{"id":7,"email":"ann@example.org"},"password":"hunter2","items":[`)
		for i := 0; t.Len() < size-80; i++ {
			if i > 0 {
				t.WriteByte(',')
			}
			fmt.Fprintf(&t, `{"id":%d,"sku":"A-%05d","price":%d.50,"tags":["new","sale"],"ok":true,"note":null}`, i, i, i)
		}
		t.WriteString(`]}`)
		data := t.Bytes()
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if !skimDocument(data, 512) {
					b.Fatal("refused")
				}
			}
		})
	}
}
