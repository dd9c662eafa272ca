package rules_test

import (
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
)

// BenchmarkStep is what one step costs, with a body of 1 KiB where it reads one: from
// its bytes to the bytes that are sent. forGojq makes a program one that only gojq can run.
func BenchmarkStep(b *testing.B) {
	const (
		simple  = `.user.email = "x" | del(.password)`
		total   = `del(.password) | .total = reduce .items[] as $i (0; . + $i.price * $i.quantity)`
		forGojq = `(try error("x") catch .) as $x | `
		refuses = `.user.id > 100 or any(.items[]; .quantity > 1000)`
	)
	text := stepText()
	for _, c := range []struct {
		name, steps string
		planned     bool
	}{
		{"jq/plan", "  - jq: '" + simple + "'\n", true},
		{"jq/closures", "  - jq: '" + simple + "'\n", false},
		{"jq/gojq", "  - jq: '" + forGojq + simple + "'\n", false},
		{"fold/closures", "  - jq: '" + total + "'\n", false},
		{"fold/gojq", "  - jq: '" + forGojq + total + "'\n", false},
		{"when/plan", "  - when: .user.id > 100\n    jq: '" + simple + "'\n", true},
		{"when/value", "  - when: .user.id > 100\n    jq: '" + simple + "'\n", false},
		{"reject/plan", "  - when: '" + refuses + "'\n    reject: {status: 403}\n", true},
		{"reject/value", "  - when: '" + refuses + "'\n    reject: {status: 403}\n", false},
	} {
		b.Run(c.name, func(b *testing.B) {
			steps, in := stepsOf(b, c.steps), inputOf(time.Now())
			b.ReportAllocs()
			for b.Loop() {
				if c.planned {
					if _, _, sure, err := steps.RunOn(b.Context(), in, json.Codec{}, text, codec.Limits{}); !sure || err != nil {
						b.Fatal(sure, err)
					}
					continue
				}
				value, original, err := json.Codec{}.Decode(text, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				in.Body.Value = value
				out, err := steps.Run(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				if !out.Edited {
					continue
				}
				if _, err := (json.Codec{}).Encode(original, out.Messages[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, c := range []struct{ name, steps string }{
		{"head/edits", "  - head: .headers[\"x-tier\"] = \"gold\" | .query.v = \"2\"\n"},
		{"head/passes", "  - when: .method == \"PUT\"\n    head: .headers[\"x-tier\"] = \"gold\" | .query.v = \"2\"\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			steps, in := stepsOf(b, c.steps), inputOf(time.Now())
			in.Head = &rules.Head{Method: "POST", Path: "/v1/orders", Query: "page=1", Host: "orders", Fields: rules.Fields{
				{Name: "User-Agent", Value: "curl/8"}, {Name: "Accept", Value: "*/*"}, {Name: "Content-Type", Value: "application/json"},
				{Name: "Content-Length", Value: "1024"}, {Name: "X-Tenant", Value: "acme"}, {Name: "Authorization", Value: "Bearer x"},
			}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := steps.Run(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// stepText is a body of 1 KiB.
func stepText() []byte {
	text := []byte(`{"user":{"email":"ada@example.com","id":7},"password":"secret","items":[`)
	for len(text) < 1000 {
		text = append(text, `{"sku":"gear-12","quantity":2,"price":49.95},`...)
	}
	return append(text[:len(text)-1], "]}"...)
}
