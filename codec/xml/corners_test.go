package xml_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/xml"
)

func TestText(t *testing.T) {
	const spans = `xml: .a["#text"]: the edit spans more than one run of text between children`
	codectest.Run(t, codectest.Suite{Codec: xml.Codec{}, Cases: []codectest.Case{
		{Name: "empty", In: "<a/>", Value: object{"a": ""}, Edits: []codectest.Edit{
			{JQ: `.a = "x"`, Out: "<a>x</a>"},
			{JQ: `.a = " "`, Out: "<a> </a>"},
			{JQ: `.a = {"#text": " ", b: null}`, Out: "<a>&#32;<b/></a>"},
			{JQ: `.a = {b: []}`, Out: "<a/>", Normal: true},
			{JQ: `.a = {"@b": null}`, Out: `<a b=""/>`},
			{JQ: `.a = {"@b": 1, "#text": "c"}`, Out: `<a b="1">c</a>`},
			{JQ: `.a = {}`, Out: "<a/>"},
			{JQ: `.a = []`, Err: "xml: .a: a document has one root element"},
			{JQ: `.a = [{}]`, Out: "<a/>"},
			{JQ: `{b: "x"}`, Out: "<b>x</b>"},
		}},
		{Name: "empty with white space in the tag", In: "<a  b='' />", Value: object{"a": object{"@b": ""}}, Edits: []codectest.Edit{
			{JQ: `.a = "x"`, Out: "<a>x</a>"},
			{JQ: `.a["#text"] = "x"`, Out: "<a  b=''>x</a>"},
			{JQ: `.a["@c"] = "x"`, Out: "<a  b=''  c='x' />"},
			{JQ: `.a["@b"] = "x"`, Out: "<a  b='x' />"},
			{JQ: `.a["@b"] = ""`, Out: "<a  b='' />"},
			{JQ: `.a = ""`, Out: "<a />"},
		}},
		{Name: "start and end tag", In: "<a></a >", Edits: []codectest.Edit{{JQ: `.a = "x"`, Out: "<a>x</a >"}, {JQ: `.a = {b: 1.50}`, Out: "<a><b>1.5</b></a >"}}},
		{Name: "white space is data where no child is", In: "<a>\r\n <!-- c --> </a>", Value: object{"a": "\n  "}, Edits: []codectest.Edit{
			{JQ: `.a = ""`, Out: "<a><!-- c --></a>"},
			{JQ: `.a = {"#text": .a, b: ""}`, Out: "<a>&#10; <!-- c --> <b/></a>"},
			{JQ: `.a = {b: ""}`, Out: "<a><!-- c --><b/></a>"},
		}},
		{Name: "white space with a reference or in CDATA is data", In: "<a> <b/>&#32;<b/><![CDATA[\t]]>\n</a>", Value: object{"a": object{"b": []any{"", ""}, "#text": " \t\n"}}},
		{Name: "pieces", In: "<a>one<!-- c -->two<![CDATA[three]]>four</a>", Value: object{"a": "onetwothreefour"}, Edits: []codectest.Edit{
			{JQ: `.a |= sub("two"; "2")`, Out: "<a>one<!-- c -->2<![CDATA[three]]>four</a>"},
			{JQ: `.a |= sub("three"; "<3>")`, Out: "<a>one<!-- c -->two<![CDATA[<3>]]>four</a>"},
			{JQ: `.a |= sub("three"; "]]>")`, Out: "<a>one<!-- c -->two]]&gt;four</a>"},
			{JQ: `.a |= sub("three"; "")`, Out: "<a>one<!-- c -->twofour</a>"},
			{JQ: `.a |= sub("etwothre"; "-")`, Out: "<a>on-e<!-- c -->four</a>"},
			{JQ: `.a |= . + "five"`, Out: "<a>one<!-- c -->two<![CDATA[three]]>fourfive</a>"},
			{JQ: `.a |= "zero" + .`, Out: "<a>zeroone<!-- c -->two<![CDATA[three]]>four</a>"},
			{JQ: `.a = "masked"`, Out: "<a>masked<!-- c --></a>"},
		}},
		{Name: "runs", In: "<a>one <b/> two <c/>\n</a>", Value: object{"a": object{"b": "", "c": "", "#text": "one  two "}}, Edits: []codectest.Edit{
			{JQ: `.a["#text"] |= sub("one"; "1")`, Out: "<a>1 <b/> two <c/>\n</a>"},
			{JQ: `.a["#text"] |= sub("two"; "2")`, Out: "<a>one <b/> 2 <c/>\n</a>"},
			{JQ: `.a["#text"] |= sub("o "; "")`, Out: "<a>one <b/> tw<c/>\n</a>"},
			{JQ: `.a["#text"] = "masked"`, Err: spans},
			{JQ: `.a["#text"] |= ascii_upcase`, Err: spans},
			{JQ: `.a["#text"] = ""`, Out: "<a><b/><c/>\n</a>"},
			{JQ: `.a["#text"] = "" | .a.b = {"a b": 1}`, Err: `xml: .a.b["a b"]: an element's name that is no name of XML`},
			{JQ: `del(.a["#text"])`, Out: "<a><b/><c/>\n</a>"},
			{JQ: `del(.a.b)`, Out: "<a>one  two <c/>\n</a>"},
			{JQ: `del(.a.c)`, Out: "<a>one <b/> two </a>"},
			{JQ: `del(.a.b) | .a["#text"] = "masked"`, Out: "<a>masked<c/>\n</a>"},
			{JQ: `.a = "masked"`, Out: "<a>masked</a>"},
			{JQ: `.a.b = [1, 2] | .a.d = 3`, Out: "<a>one <b>1</b><b>2</b> two <c/>\n<d>3</d></a>"},
			{JQ: `.a["#text"] |= sub("one "; " ")`, Out: "<a>&#32;<b/> two <c/>\n</a>"},
		}},
		{Name: "white space that stays alone", In: "<a>x<!-- c --> <b/>\n<!-- d -->y</a>", Value: object{"a": object{"b": "", "#text": "x \ny"}}, Edits: []codectest.Edit{
			{JQ: `.a["#text"] |= .[1:]`, Out: "<a>&#32;<!-- c --><b/>\n<!-- d -->y</a>"},
			{JQ: `.a["#text"] |= .[:-1]`, Out: "<a>x<!-- c --> <b/>&#10;<!-- d --></a>"},
			{JQ: `del(.a.b) | .a["#text"] |= .[1:-1]`, Out: "<a> \n<!-- c --><!-- d --></a>"},
		}},
		{Name: "text comes and goes", In: "<a>\n  <b/>\n  <c/>\n</a>", Value: object{"a": object{"b": "", "c": ""}}, Edits: []codectest.Edit{
			{JQ: `.a["#text"] = "x"`, Out: "<a>x<b/>\n  <c/>\n</a>"},
			{JQ: `.a["#text"] = "\n"`, Out: "<a>&#10;<b/>\n  <c/>\n</a>"},
			{JQ: `del(.a.b, .a.c)`, Out: "<a></a>"},
			{JQ: `del(.a.c)`, Out: "<a>\n  <b/>\n</a>"},
			{JQ: `.a = {d: 1}`, Out: "<a>\n  <d>1</d>\n</a>", Normal: true},
			{JQ: `.a = "x"`, Out: "<a>x</a>"},
			{JQ: `.a = "\n"`, Out: "<a>\n</a>"},
		}},
		{Name: "an empty CDATA section is no data", In: "<a><![CDATA[]]><b/>  <c/></a>", Value: object{"a": object{"b": "", "c": ""}}, Edits: []codectest.Edit{
			{JQ: `del(.a.b)`, Out: "<a><![CDATA[]]>  <c/></a>"},
			{JQ: `del(.a.b, .a.c)`, Out: "<a><![CDATA[]]></a>"},
		}},
		{Name: "what joins stays apart", In: "<a>]]<b/>&gt;>\r<b/>\nx<c/>]<b/>]<b/>></a>", Edits: []codectest.Edit{
			{JQ: `del(.a.b)`, Out: "<a>]]&gt;>\r\r\nx<c/>]]&gt;</a>"},
			{JQ: `del(.a.b, .a.c)`, Out: "<a>]]&gt;>\r\r\nx]]&gt;</a>"},
		}},
		{Name: "brackets", In: "<a>]<b/>]><b/>]]<c/>></a>", Edits: []codectest.Edit{
			{JQ: `del(.a.b)`, Out: "<a>]]&gt;]]<c/>></a>"},
			{JQ: `del(.a.c)`, Out: "<a>]<b/>]><b/>]]&gt;</a>"},
			{JQ: `.a["#text"] |= .[1:]`, Out: "<a>]<b/>&gt;<b/>]]<c/>></a>"},
			{JQ: `.a |= {"#text": (.["#text"] | .[1:])}`, Out: "<a>]&gt;]]&gt;</a>"},
		}},
		{Name: "CDATA that becomes text", In: "<a><![CDATA[x]]>></a>", Edits: []codectest.Edit{
			{JQ: `.a = "\r]]>"`, Out: "<a>&#13;]]&gt;</a>"},
			{JQ: `.a = "]]>"`, Out: "<a><![CDATA[]]]]>></a>"},
		}},
		{Name: "line ends", In: "<a b='x\r\ny\tz&#10;'>1\r\n2\r3&#13;</a>", Value: object{"a": object{"@b": "x y z\n", "#text": "1\n2\n3\r"}}, Edits: []codectest.Edit{
			{JQ: `.a["#text"] += "\n"`, Out: "<a b='x\r\ny\tz&#10;'>1\n2\n3&#13;\n</a>"},
			{JQ: `.a["@b"] += "\t\r'\"<&>"`, Out: "<a b='x y z&#10;&#9;&#13;&apos;\"&lt;&amp;>'>1\r\n2\r3&#13;</a>"},
		}},
		{Name: "line ends in CDATA", In: "<a><![CDATA[\r\n\r]]>x</a>", Value: object{"a": "\n\nx"}, Edits: []codectest.Edit{{JQ: `.a = "\n\ny"`, Out: "<a><![CDATA[\r\n\r]]>y</a>"}}},
		{Name: "references", In: `<a b="&quot;&apos;">&lt;&gt;&amp;&#x1F600;&#0000065;é</a>`, Value: object{"a": object{"@b": `"'`, "#text": "<>&😀Aé"}}},
	}})
}

