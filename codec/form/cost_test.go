package form_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/form"
)

// TestHostileFormCostsItsShare bounds what a form may cost: it holds no more than
// 50 bytes for each of its own, and does not take the square of its length.
func TestHostileFormCostsItsShare(t *testing.T) {
	const size = 1 << 20
	fill := func(first, s string) string { return first + strings.Repeat(s, (size-len(first))/len(s)) }
	var names strings.Builder
	for i := 0; names.Len() < size-8; i++ {
		names.WriteString(strconv.FormatInt(int64(i), 36) + "&")
	}
	part := text("B", "Content-Disposition: form-data; name=a", "", "", "")
	for _, test := range []struct {
		name  string
		codec codec.Codec
		data  string
	}{
		{"pairs of one name", form.Codec{}, fill("", "a&")},
		{"names", form.Codec{}, names.String()},
		{"no pairs", form.Codec{}, fill("", "&")},
		{"escapes", form.Codec{}, fill("", "%41")},
		{"a long value", form.Codec{}, fill("a=", "=")},
		{"parts", withBoundary(t), fill("", part) + text("B--")},
		{"boundaries in a line", withBoundary(t), strings.Replace(part, "a\r\n\r\n", "a\r\n\r\n"+fill("v", text("B")), 1) + text("B--")},
		{"headers", withBoundary(t), text("B") + fill("\r\n", "a:\r\n") + part[len("--x(y\r\n"):] + text("B--")},
		{"folded lines", withBoundary(t), text("B") + fill("\r\na:", "\r\n ") + "\r\n" + part[len("--x(y\r\n"):] + text("B--")},
		{"parameters", withBoundary(t), text("B", "") + strings.Replace(part[len("--x(y\r\n"):], "name=a", fill("name=a", "; filename*1=a"), 1) + text("B--")},
		{"a long preamble", withBoundary(t), fill("", "\r\n--x(") + text("", "B--")},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.data)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			v, original, err := test.codec.Decode(data, codec.Limits{})
			runtime.GC()
			runtime.ReadMemStats(&after)
			if times := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / size; times > 50 {
				t.Errorf("holds %d times its size", times)
			}
			if err != nil && test.name != "parameters" {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if a, ok := v.(map[string]any)["a"].([]any); ok {
				v = map[string]any{"a": a[:len(a)/2]}
			} else {
				v = map[string]any{"n": "1"}
			}
			if _, err := test.codec.Encode(original, v); err != nil {
				t.Error(err)
			}
		})
	}
}

func BenchmarkEdit(b *testing.B) {
	data := []byte("csrf=0123456789abcdef" + strings.Repeat("&item%5B%5D=a+b%2Cc&quantity=7&note=", 40) + "&email=ann%40example.org")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		v, original, err := form.Codec{}.Decode(data, codec.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		edited := map[string]any{}
		for k, v := range v.(map[string]any) {
			edited[k] = v
		}
		edited["email"] = "x"
		if _, err := (form.Codec{}).Encode(original, edited); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMultipartEdit(b *testing.B) {
	c, err := form.NewMultipart("x")
	if err != nil {
		b.Fatal(err)
	}
	data := []byte("--x\r\nContent-Disposition: form-data; name=email\r\n\r\nann@example.org\r\n--x\r\nContent-Disposition: form-data; name=f; filename=f.png\r\n\r\n" + strings.Repeat("\x00\xff\r\n", 1<<15) + "\r\n--x--\r\n")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Encode(original, map[string]any{"email": "x", "f": v.(map[string]any)["f"]}); err != nil {
			b.Fatal(err)
		}
	}
}
