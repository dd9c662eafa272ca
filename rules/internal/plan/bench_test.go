package plan

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

// orders is a text of about size bytes as services send it.
func orders(size int) []byte {
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

// BenchmarkEdit is each program as a plan, as jq behind our own decoder, and as
// everyone does it: encoding/json and gojq.
func BenchmarkEdit(b *testing.B) {
	for _, program := range []struct{ name, src string }{
		{"simple", `.user.email = "x" | del(.password)`},
		{"when", `if .user.id == 7 and (.items | length) > 0 then .user.email |= ascii_downcase else . end`},
		{"loop", `.items[].sku = "x"`},
		{"update", `.items[].price |= . * 2`},
		{"filter", `.items |= map(select(.id > 3))`},
		{"sum", `.total = ([.items[] | .price * .id] | add)`},
		{"reduce", `.total = reduce .items[] as $i (0; . + $i.price * $i.id)`},
	} {
		for _, size := range []int{1 << 10, 16 << 10} {
			text := orders(size)
			at := func(route string) string { return fmt.Sprintf("%s/%d/%s", program.name, size, route) }
			if program.name != "reduce" {
				b.Run(at("plan"), func(b *testing.B) { benchPlan(b, program.src, text) })
			}
			b.Run(at("jq"), func(b *testing.B) { benchJQ(b, program.src, text) })
			b.Run(at("encoding-json"), func(b *testing.B) { benchStandard(b, program.src, text) })
		}
	}
}

func benchPlan(b *testing.B, src string, text []byte) {
	p, why := Compile([]Step{{JQ: src}}, nil)
	if p == nil {
		b.Fatal(why)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	room := make([]byte, 0, 2*len(text))
	for b.Loop() {
		result, err := json.Codec{}.Edit(room, p, text, nil, codec.Limits{})
		if err != nil || result.Outcome == plan.Unsure {
			b.Fatal(result.Outcome, err)
		}
	}
}

func benchJQ(b *testing.B, src string, text []byte) {
	p, problems := jq.Compile(src, nil)
	if p == nil {
		b.Fatal(problems)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
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
	q, err := gojq.Parse(src)
	if err != nil {
		b.Fatal(err)
	}
	code, err := gojq.Compile(q)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
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
