package protobuf

import (
	"errors"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/plan"
)

func testFiles(t testing.TB) *Files {
	t.Helper()
	var sources []File
	for _, name := range []string{"kinds.proto", "old.proto", "edition.proto"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, File{name, data})
	}
	files, err := NewFiles(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func mustMessage(t testing.TB, files *Files, name string) plan.Editor {
	t.Helper()
	c, err := files.Message(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.(plan.Editor)
}

func newDynamic(t testing.TB, files *Files, name string) *dynamicpb.Message {
	t.Helper()
	d, err := files.schema.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
}

// wire returns the bytes of a message in the text format.
func wire(t testing.TB, files *Files, name, text string) string {
	t.Helper()
	m := newDynamic(t, files, name)
	options := prototext.UnmarshalOptions{AllowPartial: true, Resolver: dynamicpb.NewTypes(files.schema.files)}
	if err := options.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	b, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unknown is a field that no test message has.
var unknown = string(protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "kept"))

// sized is a length-delimited field.
func sized(number protowire.Number, body string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), body))
}

func varint(number protowire.Number, n uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), n))
}

func TestContract(t *testing.T) {
	files := testFiles(t)
	all := func(text string) string { return wire(t, files, "kinds.All", text) }
	node := func(text string) string { return wire(t, files, "kinds.Node", text) }
	big64 := new(big.Int).SetUint64(math.MaxUint64)
	const everything = `i32: -1 s32: -2 u32: 3 f32: 4 sf32: -5 i64: -9223372036854775808 s64: -9007199254740993 u64: 18446744073709551615
		f64: 9 sf64: -10 flt: 0.1 dbl: 0.1 flag: true text: "é" data: "\x00\xff" color: GREEN node {name: "n"} maybe: 0 maybe_text: ""
		numbers: [1, 2] words: ["a", ""] nodes {} nodes {weight: 1} loose: [3, 4] counts {key: "k" value: 5} by_id {key: -1 value {name: "m"}}
		by_flag {key: true value: RED} by_big {key: 18446744073709551615 value: "big"} pick_number: 0`
	codectest.Run(t, codectest.Suite{
		Codec: mustMessage(t, files, "kinds.All"),
		Lossy: []string{"an Any that is not what it says"},
		Invalid: []string{
			"\x08", "\x0a\x05a", "\x00\x01", "\x0f", "\x0b", "\x72\x01\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x8a\x01\x02\x0a\x05",
			"\xa2\x01\x01\xff", "\xc2\x01\x02\x0a\x05",
		},
		Cases: []codectest.Case{
			{
				Name: "empty", In: "",
				Edits: []codectest.Edit{
					{JQ: ".i32 = 5", Out: all("i32: 5")},
					{JQ: ".maybe = 0", Out: all("maybe: 0")},
					{JQ: ".node = {}", Out: all("node {}")},
					{JQ: ".pick_text = \"\"", Out: all("pick_text: \"\"")},
					{JQ: "{}", Out: ""},
					{JQ: ".words = null | del(.counts, .i32)", Out: ""},
					{JQ: ".i32 = \"5\"", Err: "protobuf: .i32: a string in a field of type int32"},
					{JQ: ".i32 = 1.5", Err: "protobuf: .i32: a fraction in a field of type int32"},
					{JQ: ".i32 = 2147483648", Err: "protobuf: .i32: a number out of the range of int32"},
					{JQ: ".u64 = -1", Err: "protobuf: .u64: a number out of the range of uint64"},
					{JQ: ".u32 = -1", Err: "protobuf: .u32: a number out of the range of uint32"},
					{JQ: ".flt = 1e300", Err: "protobuf: .flt: a number out of the range of float"},
					{JQ: ".text = 1", Err: "protobuf: .text: a number in a field of type string"},
					{JQ: ".data = \"*\"", Err: "protobuf: .data: a string that is not base64"},
					{JQ: ".flag = 1", Err: "protobuf: .flag: a number in a field of type bool"},
					{JQ: ".color = \"BLUE\"", Err: "protobuf: .color: no value of kinds.Color has this name; it has BLACK, RED, GREEN"},
					{JQ: ".node = 1", Err: "protobuf: .node: a number in place of a message"},
					{JQ: ".numbers = {}", Err: "protobuf: .numbers: an object in a repeated field"},
					{JQ: ".numbers = [1, \"a\"]", Err: "protobuf: .numbers[1]: a string in a field of type int32"},
					{JQ: ".nodes = [{}, {next: {weight: \"a\"}}]", Err: "protobuf: .nodes[1].next.weight: a string in a field of type int64"},
					{JQ: ".nodes = [null]", Err: "protobuf: .nodes[0]: null in a repeated field"},
					{JQ: ".counts = []", Err: "protobuf: .counts: an array in a map"},
					{JQ: ".counts[\"a b\"] = \"x\"", Err: "protobuf: .counts[\"a b\"]: a string in a field of type int64"},
					{JQ: ".by_id.x = {}", Err: "protobuf: .by_id.x: a key that is no int32"},
					{JQ: ".by_id[\"01\"] = {}", Err: "protobuf: .by_id[\"01\"]: a key that is no int32"},
					{JQ: ".by_flag.yes = 1", Err: "protobuf: .by_flag.yes: a key that is neither true nor false"},
					{JQ: ".maybeText = \"a\"", Err: "protobuf: .maybeText: kinds.All has no field of this name; did you mean maybe_text?"},
					{JQ: ".node.foo = 1", Err: "protobuf: .node.foo: kinds.Node has no field of this name"},
					{JQ: ".pick_text = \"a\" | .pick_number = 1", Err: "protobuf: .pick_number: set together with pick_text, of which a oneof holds one"},
					{JQ: "1", Err: "protobuf: .: a number in place of a message"},
				},
			},
			{
				Name: "every kind", In: all(everything),
				Value: map[string]any{
					"i32": -1, "s32": -2, "u32": 3, "f32": 4, "sf32": -5, "i64": math.MinInt64, "s64": -9007199254740993, "u64": big64, "f64": 9, "sf64": -10,
					"flt": 0.1, "dbl": 0.1, "flag": true, "text": "é", "data": "AP8=", "color": "GREEN",
					"node":  map[string]any{"name": "n", "weight": 0, "children": []any{}, "values": []any{}},
					"maybe": 0, "maybe_text": "", "numbers": []any{1, 2}, "words": []any{"a", ""},
					"nodes": []any{
						map[string]any{"name": "", "weight": 0, "children": []any{}, "values": []any{}},
						map[string]any{"name": "", "weight": 1, "children": []any{}, "values": []any{}},
					},
					"loose": []any{3, 4}, "counts": map[string]any{"k": 5},
					"by_id":   map[string]any{"-1": map[string]any{"name": "m", "weight": 0, "children": []any{}, "values": []any{}}},
					"by_flag": map[string]any{"true": "RED"}, "by_big": map[string]any{"18446744073709551615": "big"}, "pick_number": 0,
					"times": []any{}, "colors": []any{},
				},
				Edits: []codectest.Edit{
					{JQ: ".s64 -= 1", Out: all(strings.Replace(everything, "s64: -9007199254740993", "s64: -9007199254740994", 1))},
					{JQ: ".u64 -= 1", Out: all(strings.Replace(everything, "18446744073709551615", "18446744073709551614", 1))},
					{JQ: ".color = \"BLACK\"", Out: all(strings.Replace(everything, "color: GREEN", "", 1))},
					{JQ: ".color = 7", Out: all(strings.Replace(everything, "color: GREEN", "color: 7", 1))},
					{JQ: "del(.maybe)", Out: all(strings.Replace(everything, "maybe: 0", "", 1))},
					{JQ: ".maybe_text = null", Out: all(strings.Replace(everything, `maybe_text: ""`, "", 1))},
					{JQ: "del(.pick_number)", Out: all(strings.Replace(everything, "pick_number: 0", "", 1))},
					{JQ: ".numbers[1] = 300", Out: all(strings.Replace(everything, "[1, 2]", "[1, 300]", 1))},
					{JQ: ".loose[0] = -1", Out: all(strings.Replace(everything, "[3, 4]", "[-1, 4]", 1))},
					{JQ: ".counts.k = 0", Out: all(strings.Replace(everything, `key: "k" value: 5`, `key: "k" value: 0`, 1))},
					{JQ: "del(.counts.k)", Out: all(strings.Replace(everything, `counts {key: "k" value: 5}`, "", 1))},
					{JQ: ".by_id[\"-1\"].name = \"x\"", Out: all(strings.Replace(everything, `name: "m"`, `name: "x"`, 1))},
					{JQ: ".data = \"AP-_\"", Out: all(strings.Replace(everything, `\xff`, `\xff\xbf`, 1))},
					{JQ: ".flt = .dbl", Out: all(everything)},
					{JQ: "walk(.)", Out: all(everything)},
				},
			},
			{
				Name: "unknown fields survive at every depth",
				In:   varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + unknown,
				Edits: []codectest.Edit{
					{JQ: ".i32 = 2", Out: varint(1, 2) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + unknown},
					{JQ: ".i32 = 0", Out: unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + unknown},
					{JQ: ".node.next.name = \"b\"", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01b")) + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + unknown},
					{JQ: "del(.node.next)", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown) + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + unknown},
					{JQ: ".nodes |= reverse", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, "\x10\x02") + sized(22, unknown+"\x10\x01") + unknown},
					{JQ: "del(.nodes[0])", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, "\x10\x02") + unknown},
					{JQ: ".nodes |= [{weight: 9}] + .", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, "\x10\x09") + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + unknown},
					{JQ: ".nodes += [.nodes[0]]", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, unknown+"\x10\x01") + sized(22, "\x10\x02") + sized(22, "\x10\x01") + unknown},
					{JQ: ".nodes[0].weight = 7", Out: varint(1, 1) + unknown + sized(17, "\x10\x01"+unknown+sized(3, unknown+"\x0a\x01a")) + sized(22, unknown+"\x10\x07") + sized(22, "\x10\x02") + unknown},
				},
			},
			{
				Name: "a field with another wire type is unknown", In: sized(1, "x") + varint(14, 7),
				Value: codectest.Copy(decodeEmpty(t, files, "kinds.All")),
				Edits: []codectest.Edit{{JQ: ".i32 = 1", Out: sized(1, "x") + varint(14, 7) + varint(1, 1)}},
			},
			{
				Name: "spellings stay: explicit defaults, long varints, order", In: varint(3, 0) + "\x08\x81\x00" + varint(2, 2),
				Edits: []codectest.Edit{
					{JQ: ".s32 = 2", Out: varint(3, 0) + "\x08\x81\x00" + varint(2, 4)},
					{JQ: ".i32 = 2", Out: varint(3, 0) + "\x08\x02" + varint(2, 2)},
				},
			},
			{
				Name: "packed and not, mixed", In: varint(20, 1) + sized(20, "\x02\x03") + sized(23, "\x04"),
				Value: func() any {
					v := decodeEmpty(t, files, "kinds.All").(map[string]any)
					v["numbers"], v["loose"] = []any{1, 2, 3}, []any{4}
					return v
				}(),
				Edits: []codectest.Edit{
					{JQ: ".loose += [5]", Out: varint(20, 1) + sized(20, "\x02\x03") + sized(23, "\x04\x05")},
					{JQ: ".numbers += [5]", Out: varint(20, 1) + varint(20, 2) + varint(20, 3) + varint(20, 5) + sized(23, "\x04")},
				},
			},
			{
				Name: "parts of one message merge", In: sized(17, "\x10\x01"+unknown) + sized(17, "\x0a\x01a"),
				Edits: []codectest.Edit{
					{JQ: ".text = \"t\"", Out: sized(17, "\x10\x01"+unknown) + sized(17, "\x0a\x01a") + sized(14, "t")},
					{JQ: ".node.name = \"b\"", Out: sized(17, "\x10\x01"+unknown+"\x0a\x01b")},
				},
			},
			{
				Name: "the last of a scalar counts, an edit takes all", In: sized(14, "secret") + varint(1, 1) + sized(14, "b"),
				Edits: []codectest.Edit{
					{JQ: ".text = \"x\"", Out: varint(1, 1) + sized(14, "x")},
					{JQ: "del(.text)", Out: varint(1, 1)},
				},
			},
			{
				Name: "a oneof pairs by case", In: sized(28, "\x10\x01"+unknown),
				Edits: []codectest.Edit{
					{JQ: ".pick_node.weight = 2", Out: sized(28, "\x10\x02"+unknown)},
					{JQ: ".pick_number = 3", Out: varint(29, 3), Normal: true},
					{JQ: "del(.pick_node) | .pick_text = \"\"", Out: sized(27, "")},
					{JQ: "del(.pick_node)", Out: ""},
				},
			},
			{
				Name: "hidden cases of a oneof stay hidden", In: sized(28, "\x10\x01"+unknown) + sized(27, "t") + sized(28, "\x0a\x01a") + varint(1, 1),
				Edits: []codectest.Edit{
					{JQ: ".i32 = 2", Out: sized(28, "\x10\x01"+unknown) + sized(27, "t") + sized(28, "\x0a\x01a") + varint(1, 2)},
					{JQ: ".pick_node.name = \"b\"", Out: sized(27, "t") + sized(28, "\x0a\x01b") + varint(1, 1)},
					{JQ: "del(.pick_node)", Out: varint(1, 1)},
					{JQ: "del(.pick_node) | .pick_text = \"x\"", Out: sized(27, "x") + varint(1, 1)},
				},
			},
			{
				Name: "maps", In: sized(24, sized(1, "b")+varint(2, 1)+unknown) + varint(1, 1) + sized(24, sized(1, "a")+varint(2, 2)) + sized(24, sized(1, "b")+varint(2, 3)) + sized(25, ""),
				Edits: []codectest.Edit{
					{JQ: ".counts.a = 5", Out: sized(24, sized(1, "b")+varint(2, 1)+unknown) + varint(1, 1) + sized(24, sized(1, "a")+varint(2, 5)) + sized(24, sized(1, "b")+varint(2, 3)) + sized(25, "")},
					{JQ: ".counts.b = 5", Out: varint(1, 1) + sized(24, sized(1, "a")+varint(2, 2)) + sized(24, sized(1, "b")+varint(2, 5)) + sized(25, "")},
					{JQ: ".counts.b = null", Out: varint(1, 1) + sized(24, sized(1, "a")+varint(2, 2)) + sized(25, "")},
					{JQ: ".counts = {z: 1, a: 2, y: 0}", Out: varint(1, 1) + sized(24, sized(1, "a")+varint(2, 2)) + sized(24, sized(1, "y")+varint(2, 0)) + sized(24, sized(1, "z")+varint(2, 1)) + sized(25, "")},
					{JQ: ".by_id[\"0\"].weight = 4", Out: sized(24, sized(1, "b")+varint(2, 1)+unknown) + varint(1, 1) + sized(24, sized(1, "a")+varint(2, 2)) + sized(24, sized(1, "b")+varint(2, 3)) + sized(25, sized(2, varint(2, 4)))},
				},
			},
			{
				Name: "well-known types", In: all(`at {seconds: 1 nanos: 500000000} took {seconds: -1 nanos: -5000000} mask {paths: ["a_b.c", "d"]} wrapped {} empty {}
					object {fields {key: "k" value {list_value {values {null_value: 0} values {number_value: 1.5}}}}} value {null_value: 0}
					list {values {string_value: "s"}} pick_null: NULL_VALUE`),
				Value: func() any {
					v := decodeEmpty(t, files, "kinds.All").(map[string]any)
					v["at"], v["took"], v["mask"], v["wrapped"] = "1970-01-01T00:00:01.500Z", "-1.005s", "aB.c,d", 0
					v["empty"], v["value"], v["list"], v["pick_null"] = map[string]any{}, nil, []any{"s"}, nil
					v["object"] = map[string]any{"k": []any{nil, 1.5}}
					return v
				}(),
				Edits: []codectest.Edit{
					{JQ: ".at = \"2001-02-03T04:05:06+01:00\" | .took = \"2s\" | .mask = \"\" | .wrapped = 7 | del(.empty) | .object = {b: {}} | .value = [1] | .list = [] | del(.pick_null)", Out: all(`
						at {seconds: 981169506} took {seconds: 2} mask {} wrapped {value: 7} object {fields {key: "b" value {struct_value {}}}}
						value {list_value {values {number_value: 1}}} list {}`)},
					{JQ: ".at = \"yesterday\"", Err: "protobuf: .at: a string that is no RFC 3339 time"},
					{JQ: ".took = \"1.5\"", Err: `protobuf: .took: a string that is no duration in seconds, such as "1.5s"`},
					{JQ: ".object = []", Err: "protobuf: .object: an array in a google.protobuf.Struct"},
					{JQ: ".value = null | .at = null | .wrapped = null", Out: all(`took {seconds: -1 nanos: -5000000} mask {paths: ["a_b.c", "d"]} empty {}
						object {fields {key: "k" value {list_value {values {null_value: 0} values {number_value: 1.5}}}}} value {null_value: 0}
						list {values {string_value: "s"}} pick_null: NULL_VALUE`)},
				},
			},
			{
				Name: "well-known types out of their range and with unknown fields",
				In:   all("at {seconds: 999999999999} took {nanos: 2000000000} mask {paths: \"aB\"}") + sized(33, "") + sized(41, varint(1, 1)+unknown),
				Edits: []codectest.Edit{
					{JQ: ".at.seconds = 1", Out: all("at {seconds: 1} took {nanos: 2000000000} mask {paths: \"aB\"}") + sized(33, "") + sized(41, varint(1, 1)+unknown)},
					{JQ: ".times[0] = \"1970-01-01T00:00:02Z\"", Out: all("at {seconds: 999999999999} took {nanos: 2000000000} mask {paths: \"aB\"}") + sized(33, "") + sized(41, varint(1, 2)+unknown)},
					{JQ: ".value = 1", Out: all("at {seconds: 999999999999} took {nanos: 2000000000} mask {paths: \"aB\"}") + all("value {number_value: 1}") + sized(41, varint(1, 1)+unknown)},
				},
			},
			{
				Name: "an Any of a known type", In: sized(34, sized(1, "x/kinds.Node")+sized(2, "\x10\x01"+unknown)+unknown),
				Edits: []codectest.Edit{
					{JQ: ".any.weight = 2", Out: sized(34, sized(1, "x/kinds.Node")+sized(2, "\x10\x02"+unknown)+unknown)},
					{JQ: ".any[\"@type\"] = \"y/kinds.Node\"", Out: sized(34, sized(1, "y/kinds.Node")+sized(2, "\x10\x01")+unknown)},
					{JQ: ".any = {\"@type\": \"t/google.protobuf.Duration\", value: \"3s\"}", Out: sized(34, sized(1, "t/google.protobuf.Duration")+sized(2, "\x08\x03")+unknown)},
					{JQ: ".any = {}", Out: sized(34, unknown)},
					{JQ: "del(.any)", Out: ""},
					{JQ: ".any.foo = 1", Err: "protobuf: .any.foo: kinds.Node has no field of this name"},
					{JQ: ".any = {weight: 1}", Err: `protobuf: .any: a google.protobuf.Any without "@type"`},
				},
			},
			{
				Name: "an Any of a type without descriptor", In: sized(34, sized(1, "x/un.Known")+sized(2, "\x10\x01")),
				Edits: []codectest.Edit{
					{JQ: ".i32 = 1", Out: sized(34, sized(1, "x/un.Known")+sized(2, "\x10\x01")) + varint(1, 1)},
					{JQ: ".any.value = \"AA==\"", Out: sized(34, sized(1, "x/un.Known")+sized(2, "\x00"))},
				},
			},
			{
				Name: "an Any that is not what it says", In: sized(34, sized(1, "x/kinds.Node")+sized(2, "\xff")),
				Edits: []codectest.Edit{{JQ: ".any.value = \"AA==\"", Out: sized(34, sized(1, "x/kinds.Node")+sized(2, "\x00"))}},
			},
			{
				Name: "NaN and infinities", In: all("dbl: nan flt: -inf nodes {values {number_value: inf}}"),
				Edits: []codectest.Edit{
					{JQ: ".dbl = nan", Out: all("dbl: nan flt: -inf nodes {values {number_value: inf}}")},
					{JQ: ".dbl = \"Infinity\" | .flt = \"NaN\"", Out: all("dbl: inf flt: nan nodes {values {number_value: inf}}")},
				},
			},
			{Name: "unknown enum numbers", In: varint(16, 77) + sized(42, "\x01\x4d")},
			{Name: "nested", In: all("nodes { children { children { name: \"x\" } } }") + node("")},
		},
	})
}