func TestChildren(t *testing.T) {
	const shop = "<r>\n\t<i n='1'><!-- 1 -->a</i>\n\t<x/>\n\t<!-- 2 follows -->\n\t<i n='2'>b</i><i n='3'>c</i>\n</r>"
	codectest.Run(t, codectest.Suite{Codec: xml.Codec{}, Cases: []codectest.Case{
		{Name: "siblings of other names stay", In: shop, Edits: []codectest.Edit{
			{JQ: `.r.i |= reverse`, Out: "<r>\n\t<i n='3'>c</i>\n\t<x/>\n\t<!-- 2 follows -->\n\t<i n='2'>b</i><i n='1'><!-- 1 -->a</i>\n</r>"},
			{JQ: `.r.i |= [.[2], .[0]]`, Out: "<r>\n\t<i n='3'>c</i>\n\t<x/>\n\t<!-- 2 follows --><i n='1'><!-- 1 -->a</i>\n</r>"},
			{JQ: `del(.r.i[0])`, Out: "<r>\n\t<x/>\n\t<!-- 2 follows -->\n\t<i n='2'>b</i><i n='3'>c</i>\n</r>"},
			{JQ: `del(.r.i[1])`, Out: "<r>\n\t<i n='1'><!-- 1 -->a</i>\n\t<x/>\n\t<!-- 2 follows --><i n='3'>c</i>\n</r>"},
			{JQ: `.r.i |= .[:1] + ["new", {"@n": 1}] + .[1:]`, Out: strings.Replace(shop, "\n\t<x/>", "\n\t<i>new</i>\n\t<i n=\"1\"/>\n\t<x/>", 1)},
			{JQ: `.r.i = ["new", "more"]`, Out: "<r>\n\t<i>new</i>\n\t<i>more</i>\n\t<x/>\n\t<!-- 2 follows -->\n</r>"},
			{JQ: `.r.i[0] = "new"`, Out: strings.Replace(shop, "<i n='1'><!-- 1 -->a</i>", "<i><!-- 1 -->new</i>", 1)},
			{JQ: `.r.i |= .[0]`, Out: "<r>\n\t<i n='1'><!-- 1 -->a</i>\n\t<x/>\n\t<!-- 2 follows -->\n</r>"},
			{JQ: `.r.x = ["", ""]`, Out: strings.Replace(shop, "<x/>", "<x/>\n\t<x/>", 1)},
			{JQ: `.r.x = {"@a": 1}`, Out: strings.Replace(shop, "<x/>", `<x a="1"/>`, 1)},
			{JQ: `.r.x = [{}]`, Out: shop},
			{JQ: `.r.y = []`, Out: shop, Normal: true},
			{JQ: `.r.i[1] = null`, Out: strings.Replace(shop, "<i n='2'>b</i>", "<i></i>", 1)},
			{JQ: `.r.i = {"a b": 1}`, Err: `xml: .r.i["a b"]: an element's name that is no name of XML`},
			{JQ: `.r.i[2].s = {"a b": 1}`, Err: `xml: .r.i[2].s["a b"]: an element's name that is no name of XML`},
			{JQ: `.r.i += [{"a b": 1}]`, Err: `xml: .r.i[3]["a b"]: an element's name that is no name of XML`},
			{JQ: `.r.i = 7`, Out: "<r>\n\t<i>7</i>\n\t<x/>\n\t<!-- 2 follows -->\n</r>"},
		}},
		{Name: "a copy", In: "<r><b q='1'><!-- c -->x<?p?>y]]<!-- d -->&gt;</b></r>", Edits: []codectest.Edit{
			{JQ: `.r.c = .r.b`, Out: "<r><b q='1'><!-- c -->x<?p?>y]]<!-- d -->&gt;</b><c q='1'>xy]]&gt;</c></r>"},
			{JQ: `.r.c = .r.b | del(.r.b)`, Out: "<r><c q='1'><!-- c -->x<?p?>y]]<!-- d -->&gt;</c></r>"},
			{JQ: `.r.b |= [., .]`, Out: "<r><b q='1'><!-- c -->x<?p?>y]]<!-- d -->&gt;</b><b q='1'>xy]]&gt;</b></r>"},
			{JQ: `{w: .r.b} as $w | {r: {x: $w, y: $w}}`, Out: "<r><x><w q='1'>xy]]&gt;</w></x><y><w q='1'>xy]]&gt;</w></y></r>"},
		}},
		{Name: "order in what was moved", In: "<r><z q='2' a='1'><c/>t<b/></z></r>", Edits: []codectest.Edit{
			{JQ: `{s: {"@xmlns": "u", body: .}}`, Out: `<s xmlns="u"><body><r><z q='2' a='1'><c/>t<b/></z></r></body></s>`},
			{JQ: `{s: .r.z}`, Out: `<s q='2' a='1'><c/>t<b/></s>`},
			{JQ: `{s: [.r.z]}`, Out: `<s q='2' a='1'><c/>t<b/></s>`},
			{JQ: `.r = {y: (.r.z | .b = 1)}`, Out: `<r><y a="1" q="2">t<b>1</b><c/></y></r>`},
		}},
		{Name: "prefixes", In: `<x:a xmlns:x="u" x:b="1"><x:c/><c/></x:a>`, Value: object{"x:a": object{"@xmlns:x": "u", "@x:b": "1", "x:c": "", "c": ""}}},
		{Name: "odd names", In: "<_a-b.c1><é/><\u4e2d·/></_a-b.c1>", Value: object{"_a-b.c1": object{"é": "", "\u4e2d·": ""}}},
		{Name: "many names", In: "<r><a/><b/><c/><d/><e/><f/><g/><h/><i/><j/><a/><j/><k/><h/></r>"},
		{Name: "many attributes", In: `<r a="" b="" c="" d="" e="" f="" g="" h="" i="" j="" k="" l="" m="" n="" o="" p="" q="" r=""/>`},
		{Name: "no declaration is one", In: "<?xml-stylesheet href='x'?><a/><?p?>"},
		{Name: "declaration", In: "<?xml version = '1.0' encoding=\"Utf-8\" standalone='yes' ?><a/>", Value: object{"a": ""}},
		{Name: "without encoding", In: "\ufeff<?xml version='1.0' standalone='no'?>\n<a/>\n"},
	}})
}

