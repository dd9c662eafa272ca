package encoding_test

import (
	"fmt"
	"testing"

	"github.com/sluice-proxy/sluice/codec/encoding"
)

// orders is a text of about size bytes as services send it.
func orders(size int) []byte {
	b := []byte(`{"user":{"id":7,"email":"ann@example.org","password":"hunter2"},"items":[`)
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, `{"id":%d,"sku":"A-%05d","price":%d.50,"tags":["new","sale"],"ok":true,"note":null},`, i, i*7919%99991, i)
	}
	return append(b, "null]}"...)
}

func BenchmarkDecode(b *testing.B) { bench(b, true) }

func BenchmarkEncode(b *testing.B) { bench(b, false) }

func bench(b *testing.B, decode bool) {
	for _, name := range []string{"gzip", "deflate", "br", "zstd"} {
		for _, size := range []int{1 << 10, 16 << 10} {
			s := mustParse(b, name)
			plain := orders(size)
			wire := mustEncode(b, s, plain)
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if decode {
						_, err = s.Decode(wire, encoding.Limits{})
					} else {
						_, err = s.Encode(plain)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(plain))/float64(len(wire)), "ratio")
			})
		}
	}
}
