package stream_test

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/codec/stream"
)

// TestHostileEventCostsItsShare bounds what an event may cost: it holds no more
// than 50 bytes for each of its own, and does not take the square of its length.
func TestHostileEventCostsItsShare(t *testing.T) {
	const size = 2 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, text := range map[string]string{
		"comments": fill(":\n"), "empty data": fill("data\r"), "data": fill("data: x\n"), "events": fill("event\n"), "JSON lines": "data:[\n" + fill("data:1,\n") + "data:1]\n",
		"spaces": "data:" + fill(" "), "a number that is none": "data:" + fill("-"), "brackets": "data:" + fill("]"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			v, original, err := stream.SSE{}.Decode([]byte(text+"\n"), codec.Limits{})
			runtime.GC()
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if times := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / size; times > 50 {
				t.Errorf("holds %d times its size", times)
			}
			edited := maps.Clone(v.(map[string]any))
			edited["data"], edited["event"] = "x\ny", "e"
			if _, err := (stream.SSE{}).Encode(original, edited); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkEditEvent is an edit of one event of a stream, in place and by its value.
func BenchmarkEditEvent(b *testing.B) {
	event := []byte("id: 7\ndata: " + `{"id":7,"user":{"email":"ann@example.org","name":"Ann"},"tags":["new","sale"],"price":7.50}` + "\n\n")
	p := &plan.Plan{
		Places: []plan.Place{{Children: []int{1}}, {Kind: plan.Member, Key: "data", Children: []int{2}}, {Parent: 1, Kind: plan.Member, Key: "price"}},
		Body:   []plan.Stmt{{Op: plan.Set, Place: 2, Expr: &plan.Expr{Op: plan.Literal, Value: 8}}},
	}
	b.Run("in place", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r, err := (stream.SSE{}).Edit(nil, p, event, nil, codec.Limits{}); err != nil || r.Outcome != plan.Changed {
				b.Fatal(r, err)
			}
		}
	})
	b.Run("by value", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, original, err := stream.SSE{}.Decode(event, codec.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			after := maps.Clone(v.(map[string]any))
			data := maps.Clone(after["data"].(map[string]any))
			data["price"], after["data"] = 8, data
			if _, err := (stream.SSE{}).Encode(original, after); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// messages returns n messages of format, about 120 bytes each.
func messages(format stream.Format, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch format.Name() {
		case "sse":
			fmt.Fprintf(&b, "id: %d\ndata: ", i)
		case "json-seq":
			b.WriteByte(0x1e)
		}
		fmt.Fprintf(&b, `{"id":%d,"user":{"email":"ann%d@example.org","name":"Ann"},"tags":["new","sale"],"price":%d.50}`+"\n", i, i, i)
		if format.Name() == "sse" {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func TestStreamsTakeConstantMemory(t *testing.T) {
	for _, format := range formats {
		t.Run(format.Name(), func(t *testing.T) {
			some, splitter := messages(format, 50), format.Split(codec.Limits{})
			var before, after runtime.MemStats
			var buf []byte
			count, longest := 0, 0
			for range 400 {
				for piece := range bytes.SplitAfterSeq(some, []byte("a")) {
					buf = append(buf, piece...)
					longest = max(longest, len(buf))
					count += rewrite(t, format, splitter, &buf)
				}
				if count == 50 {
					runtime.GC()
					runtime.ReadMemStats(&before)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); count != 20_000 || longest > 1024 || held > 64<<10 {
				t.Errorf("%d messages held %d bytes, %d in the buffer", count, held, longest)
			}
		})
	}
}

// rewrite edits all messages in buf, and takes them out of it.
func rewrite(tb testing.TB, format stream.Format, splitter stream.Splitter, buf *[]byte) (count int) {
	for {
		n, msg, err := splitter.Next(*buf, false)
		if err != nil {
			tb.Fatal(err)
		}
		if n == 0 {
			return count
		}
		if msg != nil {
			v, original, err := format.Decode(bytes.Clone(msg), codec.Limits{})
			if err != nil {
				tb.Fatal(err)
			}
			if _, err := format.Encode(original, masked(v.(map[string]any))); err != nil {
				tb.Fatal(err)
			}
			count++
		}
		*buf = append((*buf)[:0], (*buf)[n:]...)
	}
}

// masked is .user.email = "x", in the data of an event if it is one.
func masked(v map[string]any) map[string]any {
	v = maps.Clone(v)
	if data, ok := v["data"].(map[string]any); ok {
		v["data"] = masked(data)
		return v
	}
	user := maps.Clone(v["user"].(map[string]any))
	user["email"] = "x"
	v["user"] = user
	return v
}

func BenchmarkRewrite(b *testing.B) {
	for _, format := range formats {
		text := messages(format, 1)
		b.Run(format.Name(), func(b *testing.B) {
			splitter := format.Split(codec.Limits{})
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = append(buf, text...)
				rewrite(b, format, splitter, &buf)
			}
		})
		b.Run(format.Name()+"-split", func(b *testing.B) {
			splitter := format.Split(codec.Limits{})
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if n, msg, err := splitter.Next(text, false); n != len(text) || msg == nil || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
