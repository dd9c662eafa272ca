package xml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/xml"
)

const order = `<?xml version="1.0" encoding="UTF-8"?>
<!-- head -->
<o:order xmlns:o='urn:o'  id="7" paid='no'>
  <!-- the buyer -->
  <buyer>Ann &amp; Bob</buyer>
  <item sku="A"><name>pen</name><price>1.10</price></item>
  <note><![CDATA[5 < 6]]></note>
  <item sku="B"><name>ink</name><price>2.50</price></item><?stamp x?>
  <empty/>
</o:order>
<!-- tail -->
`

type object = map[string]any

func deep(n int) []byte {
	return []byte(strings.Repeat("<a>", n) + strings.Repeat("</a>", n))
}

// inOrder is order with some of it replaced, each of which it has once.
func inOrder(oldnew ...string) string {
	for i := 0; i < len(oldnew); i += 2 {
		if strings.Count(order, oldnew[i]) != 1 {
			panic("not once: " + oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(order)
}

func TestContract(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   xml.Codec{},
		Deep:    deep,
		Invalid: invalid,
		Cases: []codectest.Case{
			{
				Name: "an order", In: order,
				Value: object{"o:order": object{
					"@xmlns:o": "urn:o", "@id": "7", "@paid": "no", "buyer": "Ann & Bob",
					"item": []any{
						object{"@sku": "A", "name": "pen", "price": "1.10"},
						object{"@sku": "B", "name": "ink", "price": "2.50"},
					},
					"note": "5 < 6", "empty": "",
				}},
				Edits: []codectest.Edit{
					{JQ: `.["o:order"].buyer = "Cid <x>"`, Out: inOrder("Ann &amp; Bob", "Cid &lt;x&gt;")},
					{JQ: `.["o:order"]["@paid"] = "it's"`, Out: inOrder(`'no'`, `'it&apos;s'`)},
					{JQ: `.["o:order"]["@id"] = 8`, Out: inOrder(`"7"`, `"8"`)},
					{JQ: `.["o:order"]["@id"] |= tonumber`, Out: order},
					{JQ: `.["o:order"].item[].price |= tonumber`, Out: order, Normal: true}, // 1.1 is no edit of 1.10
					{JQ: `.["o:order"].item[0].price |= tonumber + 1`, Out: inOrder("1.10", "2.1")},
					{JQ: `del(.["o:order"]["@id"])`, Out: inOrder(`  id="7"`, "")},
					{JQ: `.["o:order"]["@z"] = true | .["o:order"]["@a"] = "'"`, Out: inOrder(`paid='no'`, `paid='no' a='&apos;' z='true'`)},
					{JQ: `.["o:order"].note = "7 > 8"`, Out: inOrder("5 < 6", "7 > 8")},
					{JQ: `.["o:order"].note = "]]>"`, Out: inOrder("<![CDATA[5 < 6]]>", "]]&gt;")},
					{JQ: `.["o:order"].note = ""`, Out: inOrder("<![CDATA[5 < 6]]>", "")},
					{JQ: `.["o:order"].empty = "x"`, Out: inOrder("<empty/>", "<empty>x</empty>")},
					{JQ: `.["o:order"].empty = null`, Out: order},
					{JQ: `.["o:order"].empty = {a: [1, 2], "@b": 3}`, Out: inOrder("<empty/>", `<empty b="3"><a>1</a><a>2</a></empty>`)},
					{JQ: `del(.["o:order"].buyer)`, Out: inOrder("\n  <buyer>Ann &amp; Bob</buyer>", "")},
					{JQ: `del(.["o:order"].item[0])`, Out: inOrder("\n  <item sku=\"A\"><name>pen</name><price>1.10</price></item>", "")},
					{JQ: `.["o:order"].item = []`, Out: inOrder("\n  <item sku=\"A\"><name>pen</name><price>1.10</price></item>", "", "\n  <item sku=\"B\"><name>ink</name><price>2.50</price></item>", "")},
					{JQ: `.["o:order"].item |= reverse`, Out: inOrder("\"A\"><name>pen</name><price>1.10</", "\"B\"><name>ink</name><price>2.50</", "\"B\"><name>ink</name><price>2.50</", "\"A\"><name>pen</name><price>1.10</")},
					{JQ: `.["o:order"].item += [{name: "cap"}]`, Out: inOrder("2.50</price></item>", "2.50</price></item>\n  <item><name>cap</name></item>")},
					{JQ: `.["o:order"].item |= [{name: "cap"}] + .`, Out: inOrder("<item sku=\"A\">", "<item><name>cap</name></item>\n  <item sku=\"A\">")},
					{JQ: `.["o:order"].item = [{name: "cap"}]`, Out: inOrder("<item sku=\"A\"><name>pen</name><price>1.10</price></item>", "<item><name>cap</name></item>", "\n  <item sku=\"B\"><name>ink</name><price>2.50</price></item>", "")},
					{JQ: `.["o:order"].total = 3.6 | .["o:order"].count = 2`, Out: inOrder("<empty/>", "<empty/>\n  <count>2</count>\n  <total>3.6</total>")},
					{JQ: `.["o:order"].item[1].name = {"@lang": "en", "#text": "Tinte"}`, Out: inOrder("<name>ink", `<name lang="en">Tinte`)},
					{JQ: `.["o:order"].item[1] = "none"`, Out: inOrder("<item sku=\"B\"><name>ink</name><price>2.50</price></item>", "<item>none</item>")},
					{JQ: `{order: .["o:order"]}`, Out: inOrder("<o:order", "<order", "</o:order", "</order")},
					{JQ: `{e: {"@v": 1, body: .}}`, Out: inOrder("<o:order", `<e v="1"><body><o:order`, "</o:order>", "</o:order></body></e>")},
					{JQ: `.["o:order"].item[0].copy = .["o:order"].item[1]`, Out: inOrder("1.10</price>", `1.10</price><copy sku="B"><name>ink</name><price>2.50</price></copy>`)},
					{JQ: `.["o:order"] |= del(.[keys[] | select(startswith("@") | not)])`, Out: inOrder(order[strings.Index(order, "\n  <!-- the"):strings.Index(order, "</o:order")], "<!-- the buyer --><?stamp x?>")},
					{JQ: `.["o:order"] = null`, Out: inOrder(" xmlns:o='urn:o'  id=\"7\" paid='no'", "", order[strings.Index(order, "\n  <!-- the"):strings.Index(order, "</o:order")], "<!-- the buyer --><?stamp x?>")},

					{JQ: `.["o:order"]["@id"] = []`, Err: `xml: .["o:order"]["@id"]: an attribute cannot be an array`},
					{JQ: `.["o:order"]["@new"] = {}`, Err: `xml: .["o:order"]["@new"]: an attribute cannot be an object`},
					{JQ: `.["o:order"]["#text"] = {}`, Err: `xml: .["o:order"]["#text"]: text cannot be an object`},
					{JQ: `.["o:order"].item[1].name = [["x"]]`, Err: `xml: .["o:order"].item[1].name[0]: an array in an array has no form in XML`},
					{JQ: `.["o:order"].item[1].price = nan`, Err: `xml: .["o:order"].item[1].price: a number that is infinite or none`},
					{JQ: `.["o:order"]["a b"] = 1`, Err: `xml: .["o:order"]["a b"]: an element's name that is no name of XML`},
					{JQ: `.["o:order"].a = {"@1": 1}`, Err: `xml: .["o:order"].a["@1"]: an attribute's name that is no name of XML`},
					{JQ: `.["o:order"]["#comment"] = []`, Err: `xml: .["o:order"]["#comment"]: an element's name that is no name of XML`},
					{JQ: `.["o:order"].buyer = "\u0000"`, Err: `xml: .["o:order"].buyer: text with U+0000, which is no character of XML`},
					{JQ: `.a = 1`, Err: "xml: .: a document has one root element, and so the object one key"},
					{JQ: `{}`, Err: "xml: .: a document has one root element, and so the object one key"},
					{JQ: `[.]`, Err: "xml: .: a document is an object with one key, its root element, not an array"},
					{JQ: `{a: [1, 2]}`, Err: "xml: .a: a document has one root element"},
					{JQ: `null`, Err: "xml: .: a document is an object with one key, its root element, not null"},
				},
			},
		},
	})
}

// invalid are payloads that are no XML, or none that we accept.
var invalid = []string{
	"", " ", "\ufeff", "a", "<", "<a", "<a>", "<a/", "<a/><b/>", "<a/>b", "b<a/>", "</a>", "<a></b>", "<a></a", "<a></a b>", "<a><b></a></b>",
	"< a/>", "<1/>", "<-a/>", "<a:/>", "<:a/>", "<a:b:c/>", "<a:1/>", "<a/ >", "<é\u00d7/>", "<\u0300/>",
	"<a b/>", "<a b=/>", "<a b=c/>", "<a b='c/>", "<a b='c\"/>", "<a b=''c=''/>", "<a b='' b=''/>", "<a b='<'/>", "<a 1=''/>", "<a b='&'/>", "<a =''/>",
	"<a>&</a>", "<a>&;</a>", "<a>&amp</a>", "<a>&nbsp;</a>", "<a>&#;</a>", "<a>&#x;</a>", "<a>&#X41;</a>", "<a>&#+65;</a>", "<a>&#0;</a>", "<a>&#8;</a>", "<a>&#xD800;</a>",
	"<a>&#xFFFE;</a>", "<a>&#x110000;</a>", "<a>&#99999999999999999999;</a>", "<a>&#4_2;</a>", "<a>&# 65;</a>", "<a>& lt;</a>", "<a>&LT;</a>",
	"<a>]]></a>", "<a>\x00</a>", "<a>\x01</a>", "<a>\xff</a>", "<a>\xed\xa0\x80</a>", "<a>\uffff</a>", "<a\x0b/>",
	"<a><!-- -- --></a>", "<a><!-- ---></a>", "<a><!--></a>", "<a><!-></a>", "<a><!-- </a>", "<a><![CDATA[</a>", "<a><![cdata[]]></a>", "<![CDATA[]]><a/>", "<a/><![CDATA[]]>",
	"<a><?></a>", "<a><? b?></a>", "<a><?b</a>", "<a><?b </a>", "<a " + strings.Repeat("b='' ", 2) + "/>", "<a a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k='' l='' m='' n='' o='' p='' q='' r='' e=''/>", "<a><?b/?></a>", "<a><?xml version='1.0'?></a>", " <?xml version='1.0'?><a/>", "<a/><?XML?>",
	"<?xml?><a/>", "<?xml version='1.1'?><a/>", "<?xml version='1.0'", "<?xml version=1.0?><a/>", "<?xml encoding='utf-8'?><a/>", "<?xml version='1.0' encoding='latin1'?><a/>",
	"<?xml version='1.0' encoding='UTF-16'?><a/>", "<?xml version='1.0' standalone='maybe'?><a/>", "<?xml version='1.0' standalone='yes' encoding='utf-8'?><a/>",
	"<?xml version='1.0'encoding='utf-8'?><a/>", "<?xml version='1.0' a='b'?><a/>", "<?xml version='1.0' encoding='utf-8",
	"<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "<?xml version='1.0'?>\n<!DOCTYPE a><a/>",
	"<a><!DOCTYPE a></a>", "<a><!ENTITY b 'c'></a>", "<!doctype a><a/>",
	"\xfe\xff\x00<\x00a\x00/\x00>", "\xff\xfe<\x00a\x00/\x00>\x00", "<\x00a\x00/\x00>\x00", "<a/>\ufeff", "\ufeff\ufeff<a/>", "<a/>\x00",
}

func TestErrorsShowNoPayload(t *testing.T) {
	secret := strings.Repeat("hunter2", 20)
	for _, in := range []string{"<a><" + secret + "></b></a>", "<a>&" + secret + ";</a>", "<a>" + secret + "</a", "<a><!" + secret + "></a>", "<?xml version='" + secret + "'?><a/>"} {
		_, _, err := xml.Codec{}.Decode([]byte(in), codec.Limits{})
		var syntax *codec.SyntaxError
		if !errors.As(err, &syntax) || strings.Contains(err.Error(), secret[:33]) {
			t.Errorf("error %v", err)
		}
	}
}
