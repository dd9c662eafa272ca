package json

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
)

// accepted are texts of RFC 8259's grammar, production by production.
func accepted() []string {
	return []string{
		// section 2: any value is a text; white space is four characters, around the six structural ones
		`null`, `true`, `false`, `1`, `""`, `"x"`, `[]`, `{}`, " \t\n\r[ \t\n\r] \t\n\r", " { } ", "\n1\n", "[1\n,2]", "[1,\r2]", "{\t\"a\"\n:\r1 }", `[ 4]`, `[true ]`, `[null, 1, "1", {}]`, "[]\n",
		// section 4: objects; names may be empty, equal, and have escapes
		`{"a":1}`, `{"":0}`, `{"a":1,"b":2}`, `{"a":1,"a":2}`, `{"a":{},"a":{}}`, `{"foo\u0000bar": 42}`, `{"min": -1.0e+28, "max": 1.0e+28}`, `{"a":[]}`, `{"a":{"b":{"c":null}}}`, "{\n\"a\": \"b\"\n}",
		`{"\u0074\u0069\u0074\u006c\u0065":"x"}`, `{"é":1}`,
		// section 5: arrays
		`[""]`, `["a"]`, `[false]`, `[[]   ]`, `[1,null,null,null,2]`, `[2] `, `[[[[]]],{}]`, `[ ]`,
		// section 6: numbers
		`0`, `-0`, `-1`, `10`, `123`, `-123`, `1.0`, `0.1`, `-0.0`, `1e1`, `1E1`, `1e+1`, `1E+1`, `1e-1`, `1E-1`, `0e1`, `0e+1`, `0E0`, `-0e-0`, `1.5e10`, `123.456e78`, `123.456789`, `1e00`, `1e-001`,
		`-0.000000000000000000000000000000000000000000000000000000000000000000000000000000001`, `20e1`, `[0e+1]`, `9007199254740993`, `18446744073709551616`, `0.0`, `100000000000000000000.0001`,
		// section 7: strings: all but quotation mark, reverse solidus and the controls may stand as they are
		`"\""`, `"\\"`, `"\/"`, `"\b\f\n\r\t"`, `"\u0000"`, `"\u001f"`, `"\u0020"`, `"\u00e9"`, `"\uABCD\uabcd"`, `"\ud834\udd1e"`, `"\uD834\uDD1E"`, `"\u2028\u2029"`, `"\uFFFF"`, `"\uFDD0"`, `"\uDBFF\uDFFE"`,
		`"/"`, "\"\x7f\"", "\"\u0080\"", "\"é\"", "\"\u2028\u2029\"", "\"\U0001F600\"", "\"\U0010FFFF\"", "\"\uFFFF\"", "\"\uFEFF\"", `"a/*b*/c/*d//e"`, `"\\u0000"`, `"\\a"`, `"\\\""`, `"\"\\\/\b\f\n\r\t"`, `" "`, `"asd "`, `"\u0022"`, `"\u005C"`, `"new\u000Aline"`, "\"\U0001D11E\"", `"\\\\"`, `["\u0060\u012a\u12AB"]`,
	}
}