func decodeEmpty(t testing.TB, files *Files, name string) codec.Value {
	t.Helper()
	v, _, err := mustMessage(t, files, name).Decode(nil, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestContractOfProto2(t *testing.T) {
	files := testFiles(t)
	old := func(text string) string { return wire(t, files, "old.Old", text) }
	codectest.Run(t, codectest.Suite{
		Codec: mustMessage(t, files, "old.Old"),
		Lossy: []string{"a required field that never was"},
		Cases: []codectest.Case{
			{
				Name: "groups, extensions, defaults", In: old("id: 1 Inner {x: 1} Many {y: 1} Many {y: 2} numbers: [1, 2] [old.note]: \"n\" [old.marks]: 3"),
				Value: map[string]any{
					"id": 1, "Inner": map[string]any{"x": 1}, "Many": []any{map[string]any{"y": 1}, map[string]any{"y": 2}}, "numbers": []any{1, 2},
					"[old.note]": "n", "[old.marks]": []any{3},
				},
				Edits: []codectest.Edit{
					{JQ: ".Inner.x = 5", Out: old("id: 1 Inner {x: 5} Many {y: 1} Many {y: 2} numbers: [1, 2] [old.note]: \"n\" [old.marks]: 3")},
					{JQ: "del(.Many[0])", Out: old("id: 1 Inner {x: 1} Many {y: 2} numbers: [1, 2] [old.note]: \"n\" [old.marks]: 3")},
					{JQ: ".name = \"ann\" | .level = \"LOW\"", Out: old("id: 1 Inner {x: 1} Many {y: 1} Many {y: 2} numbers: [1, 2] [old.note]: \"n\" [old.marks]: 3") + sized(2, "ann") + varint(6, 1)},
					{JQ: ".[\"[old.note]\"] = \"m\"", Out: old("id: 1 Inner {x: 1} Many {y: 1} Many {y: 2} numbers: [1, 2] [old.note]: \"m\" [old.marks]: 3")},
					{JQ: ".numbers += [3]", Out: old("id: 1 Inner {x: 1} Many {y: 1} Many {y: 2} numbers: [1, 2, 3] [old.note]: \"n\" [old.marks]: 3")},
					{JQ: "del(.id)", Err: "protobuf: .id: a required field is missing"},
				},
			},
			{
				Name: "elements that show nothing still differ", In: varint(1, 1) + "\x23" + varint(7, 1) + "\x24\x23" + varint(7, 2) + "\x24\x23" + varint(7, 3) + "\x24",
				Edits: []codectest.Edit{
					{JQ: "del(.Many[0])", Out: varint(1, 1) + "\x23" + varint(7, 2) + "\x24\x23" + varint(7, 3) + "\x24"},
					{JQ: ".Many |= reverse | .id = 2", Out: varint(1, 2) + "\x23" + varint(7, 1) + "\x24\x23" + varint(7, 2) + "\x24\x23" + varint(7, 3) + "\x24"},
				},
			},
			{
				Name: "a required field that never was", In: old("numbers: 1"),
				Edits: []codectest.Edit{{JQ: ".numbers = [2]", Out: old("numbers: 2")}},
			},
			{
				Name: "strings that are not UTF-8", In: varint(1, 1) + sized(2, "\xff\xfe"),
				Edits: []codectest.Edit{{JQ: ".id = 2", Out: varint(1, 2) + sized(2, "\xff\xfe")}},
			},
		},
	})
}

func TestContractOfEditions(t *testing.T) {
	files := testFiles(t)
	text := func(text string) string { return wire(t, files, "edition.New", text) }
	codectest.Run(t, codectest.Suite{
		Codec: mustMessage(t, files, "edition.New"),
		Cases: []codectest.Case{{
			Name: "features", In: text("explicit: 0 expanded: [1, 2] delimited {implicit: 1}") + sized(5, "\xff"),
			Value: map[string]any{
				"implicit": 0, "explicit": 0, "expanded": []any{1, 2}, "loose": "\xff",
				"delimited": map[string]any{"implicit": 1, "expanded": []any{}, "loose": ""},
			},
			Edits: []codectest.Edit{
				{JQ: ".delimited.explicit = 0", Out: text("explicit: 0 expanded: [1, 2] delimited {implicit: 1 explicit: 0}") + sized(5, "\xff")},
				{JQ: ".expanded += [3]", Out: text("explicit: 0 expanded: [1, 2, 3] delimited {implicit: 1}") + sized(5, "\xff")},
			},
		}},
	})
}

func TestLimits(t *testing.T) {
	files := testFiles(t)
	nested := func(n int) []byte {
		var b []byte
		for range n - 1 {
			b = protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), b)
		}
		return b
	}
	c := mustMessage(t, files, "kinds.Node")
	if _, _, err := c.Decode(nested(100), codec.Limits{}); err != nil {
		t.Errorf("100 levels: %v", err)
	}
	var over *codec.LimitError
	if _, _, err := c.Decode(nested(101), codec.Limits{}); !errors.As(err, &over) || over.Limit != "depth" || over.Max != 100 {
		t.Errorf("101 levels: error %v", err)
	}
	v := decodeEmpty(t, files, "kinds.Node")
	deep := v
	for range 200 {
		deep = map[string]any{"next": deep}
	}
	var express *codec.ExpressError
	if _, err := c.Encode(nil, deep); !errors.As(err, &express) {
		t.Errorf("Encode of 200 levels: error %v", err)
	}
}

func TestSmallMessageCannotBecomeAHugeValue(t *testing.T) {
	files := testFiles(t)
	many := strings.Repeat(sized(4, varint(2, 1)), 500_000)
	_, _, err := mustMessage(t, files, "kinds.Node").Decode([]byte(many), codec.Limits{})
	if err != nil {
		t.Errorf("a long list of small messages: %v", err)
	}
	wide := "syntax = 'proto3'; message Wide { repeated Wide list = 1;"
	for i := 2; i < 300; i++ {
		wide += " int32 f" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + " = " + big.NewInt(int64(i)).String() + ";"
	}
	source, err := NewFiles(File{"wide.proto", []byte(wide + "}")})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = mustMessage(t, source, "Wide").Decode([]byte(strings.Repeat("\x0a\x00", 100_000)), codec.Limits{})
	if !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("100,000 empty elements of 300 fields: error %v, want one that wraps ErrTooLarge", err)
	}
}
