package jq_test

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

// benchPrograms are what rules do, in loops and without.
func benchPrograms() [][2]string {
	return [][2]string{
		{"simple", `.user.email = "x" | del(.password)`},
		{"when", `if .user.id == 7 and (.items | length) > 0 then .user.email |= ascii_downcase else . end`},
		{"update", `.items[].price |= . * 2`},
		{"each", `.items[] |= (.total = .price * .id | del(.note))`},
		{"map", `.items |= map({sku, cost: .price, tags: (.tags | join(","))})`},
		{"filter", `.items |= map(select(.ok and .id > 3))`},
		{"reduce", `.total = reduce .items[] as $i (0; . + $i.price * $i.id)`},
		{"group", `.groups = (.items | group_by(.id % 3) | map({key: .[0].id, n: length, sum: (map(.price) | add)})) | del(.items)`},
		{"entries", `.user |= with_entries(.value |= tostring)`},
		{"delete", `del(.items[] | select(.id % 2 == 0))`},
		{"text", `.items[].sku |= "\(ascii_downcase)-\(length)"`},
	}
}

// benchOrders is a text of about size bytes as services send it.
func benchOrders(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"user":{"id":7,"email":"ann@example.org"},"password":"hunter2","items":[`)
	for i := 0; b.Len() < size-80; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"sku":"A-%05d","price":%d.50,"tags":["new","sale"],"ok":true,"note":null}`, i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkRoute is each program behind our own decoder and before our own
// encoder, and as everyone does it: encoding/json and gojq.
func BenchmarkRoute(b *testing.B) {
	for _, program := range benchPrograms() {
		for _, size := range []int{1 << 10, 16 << 10} {
			text := benchOrders(size)
			at := fmt.Sprintf("%s/%d", program[0], size)
			b.Run(at+"/sluice", func(b *testing.B) { benchOwn(b, program[1], text) })
			b.Run(at+"/standard", func(b *testing.B) { benchStandard(b, program[1], text) })
		}
	}
}

// reportCPU measures up to the call of what it returns what the processor
// spends on the benchmark and on its garbage: other load changes it little.
func reportCPU(b *testing.B) func() {
	spent := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op") }
}

func benchOwn(b *testing.B, src string, text []byte) {
	p, problems := jq.Compile(src, nil)
	if p == nil {
		b.Fatal(problems)
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		v, original, err := json.Codec{}.Decode(text, codec.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		var out any
		err = p.Run(context.Background(), v, nil, jq.Limits{}, time.Time{}, func(v any) error { out = v; return nil })
		if err != nil {
			b.Fatal(err)
		}
		if _, err := (json.Codec{}).Encode(original, out); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStandard(b *testing.B, src string, text []byte) {
	code := benchGojq(b, src)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		var v any
		if err := stdjson.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
		out, _ := code.Run(v).Next()
		if _, err := stdjson.Marshal(out); err != nil {
			b.Fatal(err)
		}
	}
}

func benchGojq(b *testing.B, src string) *gojq.Code {
	b.Helper()
	q, err := gojq.Parse(src)
	if err != nil {
		b.Fatal(err)
	}
	code, err := gojq.Compile(q)
	if err != nil {
		b.Fatal(err)
	}
	return code
}

// BenchmarkRun is a run alone, beside gojq without a context: neither meter nor
// bounds.
func BenchmarkRun(b *testing.B) {
	text := benchOrders(16 << 10)
	v, _, err := json.Codec{}.Decode(text, codec.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for _, program := range benchPrograms() {
		b.Run(program[0]+"/sluice", func(b *testing.B) {
			p, problems := jq.Compile(program[1], nil)
			if p == nil {
				b.Fatal(problems)
			}
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				if err := p.Run(context.Background(), v, nil, jq.Limits{}, time.Time{}, func(any) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(program[0]+"/gojq", func(b *testing.B) {
			code := benchGojq(b, program[1])
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				if err, ok := code.Run(v).Next(); !ok {
					b.Fatal(err)
				}
			}
		})
	}
}