func TestArraysByHint(t *testing.T) {
	c := xml.Codec{Arrays: []string{"order", "order.items.item", "order.items.v1.2", "order.@id"}}
	codectest.Run(t, codectest.Suite{Codec: c, Cases: []codectest.Case{
		{
			Name: "one", In: "<order id=''> <items> <item>a</item> <other/> <v1.2/></items> </order>",
			Value: object{"order": []any{object{"@id": "", "items": object{"item": []any{"a"}, "other": "", "v1.2": []any{""}}}}},
			Edits: []codectest.Edit{
				{JQ: `.order[0].items.item[0] = "b"`, Out: "<order id=''> <items> <item>b</item> <other/> <v1.2/></items> </order>"},
				{JQ: `.order[0].items.item += [{"@c": 1}]`, Out: "<order id=''> <items> <item>a</item> <item c=\"1\"/> <other/> <v1.2/></items> </order>"},
				{JQ: `.order[0].items.item = "b"`, Out: "<order id=''> <items> <item>b</item> <other/> <v1.2/></items> </order>"},
				{JQ: `.order[0].items.item[0] = []`, Err: `xml: .order[0].items.item[0]: an array in an array has no form in XML`},
				{JQ: `.order |= .[0]`, Out: "<order id=''> <items> <item>a</item> <other/> <v1.2/></items> </order>"},
				{JQ: `{a: .order[0].items}`, Out: "<a> <item>a</item> <other/> <v1.2/></a>"},
			},
		},
		{Name: "elsewhere", In: "<items><item>a</item></items>", Value: object{"items": object{"item": "a"}}},
	}})
}

