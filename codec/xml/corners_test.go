package xml_test

import (
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
			{JQ: `del(.a["#text"])`, Out: "<a><b/><c/>\n</a>"},
			{JQ: `del(.a.b)`, Out: "<a>one  two <c/>\n</a>"},
			{JQ: `del(.a.c)`, Out: "<a>one <b/> two </a>"},
			{JQ: `del(.a.b) | .a["#text"] = "masked"`, Out: "<a>masked<c/>\n</a>"},
			{JQ: `.a = "masked"`, Out: "<a>masked</a>"},
			{JQ: `.a.b = [1, 2] | .a.d = 3`, Out: "<a>one <b>1</b><b>2</b> two <c/>\n<d>3</d></a>"},
			{JQ: `.a["#text"] |= sub("one "; " ")`, Out: "<a>&#32;<b/> two <c/>\n</a>"},
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
