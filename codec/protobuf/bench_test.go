package protobuf

import (
	"maps"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec"
	sluicejson "github.com/sluice-proxy/sluice/codec/json"
)

// half a KiB as services send it.
const benchText = `text: "order-8f14e45f" i64: 1700000000000 dbl: 12.5 color: GREEN flag: true at {seconds: 1700000000 nanos: 5000000}
	nodes {name: "first item of the order" weight: 12} nodes {name: "second item of the order" weight: 7 next {name: "packed"}}
	nodes {name: "third item of the order" weight: 3} nodes {name: "fourth" weight: 90} nodes {name: "fifth" weight: 1}
	counts {key: "a" value: 5} counts {key: "b" value: 6} words: ["alpha", "beta", "gamma", "delta"] numbers: [1, 2, 3, 500, 70000]
	node {name: "customer" next {name: "address: 12 Long Street, Springfield, a country far away" weight: 5}} maybe_text: "a note that is a little longer than the others"`

func BenchmarkEdit(b *testing.B) {
	files := testFiles(b)
	data := []byte(wire(b, files, "kinds.All", benchText))
	edit := func(v any) any {
		root := maps.Clone(v.(map[string]any))
		root["text"] = "masked"
		delete(root, "maybe_text")
		return root
	}
	b.Run("sluice", func(b *testing.B) {
		c := mustMessage(b, files, "kinds.All")
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			v, original, err := c.Decode(data, codec.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Encode(original, edit(v)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("dynamicpb-protojson", func(b *testing.B) {
		types := dynamicpb.NewTypes(files.schema.files)
		marshal := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true, Resolver: types}
		unmarshal := protojson.UnmarshalOptions{Resolver: types}
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			m := newDynamic(b, files, "kinds.All")
			if err := proto.Unmarshal(data, m); err != nil {
				b.Fatal(err)
			}
			text, err := marshal.Marshal(m)
			if err != nil {
				b.Fatal(err)
			}
			v, _, err := sluicejson.Codec{}.Decode(text, codec.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			m = newDynamic(b, files, "kinds.All")
			if err := unmarshal.Unmarshal(sluicejson.AppendCompact(nil, edit(v)), m); err != nil {
				b.Fatal(err)
			}
			if _, err := proto.Marshal(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
