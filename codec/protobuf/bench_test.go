package protobuf

import (
	"testing"

	"github.com/itchyny/gojq"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec"
	sluicejson "github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// half a KiB as services send it.
const benchText = `text: "order-8f14e45f" i64: 1700000000000 dbl: 12.5 color: GREEN flag: true at {seconds: 1700000000 nanos: 5000000}
	nodes {name: "first item of the order" weight: 12} nodes {name: "second item of the order" weight: 7 next {name: "packed"}}
	nodes {name: "third item of the order" weight: 3} nodes {name: "fourth" weight: 90} nodes {name: "fifth" weight: 1}
	counts {key: "a" value: 5} counts {key: "b" value: 6} words: ["alpha", "beta", "gamma", "delta"] numbers: [1, 2, 3, 500, 70000]
	node {name: "customer" next {name: "address: 12 Long Street, Springfield, a country far away" weight: 5}} maybe_text: "a note that is a little longer than the others"`

func literalText(s string) *plan.Expr {
	return &plan.Expr{Op: plan.Literal, Value: s, Text: []byte(s)}
}

// benchPlans are programs with the plans that rules make of them.
var benchPlans = []struct {
	name, src string
	plan      *plan.Plan
}{
	{"simple", `.text = "masked" | del(.maybe_text)`, &plan.Plan{
		Places: []plan.Place{{Children: []int{1, 2}}, {Kind: plan.Member, Key: "text"}, {Kind: plan.Member, Key: "maybe_text"}},
		Body: []plan.Stmt{
			{Op: plan.Set, Place: 1, By: literalText("masked"), Expr: &plan.Expr{Op: plan.Operand}},
			{Op: plan.Delete, Place: 2},
		},
	}},
	{"when", `if .flag and .i64 > 5 then .node.next.name = "x" else . end`, &plan.Plan{
		Places: []plan.Place{
			{Children: []int{1, 2, 3}}, {Kind: plan.Member, Key: "flag"}, {Kind: plan.Member, Key: "i64"},
			{Kind: plan.Member, Key: "node", Children: []int{4}}, {Parent: 3, Kind: plan.Member, Key: "next", Children: []int{5}}, {Parent: 4, Kind: plan.Member, Key: "name"},
		},
		Body: []plan.Stmt{{
			Op: plan.If,
			Expr: &plan.Expr{Op: plan.And, Args: []*plan.Expr{
				{Op: plan.Read, Place: 1}, {Op: plan.Greater, Args: []*plan.Expr{{Op: plan.Read, Place: 2}, {Op: plan.Literal, Value: 5}}},
			}},
			Then: []plan.Stmt{{Op: plan.Set, Place: 5, By: literalText("x"), Expr: &plan.Expr{Op: plan.Operand}}},
		}},
	}},
	{"loop", `.nodes[].name = "x"`, &plan.Plan{
		Places: []plan.Place{
			{Children: []int{1}}, {Kind: plan.Member, Key: "nodes", Children: []int{2}},
			{Parent: 1, Kind: plan.Every, Children: []int{3}}, {Parent: 2, Kind: plan.Member, Key: "name"},
		},
		Body: []plan.Stmt{{Op: plan.Set, Place: 3, By: literalText("x"), Expr: &plan.Expr{Op: plan.Operand}}},
	}},
}

// BenchmarkEdit is each program as a plan, as jq behind our own decoder, and as
// everyone does it: dynamicpb, protojson and gojq.
func BenchmarkEdit(b *testing.B) {
	files := testFiles(b)
	data := []byte(wire(b, files, "kinds.All", benchText))
	c := mustMessage(b, files, "kinds.All")
	for _, p := range benchPlans {
		b.Run(p.name+"/plan", func(b *testing.B) {
			start(b, data)
			room := make([]byte, 0, 2*len(data))
			for b.Loop() {
				result, err := c.Edit(room, p.plan, data, nil, codec.Limits{})
				if err != nil || result.Outcome != plan.Changed {
					b.Fatal(result.Outcome, err)
				}
			}
		})
		code := compileBench(b, p.src)
		b.Run(p.name+"/jq", func(b *testing.B) {
			start(b, data)
			for b.Loop() {
				v, original, err := c.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				v, _ = code.Run(v).Next()
				if _, err := c.Encode(original, v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.name+"/dynamicpb-protojson", func(b *testing.B) {
			o := newOracle(files, c)
			start(b, data)
			for b.Loop() {
				v, _ := code.Run(o.decode(b, data)).Next()
				o.encode(b, v)
			}
		})
	}
}

// BenchmarkDecode and BenchmarkEncode are the two directions alone.
func BenchmarkDecode(b *testing.B) {
	files := testFiles(b)
	data := []byte(wire(b, files, "kinds.All", benchText))
	c := mustMessage(b, files, "kinds.All")
	b.Run("sluice", func(b *testing.B) {
		start(b, data)
		for b.Loop() {
			if _, _, err := c.Decode(data, codec.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("dynamicpb-protojson", func(b *testing.B) {
		o := newOracle(files, c)
		start(b, data)
		for b.Loop() {
			o.decode(b, data)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	files := testFiles(b)
	data := []byte(wire(b, files, "kinds.All", benchText))
	c := mustMessage(b, files, "kinds.All")
	o := newOracle(files, c)
	v, original, err := c.Decode(data, codec.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	edited, _ := compileBench(b, benchPlans[0].src).Run(v).Next()
	for _, bench := range []struct {
		name     string
		original codec.Original
	}{{"difference", original}, {"anew", nil}} {
		b.Run(bench.name, func(b *testing.B) {
			start(b, data)
			for b.Loop() {
				if _, err := c.Encode(bench.original, edited); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("dynamicpb-protojson", func(b *testing.B) {
		v := o.decode(b, data)
		start(b, data)
		for b.Loop() {
			o.encode(b, v)
		}
	})
}

func start(b *testing.B, data []byte) {
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
}

func compileBench(b *testing.B, src string) *gojq.Code {
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

// oracle goes from bytes to values by way of dynamicpb and its JSON form.
type oracle struct {
	message   protoreflect.MessageDescriptor
	marshal   protojson.MarshalOptions
	unmarshal protojson.UnmarshalOptions
}

func newOracle(files *Files, c codec.Codec) *oracle {
	types := dynamicpb.NewTypes(files.schema.files)
	d, _ := files.schema.files.FindDescriptorByName(protoreflect.FullName(c.(messageCodec).message.name))
	return &oracle{
		message:   d.(protoreflect.MessageDescriptor),
		marshal:   protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true, Resolver: types},
		unmarshal: protojson.UnmarshalOptions{Resolver: types},
	}
}

func (o *oracle) decode(b *testing.B, data []byte) codec.Value {
	m := dynamicpb.NewMessage(o.message)
	if err := proto.Unmarshal(data, m); err != nil {
		b.Fatal(err)
	}
	text, err := o.marshal.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	v, _, err := sluicejson.Codec{}.Decode(text, codec.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func (o *oracle) encode(b *testing.B, v codec.Value) {
	m := dynamicpb.NewMessage(o.message)
	if err := o.unmarshal.Unmarshal(sluicejson.AppendCompact(nil, v), m); err != nil {
		b.Fatal(err)
	}
	if _, err := proto.Marshal(m); err != nil {
		b.Fatal(err)
	}
}
