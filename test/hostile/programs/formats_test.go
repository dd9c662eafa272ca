package programs

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/msgpack"
	"github.com/sluice-proxy/sluice/codec/xml"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

// A text of 8 MiB that reads as very many values takes no more of the heap than a
// program may.
func TestManyTinyValuesAreDecodedWithinTheBound(t *testing.T) {
	const size = 8<<20 - 64
	many := func(head, each, tail string) string {
		return head + strings.Repeat(each, (size-len(head)-len(tail))/len(each)) + tail
	}
	for _, c := range []struct {
		name  string
		codec codec.Codec
		text  string
	}{
		{"JSON, numbers", json.Codec{}, many("[", "1,", "1]")},
		{"JSON, arrays", json.Codec{}, many("[", "[],", "1]")},
		{"JSON, objects", json.Codec{}, many("[", `{"a":1},`, "1]")},
		{"JSON, empty objects", json.Codec{}, many("[", `{},`, "1]")},
		{"JSON, strings", json.Codec{}, many("[", `"",`, "1]")},
		{"JSON, fractions", json.Codec{}, many("[", `1.5,`, "1]")},
		{"XML, elements", xml.Codec{}, many("<r>", "<a/>", "</r>")},
		{"XML, attributes", xml.Codec{}, many("<r>", `<a b=""/>`, "</r>")},
		{"CSV, rows", csv.Codec{}, many("a\n", "1\n", "")},
		{"CSV, columns", csv.Codec{}, many("a,b,c,d,e,f,g,h\n", ",,,,,,,\n", "")},
		{"form, fields", form.Codec{}, many("", "a=&", "b")},
		{"YAML, numbers", yaml.Codec{}, many("[", "1,", "1]")},
		{"YAML, lines", yaml.Codec{}, many("", "- 1\n", "")},
		{"MessagePack, numbers", msgpack.Codec{}, many("\xdd\x00\x7f\xff\xba", "\x01", "")},
		{"MessagePack, arrays", msgpack.Codec{}, many("\xdd\x00\x7f\xff\xba", "\x90", "")},
		{"MessagePack, maps", msgpack.Codec{}, many("\xdd\x00\x7f\xff\xba", "\x80", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			took := measure(func() { _, _, err = c.codec.Decode([]byte(c.text), codec.Limits{}) })
			t.Log(checked(t, c.name, "decoding", took, err))
		})
	}
}
