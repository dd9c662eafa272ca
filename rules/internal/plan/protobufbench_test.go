package plan

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/itchyny/gojq"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

// halfKiB is a kinds.All as services send it.
func halfKiB() []byte {
	text := func(b []byte, number protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
	}
	var b []byte
	b = text(b, 14, "order-8f14e45f")
	b = append(b, "\x30\x80\xd0\x95\xff\xbc\x31\x68\x01\x80\x01\x02"...)
	for i, name := range []string{"first item of the order", "second item of the order", "third item of the order", "fourth", "fifth"} {
		b = text(b, 22, string(text(nil, 1, name))+"\x10"+string(rune('a'+i)))
	}
	for _, word := range []string{"alpha", "beta", "gamma", "delta"} {
		b = text(b, 21, word)
	}
	b = text(b, 24, string(text(nil, 1, "a"))+"\x10\x05")
	b = text(b, 24, string(text(nil, 1, "b"))+"\x10\x06")
	b = text(b, 17, string(text(text(nil, 1, "customer"), 3, string(text(nil, 1, "address: 12 Long Street, Springfield, a country far away")))))
	b = text(b, 30, "\x08\x80\xe2\xcf\xaa\x06")
	return text(b, 19, "a note that is a little longer than the others")
}

// BenchmarkWire is each program as a plan, and as jq between Decode and Encode.
// What everyone does is beside them in codec/protobuf.
func BenchmarkWire(b *testing.B) {
	all, _ := wireCodecs(b)
	data := halfKiB()
	for _, program := range []struct{ name, src string }{
		{"simple", `.text = "masked" | del(.maybe_text)`},
		{"when", `if .flag and .i64 > 5 then .node.next.name = "x" else . end`},
		{"loop", `.nodes[].name = "x"`},
		{"filter", `.nodes |= map(select(.weight > 98))`},
		{"map", `.counts.a += 1`},
	} {
		b.Run(program.name+"/plan", func(b *testing.B) {
			p, why := Compile([]Step{{JQ: program.src}}, nil)
			if p == nil {
				b.Fatal(why)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				result, err := all.Edit(nil, p, data, nil, codec.Limits{})
				if err != nil || result.Outcome != plan.Changed {
					b.Fatal(result.Outcome, err)
				}
			}
		})
		b.Run(program.name+"/jq", func(b *testing.B) {
			p, problems := jq.Compile(program.src, nil)
			if p == nil {
				b.Fatal(problems)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				v, original, err := all.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				var out any
				if err := p.Run(context.Background(), v, nil, jq.Limits{}, time.Time{}, func(v any) error { out = v; return nil }); err != nil {
					b.Fatal(err)
				}
				if _, err := all.Encode(original, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnyOnWire is programs that no plan need know, as jq between Decode and
// Encode, and as everyone does it: dynamicpb, protojson and gojq.
func BenchmarkAnyOnWire(b *testing.B) {
	all, _ := wireCodecs(b)
	data := halfKiB()
	for _, program := range []struct{ name, src string }{
		{"simple", `.text = "masked" | del(.maybe_text)`},
		{"when", `if .flag and .i64 > 5 then .node.next.name = "x" else . end`},
		{"loop", `.nodes[].name = "x"`},
		{"each", `.nodes[] |= (.name |= ascii_upcase | del(.next))`},
		{"map", `.nodes |= map({name: (.name + "!"), weight})`},
		{"reduce", `.i64 = reduce .nodes[] as $n (0; . + ($n.name | length))`},
		{"group", `.words = (.nodes | group_by(.name | length % 2) | map(map(.name) | join(",")))`},
	} {
		b.Run(program.name+"/sluice", func(b *testing.B) {
			p, problems := jq.Compile(program.src, nil)
			if p == nil {
				b.Fatal(problems)
			}
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				v, original, err := all.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				var out any
				if err := p.Run(context.Background(), v, nil, jq.Limits{}, time.Time{}, func(v any) error { out = v; return nil }); err != nil {
					b.Fatal(err)
				}
				if _, err := all.Encode(original, out); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(program.name+"/standard", func(b *testing.B) { benchDynamic(b, program.src, data) })
	}
}

func benchDynamic(b *testing.B, src string, data []byte) {
	source, err := os.ReadFile("../../../codec/protobuf/testdata/kinds.proto")
	if err != nil {
		b.Fatal(err)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"kinds.proto": string(source)}),
	})}
	files, err := compiler.Compile(context.Background(), "kinds.proto")
	if err != nil {
		b.Fatal(err)
	}
	kind := files[0].Messages().ByName("All")
	query, err := gojq.Parse(src)
	if err != nil {
		b.Fatal(err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		in, out := dynamicpb.NewMessage(kind), dynamicpb.NewMessage(kind)
		if err := proto.Unmarshal(data, in); err != nil {
			b.Fatal(err)
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(in)
		if err != nil {
			b.Fatal(err)
		}
		v, _, err := json.Codec{}.Decode(text, codec.Limits{}) // exact numbers
		if err != nil {
			b.Fatal(err)
		}
		v, _ = code.Run(v).Next()
		if err := protojson.Unmarshal(json.AppendCompact(nil, v), out); err != nil {
			b.Fatal(err)
		}
		if _, err := proto.Marshal(out); err != nil {
			b.Fatal(err)
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
