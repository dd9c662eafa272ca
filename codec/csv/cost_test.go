package csv_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
)

// TestHostileTextCostsItsShare bounds what a text may cost: it holds no more
// than 50 bytes for each of its own, and does not take the square of its length.
func TestHostileTextCostsItsShare(t *testing.T) {
	const size = 1 << 20
	fill := func(first, s string) string { return first + strings.Repeat(s, (size-len(first))/len(s)) }
	for _, test := range []struct {
		name     string
		codec    csv.Codec
		data     string
		tooLarge bool
	}{
		{"commas", csv.Codec{}, fill("", ","), true},
		{"commas in rows", csv.Codec{NoHeader: true}, fill("", strings.Repeat(",", 10_000)+"\n"), false},
		{"small rows", csv.Codec{}, fill("", "a\n"), true},
		{"rows at the limit", csv.Codec{}, fill("", "a,b,c,d,e\n"), false},
		{"rows of nine", csv.Codec{}, fill("a,b,c,d,e,f,g,h,i\n", "1,2,3,4,5,6,7,8,9\n"), false},
		{"blank lines", csv.Codec{}, fill("", "\n"), false},
		{"quotes", csv.Codec{NoHeader: true}, fill(`""`, `""`), false},
		{"an open quote", csv.Codec{}, fill("a\n", `"`), false},
		{"a wide header row", csv.Codec{}, fill(strings.Repeat(",", 60_000)+"\n", "1,2\n"), true},
		{"one long row", csv.Codec{}, fill("a\n"+strings.Repeat(",", 60_000)+"\n", "12345678901\n"), true},
		{"long rows", csv.Codec{}, fill("a\n", strings.Repeat("1,", 50_000)+"\n"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.data)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			v, original, err := test.codec.Decode(data, codec.Limits{Size: size})
			runtime.GC()
			runtime.ReadMemStats(&after)
			if test.tooLarge != errors.Is(err, codec.ErrTooLarge) {
				t.Errorf("error %v", err)
			}
			if times := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / size; times > 50 {
				t.Errorf("holds %d times its size", times)
			}
			if err != nil {
				return
			}
			rows := v.([]any)
			if _, err := test.codec.Encode(original, rows[len(rows)/2:]); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestShortRowsUnderAWideHeaderStayCheap writes rows as long as a wide header row.
func TestShortRowsUnderAWideHeaderStayCheap(t *testing.T) {
	text := strings.Repeat(",", 60_000) + "\n" + strings.Repeat("1\n", 300)
	for _, program := range []string{`._50000 = "x"`, `., {_1: 1}`} {
		_, _, err := pass(csv.Codec{}, text, program, len(text), codec.Limits{})
		if !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s: error %v, want one that wraps ErrTooLarge", program, err)
		}
	}
}

func BenchmarkEdit(b *testing.B) {
	var text strings.Builder
	text.WriteString("id,name,email,price,note\n")
	for i := 0; text.Len() < 16<<10; i++ {
		fmt.Fprintf(&text, "%d,\"name %d\",user%d@example.org,%d.50,\"a, \"\"quoted\"\" note\"\n", i, i, i, i)
	}
	data := []byte(text.String())
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			v, original, err := csv.Codec{}.Decode(data, codec.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			rows := append([]any(nil), v.([]any)...)
			rows[3] = masked(rows[3])
			if _, err := (csv.Codec{}).Encode(original, rows); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rows", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			rows, buf := csv.Codec{}.Rows(codec.Limits{}), data
			for {
				n, row, err := rows.Next(buf, true)
				if err != nil {
					b.Fatal(err)
				}
				if n == 0 {
					break
				}
				v, original, err := rows.Decode(row, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := rows.Encode(original, masked(v)); err != nil {
					b.Fatal(err)
				}
				buf = buf[n:]
			}
		}
	})
}

func masked(row any) map[string]any {
	m := map[string]any{}
	for k, v := range row.(map[string]any) {
		m[k] = v
	}
	m["email"] = "x"
	return m
}
