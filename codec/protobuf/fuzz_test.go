package protobuf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	sluicejson "github.com/sluice-proxy/sluice/codec/json"
)

var fuzzed = []string{"kinds.All", "kinds.Node", "old.Old", "edition.New"}

func addSeeds(f *testing.F, files *Files, add func(data []byte, kind uint8)) {
	for _, text := range []string{
		`i32: -1 s64: -5 u64: 18446744073709551615 flt: 0.1 dbl: nan flag: true text: "é" data: "\x00\xff" color: GREEN maybe: 0 numbers: [1, 300] loose: [3, 4]`,
		`nodes {name: "a" next {weight: 1}} nodes {} counts {key: "k" value: 5} by_id {key: -1 value {name: "m"}} by_flag {key: true value: RED} pick_node {}`,
		`at {seconds: 1 nanos: 500000000} took {seconds: -1 nanos: -5} mask {paths: ["a_b.c", "d"]} wrapped {value: 7} empty {} value {null_value: 0}`,
		`object {fields {key: "k" value {list_value {values {null_value: 0} values {number_value: 1.5} values {bool_value: true}}}}} pick_null: NULL_VALUE`,
		`any {type_url: "x/kinds.Node" value: "\x10\x01"} by_big {key: 18446744073709551615 value: "big"} times {seconds: 999999999999} colors: [RED, 7]`,
	} {
		add([]byte(wire(f, files, "kinds.All", text)+unknown), 0)
	}
	add([]byte(wire(f, files, "kinds.Node", `name: "n" children { values { string_value: "v" } } next { next {} }`)), 1)
	add([]byte(wire(f, files, "old.Old", `id: 1 Inner {x: 1} Many {y: 1} Many {y: 2} numbers: [1, 2] [old.note]: "n" [old.marks]: 3`)), 2)
	add([]byte(wire(f, files, "edition.New", `explicit: 0 expanded: [1, 2] delimited {implicit: 1} loose: "x"`)), 3)
	add([]byte(sized(28, "\x10\x01"+unknown)+sized(27, "t")+sized(28, "\x0a\x01a")), 0)
	add([]byte(sized(33, "")+sized(17, "\x10\x01")+sized(17, "\x0a\x01a")+varint(20, 1)+sized(20, "\x02\x03")), 0)
}

// FuzzDecode compares with dynamicpb and its JSON form.
func FuzzDecode(f *testing.F) {
	files := testFiles(f)
	types := dynamicpb.NewTypes(files.schema.files)
	addSeeds(f, files, func(data []byte, kind uint8) { f.Add(data, kind) })
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		name := fuzzed[int(kind)%len(fuzzed)]
		c := mustMessage(t, files, name)
		got, original, err := c.Decode(data, codec.Limits{})
		oracle := newDynamic(t, files, name)
		crashed, oracleErr := unmarshal(data, oracle, types)
		if crashed {
			return
		}
		var syntax *codec.SyntaxError
		switch {
		case errors.Is(err, codec.ErrTooLarge):
			return
		case (err == nil) != (oracleErr == nil):
			t.Fatalf("error %v, dynamicpb's is %v", err, oracleErr)
		case err != nil && (!errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data)):
			t.Fatalf("error is %#v", err)
		case err != nil:
			return
		}
		if err := codectest.Check(got); err != nil {
			t.Fatal(err)
		}
		for _, v := range []codec.Value{got, codectest.Copy(got)} {
			if out, err := c.Encode(original, v); err != nil || !bytes.Equal(out, data) {
				t.Fatalf("equal value wrote %q, %v, want %q", out, err, data)
			}
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true, AllowPartial: true, Resolver: types}.Marshal(oracle)
		if err != nil {
			return // not everything has a JSON form
		}
		want, _, err := sluicejson.Codec{}.Decode(text, codec.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if at, ok := sameJSON(got, want); !ok {
			t.Fatalf("%q reads as\n%s\nwant\n%s\ndifferent at %s", data, sluicejson.AppendCompact(nil, got), text, at)
		}
	})
}

// unmarshal reports whether the oracle crashed, as protobuf v1.36.12 does on a
// map entry whose key has another wire type.
func unmarshal(data []byte, m proto.Message, types *dynamicpb.Types) (crashed bool, err error) {
	defer func() {
		if recover() != nil {
			crashed = true
		}
	}()
	return false, proto.UnmarshalOptions{AllowPartial: true, Resolver: types}.Unmarshal(data, m)
}

// sameJSON compares with the JSON form, which has strings for 64-bit integers
// and for what no number can be.
func sameJSON(got, want any) (at string, ok bool) {
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf(": %d members, want %d", len(g), len(w)), false
		}
		for k := range g {
			if at, ok := sameJSON(g[k], w[k]); !ok {
				return value.Key(k) + at, false
			}
		}
		return "", true
	case []any:
		w, ok := want.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf(": %d elements, want %d", len(g), len(w)), false
		}
		for i := range g {
			if at, ok := sameJSON(g[i], w[i]); !ok {
				return value.Index(i) + at, false
			}
		}
		return "", true
	case float64:
		if s, ok := want.(string); ok {
			special := map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}
			return "", value.Equal(g, special[s])
		}
		return fmt.Sprintf(": %v %v", got, want), value.IsNumber(want) && value.Equal(g, value.Float(want))
	case string:
		if w, ok := want.(string); ok {
			return ": " + strconv.Quote(g) + " " + strconv.Quote(w), g == w || string([]rune(g)) == w
		}
	}
	if s, ok := want.(string); ok && value.IsNumber(got) {
		want = json.Number(s)
	}
	return fmt.Sprintf(": %v %v", got, want), value.Equal(got, want)
}