func TestFromScratch(t *testing.T) {
	for _, test := range []struct {
		v    any
		want string
	}{
		{object{"a": nil}, "<a/>"},
		{object{"a": object{"z": 1, "b": []any{true, nil, 1.5}, "@y": "\"'", "#text": "<]]>", "@x": 1e21}}, `<a x="1e+21" y="&quot;'">&lt;]]&gt;<b>true</b><b/><b>1.5</b><z>1</z></a>`},
		{object{"a": object{"#text": " ", "b": []any{}}}, "<a> </a>"},
		{object{"a": object{"#text": "\t ", "b": ""}}, "<a>&#9; <b/></a>"},
		{object{"a": []any{"\r"}}, "<a>&#13;</a>"},
	} {
		if out, err := (xml.Codec{}).Encode(nil, test.v); string(out) != test.want || err != nil {
			t.Errorf("Encode(%v) = %s, %v, want %s", test.v, out, err, test.want)
		}
	}
	var deep any = "x"
	for range 10_000 {
		deep = object{"a": deep}
	}
	for _, test := range []struct {
		v    any
		want string
	}{
		{object{}, "xml: .: a document has one root element, and so the object one key"},
		{"a", "xml: .: a document is an object with one key, its root element, not a string"},
		{object{"@a": 1}, `xml: .["@a"]: an element's name that is no name of XML`},
		{object{"a": object{"b": []any{1, object{"c d": 1}}}}, `xml: .a.b[1]["c d"]: an element's name that is no name of XML`},
		{object{"a": object{"c d": []any{}}}, `xml: .a["c d"]: an element's name that is no name of XML`},
		{object{"a": object{"@": 1}}, `xml: .a["@"]: an attribute's name that is no name of XML`},
		{object{"a": object{"@b": "\xff"}}, `xml: .a["@b"]: text with a byte that is not UTF-8`},
		{object{"a": object{"b": "\ufffe"}}, `xml: .a.b: text with U+FFFE, which is no character of XML`},
		{object{"a": []string{}}, `xml: .a: an element cannot be a Go type []string`},
		{object{"a": []any{[]any{}}}, `xml: .a[0]: an array in an array has no form in XML`},
		{deep, "xml: " + strings.Repeat(".a", 129) + ": elements nest 128 deep at most"},
	} {
		if out, err := (xml.Codec{}).Encode(nil, test.v); err == nil || err.Error() != test.want {
			t.Errorf("Encode(%.100v) = %s, %v, want %s", test.v, out, err, test.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, test := range []struct {
		text string
		v    any
		want string // "": the text stays as it is
	}{
		{"1", 1, ""}, {"1.0", 1, ""}, {"1e2", 100.0, ""}, {"1E+02", 100, ""}, {"-0", 0, ""}, {"-0.50", -0.5, ""}, {"123456789012345678901234567890", huge, ""},
		{"1.10", json.Number("1.1"), ""}, {"true", true, ""}, {"", nil, ""},
		{"1", 2, "2"}, {"007", 7, "7"}, {" 1", 1, "1"}, {"1.", 1, "1"}, {".5", 0.5, "0.5"}, {"1e", 1, "1"}, {"1e+", 1, "1"}, {"+1", 1, "1"}, {"0x1", 1, "1"}, {"1", huge, huge.String()},
		{"1", 1e-7, "1e-7"}, {"1", json.Number("1.50"), "1.50"}, {"1", false, "false"}, {"1", nil, ""}, {"True", true, "true"}, {"null", nil, ""}, {"NaN", "NaN", ""},
	} {
		in := "<a><b>" + test.text + "</b><b c='" + test.text + "'/></a>"
		want := in
		if test.want != "" || test.v == nil {
			want = "<a><b>" + test.want + "</b><b c='" + test.want + "'/></a>"
		}
		_, original, err := xml.Codec{}.Decode([]byte(in), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := xml.Codec{}.Encode(original, object{"a": object{"b": []any{test.v, object{"@c": test.v}}}})
		if string(out) != want || err != nil {
			t.Errorf("%v onto %q: %s, %v, want %s", test.v, test.text, out, err, want)
		}
	}
	for _, v := range []any{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := (xml.Codec{}).Encode(nil, object{"a": v}); err == nil || err.Error() != "xml: .a: a number that is infinite or none" {
			t.Errorf("%v: %v", v, err)
		}
	}
	if _, err := (xml.Codec{}).Encode(nil, object{"a": json.Number("1x")}); err == nil || err.Error() != "xml: .a: a number that is none" {
		t.Errorf("1x: %v", err)
	}
}

func TestDepthIsThatOfTheStricterLimit(t *testing.T) {
	for _, limit := range []int{0, 128, 512} {
		if _, _, err := (xml.Codec{}).Decode(deep(128), codec.Limits{Depth: limit}); err != nil {
			t.Errorf("128 levels with a limit of %d: %v", limit, err)
		}
		if _, _, err := (xml.Codec{}).Decode(deep(129), codec.Limits{Depth: limit}); err == nil {
			t.Errorf("129 levels with a limit of %d pass", limit)
		}
	}
}