// refusedTexts are near to those, but no JSON.
func refusedTexts() []string {
	return []string{
		"", " ", "\n", "\f", "\v1", "\u00a01", "\u30001", "1\u00a0", "[\u2060]", "[\f]", "\x001", "1\x00", "\ufeff", "\ufeff\ufeff1", "1\ufeff", "\u00ef\u00bb\u00bf{}",
		"\xff\xfe1\x00", "\xfe\xff\x001", "1\x00\x00\x00", // UTF-16 and UTF-32
		// literals
		`nul`, `nulll`, `tru`, `truee`, `fals`, `True`, `NULL`, `TRUE`, `undefined`, `NaN`, `-NaN`, `Infinity`, `-Infinity`, `+Infinity`, `Inf`, `nan`, `*`, `a`, `<>`, `<null>`, `[nul]`, `[tru]`, `[fals]`, "\u00e5", "\xe5",
		// numbers
		`+1`, `+`, `-`, `--1`, `-+1`, `- 1`, `.1`, `-.1`, `1.`, `-1.`, `0.`, `1.e1`, `1.e+1`, `.e1`, `e1`, `01`, `-01`, `00`, `-00`, `012`, `-012`, `1e`, `1E`, `1e+`, `1e-`, `1e+-1`, `1ee1`, `1e1.5`, `1e0x1`, `0e`, `0e+`, `0E+`, `1.0e`, `1.0e+`, `1.0e-`,
		`0.3e`, `0.1.2`, `1.2.3`, `1_000`, `1 000.0`, `0x1`, `0x42`, `0b1`, `0o7`, `1a`, `1e1a`, `1-1`, `1+2`, `1,2`, `-foo`, `-1x`, `123\u0000`, `1\u0000`, "\uff11", "[-\uff11]", `0.3e+`, `[1eE2]`, `[++1234]`, `[1.8011670033376514H-308]`, `[123e-]`, `[123E]`, `2.e3`, `2.e-3`, `9.e+`, `-2.`, `1f`, `1L`,
		// strings
		`"`, `"a`, `a"`, `'a'`, `'`, "`a`", `"\"`, `"\`, `"a\`, `"\x"`, `"\x00"`, `"\a"`, `"\v"`, `"\0"`, `"\e"`, `"\'"`, `"\ "`, `"\U00e9"`, `"\u"`, `"\u0"`, `"\u00"`, `"\u00A"`, `"\u00G0"`, `"\u 041"`, `"\u+041"`, `"\u-041"`, `"\ud834\u"`, `"\ud834\ud"`, `"\ud834\udd1`, `"\ud834\x"`, `"\u00A`, `"\🌀"`,
		"\"\n\"", "\"\t\"", "\"\x00\"", "\"\x1f\"", "\"a\x00a\"", "\"a\rb\"", "\"\\\n\"", "\"\\\x00\"", `"a" "b"`, `"a"x`, `"a",`, `\u0020"a"`, `["\`, `["\"]`, `["\\\"]`, `["a`, `[\n]`, `[\u000A""]`, `"\uqqqq"`, `"""`, `“a”`,
		// bytes that are no UTF-8: alone, cut off, overlong, surrogates, beyond the last character
		"\"\x80\"", "\"\xbf\"", "\"\xff\"", "\"\xfe\"", "\"\xc3\"", "\"\xc3(\"", "\"\xe2\x82\"", "\"\xe2(\xa1\"", "\"\xf0\x9f\x98\"", "\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xe0\x80\xaf\"", "\"\xf0\x80\x80\xaf\"", "\"\xfc\x83\xbf\xbf\xbf\xbf\"",
		"\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "{\"\xb9\":1}", "[\"a\xe5\"]", "[\xff]", "[1\xe5]", "\"\\\xe5\"", "\"\\u\xe5\"", "[1e1\xe5]", "[0\xe5]", "\"\xe9\\n\"", "\"\\n\xe9\"",
		// arrays
		`[`, `]`, `[1`, `[1,`, `[,`, `[,]`, `[,1]`, `[1,]`, `[1,,]`, `[1,,2]`, `["a",,"b"]`, `[1 2]`, `[1 true]`, `["a" "b"]`, `[3[4]]`, `[1}`, `[1]]`, `[][]`, `[x]`, `["x"]]`, `["",]`, `["a`, `[ `, `[""`, `[*]`, "[\"\va\"\\f]", `[1:2]`, `["": 1]`, `["x", truth]`, `[a`, "[\"a\",\n4\n,1,", `[{}`, `[[],`, `[1]x`, `[1],`, `[""],`, `[:]`, `[;]`, `[1;2]`, `[(1)]`, `[...]`,
		// objects
		`{`, `}`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":1,,}`, `{"a":1,,"b":2}`, `{,}`, `{,"a":1}`, `{:1}`, `{a:1}`, `{'a':1}`, `{'a':'b'}`, `{1:1}`, `{null:1}`, `{[]:1}`, `{"a" 1}`, `{"a"::1}`, `{"a":"b":"c"}`, `{"a",1}`, `{"a";1}`, `{"a"=1}`, `{"a":1;"b":2}`, `{"a":1 "b":2}`, `{"a"}`, `{"a","b"}`, `{"a":1]`, `{"a":1}}`, `{}}`, `{"a":true} "x"`, `{"a":"b"}#`, `{"a":1}//`, `{"a":/*x*/1}`, `/*x*/1`, `1//x`, `{"a":"b"}/**/`, `{"a":"b"}#{}`, `{ "a" : "b" , }`, `{"x": true,`, `{"x"x:1}`, `{key: 'value'}`, `{"id":0,}`, `{"id":0,,,,,}`, `{9999E9999:1}`, `{🇨🇭}`, `{"a":"a" 123}`, `{"a": tru}`, `{"b":2,"a"}`, `{\"a\":1}`, `{ "foo" : "bar", "a" }`,
		// more than one text
		`1 1`, `1,1`, `{}{}`, `{}[]`, `[] null`, `null,`, `""""`, `{"a":"b"}{`, "1\n2", `][`, `}{`, `,`, `:`, `[{"":[{"":`, `{"":{"":{"":`, "\x1e1", `&`, `{&}`, `[&]`, "[\"asd]", `["a\u00]`,
	}
}

// decided are the texts of which the RFC says that they are for the reader to
// decide, and "refused" or what they read as.
func decided() []struct{ text, reads string } {
	return []struct{ text, reads string }{
		{"\ufeff1", `1`},
		{`1e400`, `1e400`}, {`-1e9999`, `-1e9999`}, {`1e-10000`, `1e-10000`}, {`123123e100000`, `123123e100000`}, {`0.4e00669999999999999999999999999999999999999999999999`, `0.4e00669999999999999999999999999999999999999999999999`},
		{`100000000000000000000`, `100000000000000000000`}, {`-237462374673276894279832749832423479823246327846`, `-237462374673276894279832749832423479823246327846`}, {`1.10`, `1.10`}, {`-0`, `-0`},
		{`"\ud800"`, "\"\ufffd\""}, {`"\udc00"`, "\"\ufffd\""}, {`"\ud800\ud800\n"`, "\"\ufffd\ufffd\\n\""}, {`"\udd1e\ud834"`, "\"\ufffd\ufffd\""}, {`"\ud888\u1234"`, "\"\ufffd\u1234\""}, {`"\uDADAabc"`, "\"\ufffdabc\""}, {`{"\uDFAA":0}`, "{\"\ufffd\":0}"}, {`"\uD800\""`, "\"\ufffd\\\"\""},
		{`{"a":1,"a":2}`, `{"a":2}`}, {`{"a":1,"\u0061":2}`, `{"a":2}`},
		{strings.Repeat("[", 512) + strings.Repeat("]", 512), strings.Repeat("[", 512) + strings.Repeat("]", 512)},
		{strings.Repeat("[", 513) + strings.Repeat("]", 513), "refused"}, {strings.Repeat(`[{"":`, 50_000), "refused"}, {strings.Repeat("[", 100_000), "refused"},
		{strings.Repeat("9", maxNumber), strings.Repeat("9", maxNumber)}, {strings.Repeat("9", maxNumber+1), "refused"},
		{"\xef\xbb", "refused"}, {"\xef\xbb\xbf", "refused"},
	}
}

func TestAcceptsWhatIsJSON(t *testing.T) {
	for _, text := range accepted() {
		for _, text := range []string{text, "[" + text + "]", ` {"a" : ` + text + "\n}"} {
			if _, _, err := (Codec{}).Decode([]byte(text), codec.Limits{}); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			checkSkim(t, []byte(text), 512)
		}
	}
}

func TestRefusesWhatIsNoJSON(t *testing.T) {
	for _, text := range refusedTexts() {
		_, _, err := Codec{}.Decode([]byte(text), codec.Limits{})
		var syntax *codec.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset > len(text) {
			t.Errorf("%q: error %v", text, err)
		}
		checkSkim(t, []byte(text), 512)
	}
}

func TestDecidesWhatTheStandardLeavesOpen(t *testing.T) {
	for _, c := range decided() {
		v, _, err := Codec{}.Decode([]byte(c.text), codec.Limits{})
		got := "refused"
		if err == nil {
			got = string(AppendCompact(nil, v))
		}
		if got != c.reads {
			t.Errorf("%.60q reads as %.60s (%v), want %.60s", c.text, got, err, c.reads)
		}
		checkSkim(t, []byte(c.text), 512)
	}
}