var programs = []string{
	".", "{}", "del(.i32, .name, .id)", ".i32 = 7", ".nodes |= reverse", ".children |= reverse", ".nodes |= map(.weight = 5)", ".nodes += [{weight: 1}]",
	"del(.nodes[0])", ".node.next.name = \"x\"", ".counts.k = 1 | .counts.new = 2", "del(.counts[])", ".by_id[\"5\"].name = \"m\"", ".pick_text = \"t\"",
	"del(.pick_text, .pick_number, .pick_node, .pick_null)", ".value = [1, null, {a: 1}]", ".object.x = .object", ".at = \"2020-01-01T00:00:00Z\"",
	".any.weight = 5", ".numbers |= map(. + 1)", ".words += [\"w\"]", "with_entries(select(.value != null))", ".Inner.x = 1", ".Many += [{}]",
	".delimited.delimited.implicit = 3", "walk(.)", ".nodes[0].children[0].values = [null]", ".colors |= reverse", ".loose += .loose",
}

// FuzzEdit writes onto one message another one's value, and what a program makes
// of it, and reads both back.
func FuzzEdit(f *testing.F) {
	files := testFiles(f)
	addSeeds(f, files, func(data []byte, kind uint8) {
		for i := range programs {
			f.Add(data, data[len(data)/3:], kind, uint8(i))
		}
	})
	f.Fuzz(func(t *testing.T, data, other []byte, kind, program uint8) {
		c := mustMessage(t, files, fuzzed[int(kind)%len(fuzzed)])
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil {
			return
		}
		if w, _, err := c.Decode(other, codec.Limits{}); err == nil {
			out, err := c.Encode(original, w)
			var express *codec.ExpressError
			if errors.As(err, &express) && (express.Msg == "a required field is missing" || hasAny(w)) {
				return
			}
			if err != nil {
				t.Fatalf("Encode of what %q reads as: %v", other, err)
			}
			again, _, err := c.Decode(out, codec.Limits{})
			if err != nil || !value.Equal(w, again) {
				t.Fatalf("%q onto %q is %q, %v, which reads as\n%s, want\n%s", other, data, out, err, sluicejson.AppendCompact(nil, again), sluicejson.AppendCompact(nil, w))
			}
		}
		w, err := codectest.JQ(programs[int(program)%len(programs)], v)
		if err != nil {
			return
		}
		out, err := c.Encode(original, w)
		var express *codec.ExpressError
		if err != nil && !errors.As(err, &express) {
			t.Fatalf("error is a %T", err)
		}
		if err != nil {
			return
		}
		again, second, err := c.Decode(out, codec.Limits{})
		if errors.Is(err, codec.ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatalf("Encode wrote %q: %v", out, err)
		}
		if same, err := c.Encode(second, w); err == nil && !bytes.Equal(same, out) && value.Equal(w, again) {
			t.Fatalf("the second Encode wrote %q, the first %q", same, out)
		}
	})
}

// hasAny reports whether v holds an Any that does not say of which form it is:
// a known type around bytes that are none of it.
func hasAny(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if hasAny(e) {
				return true
			}
		}
	case map[string]any:
		for k, e := range v {
			if k == typeURL || hasAny(e) {
				return true
			}
		}
	}
	return false
}

func TestUnknownFieldsStayWithTheirElement(t *testing.T) {
	files := testFiles(t)
	c := mustMessage(t, files, "kinds.Node")
	var in string
	for i := range 6 {
		in += sized(4, varint(2, uint64(i+1))+sized(999, fmt.Sprint("secret of ", i+1)))
	}
	for _, program := range []string{
		"reverse", "sort_by(-.weight)", "map(select(.weight % 2 == 0))", ". + .", "[.[0]] + .", ".[2:] + .[:2]", "map(select(.weight < 4)) + [{weight: 9}]",
		"[.[5], .[0]]", "map(select(.weight > 1) | .name = \"x\")", "del(.[1]) | .[0].name = \"y\"", "group_by(.weight % 3) | flatten", "[{}] + reverse", "map(.name = \"z\")",
	} {
		v, original, err := c.Decode([]byte(in), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := codectest.JQ(".children |= ("+program+")", v)
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Encode(original, w)
		if err != nil {
			t.Fatal(err)
		}
		raw, _, err := Raw().Decode(out, codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[any]bool)
		for i, e := range raw.(map[string]any)["4"].([]any) {
			element, _ := e.(map[string]any)
			secret, ok := element["999"]
			if !ok {
				continue
			}
			if want := fmt.Sprint("secret of ", element["2"]); secret != want || seen[secret] {
				t.Errorf("%s: element %d has %q, want %q, once", program, i, secret, want)
			}
			seen[secret] = true
		}
	}
}
