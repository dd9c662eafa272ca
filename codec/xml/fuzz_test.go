package xml_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/xml"
)

var seeds = []string{
	"<a/>", order, "\ufeff<a b='1'\n c = \"&lt;&#65;\">x<!-- y -->z<![CDATA[ <b> ]]>\r\n</a >", "<a><b>1</b> <c/><b>2</b>\n<b/></a><?p q?>",
	"<a>one<b>two</b>three<c/> four</a>", "<a>]]<b/>&gt;\r<c/>\n</a>", "<a> &#32;<b/> <![CDATA[]]> </a>", "<x:a xmlns:x='u'><x:b x:c=''/></x:a>",
	"<a><b><b><b><c/></b></b></b></a>", "<a>]]></a>", "<!DOCTYPE a><a/>", "<a b='1' b='2'/>", "<é>ü</é>",
}

// FuzzDecode compares with encoding/xml.
func FuzzDecode(f *testing.F) {
	for _, s := range append(seeds, invalid...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := xml.Codec{}
		v, _, err := codectest.Keeps(t, c, data)
		if err != nil {
			return
		}
		want, err := reference(data)
		switch {
		case err != nil && newerName(data, err):
		case err != nil:
			t.Fatalf("accepted %q, encoding/xml does not: %v", data, err)
		case !value.Equal(spaced(v), spaced(want)):
			t.Fatalf("%q reads as %#v, want %#v", data, v, want)
		}
		codectest.ComesBack(t, c, v)
	})
}

var programs = []string{
	".", "{a: .}", "{a: [.]}", "{a: {b: ., c: .}}", "map_values(null)", "map_values({b: .})", ".a = 1", ".a.b = [1, 2]", ".a.b += [\"x\"]", "del(.a.b)", "del(.a[\"#text\"])",
	".a[\"#text\"] = \" \"", ".a[\"#text\"] += \"x\"", ".a[\"#text\"] |= .[1:]", ".a[\"#text\"] |= .[:-1]", ".a[\"#text\"] = \"x\" + .", ".a[\"@b\"] = \"'\\\"\\n<\"", ".a.c = .a.b", ".a.b |= reverse", "del(.a.b[0])", "del(.a[\"@b\"])",
	".a.b |= map({\"#text\": .})", ".a.b[0] |= tostring", "walk(if type == \"array\" then reverse else . end)", "walk(if type == \"array\" then . + . else . end)", "walk(if type == \"array\" then .[1:] else . end)",
	"walk(if type == \"object\" then del(.b) else . end)", "walk(if type == \"object\" then del(.[\"#text\"]) else . end)", "walk(if type == \"string\" then . + \"]]>\\r\" else . end)", "walk(if type == \"string\" then .[:1] else . end)",
	"walk(if type == \"string\" then (tonumber? // .) else . end)", "walk(if type == \"object\" then . + {z: 1, \"@z\": null} else . end)", "walk(if type == \"array\" then ([{q: 1}] + .) else . end)", "walk(if type == \"object\" then with_entries(.value |= [.]) else . end)",
	"map_values(to_entries | from_entries)", ".a = .a.b", ".a[\"#text\"] |= ascii_upcase", "walk(if type == \"string\" and (. | length) > 3 then .[:1] + \"-\" + .[2:] else . end)",
}

// FuzzEdit writes onto one document what a program makes of it, and another
// document's value, and reads both back.
func FuzzEdit(f *testing.F) {
	for i, s := range seeds {
		for j := range programs {
			f.Add([]byte(s), []byte(seeds[(i+j)%len(seeds)]), uint8(j))
		}
	}
	f.Fuzz(func(t *testing.T, data, other []byte, program uint8) {
		c := xml.Codec{}
		v, original, err := c.Decode(data, codec.Limits{Size: 4096, Depth: 100})
		if err != nil {
			return
		}
		results := make([]codec.Value, 0, 2)
		if w, _, err := c.Decode(other, codec.Limits{Depth: 100}); err == nil {
			results = append(results, w)
			if rw, rv := w.(object), v.(object); len(rw) == 1 && len(rv) == 1 {
				for k := range rv {
					for _, inner := range rw {
						results = append(results, object{k: inner})
					}
				}
			}
		}
		if w, err := codectest.JQ(programs[int(program)%len(programs)], v); err == nil {
			results = append(results, w)
		}
		for _, w := range results {
			checkEdit(t, data, v, original, w)
		}
	})
}

func checkEdit(t *testing.T, data []byte, v codec.Value, original codec.Original, w codec.Value) {
	t.Helper()
	c := xml.Codec{}
	before := codectest.Copy(v)
	out, err := c.Encode(original, w)
	if err != nil {
		_, scratch := c.Encode(nil, w)
		if scratch == nil && !strings.Contains(err.Error(), "more than one run") || !errors.As(err, new(*codec.ExpressError)) {
			t.Fatalf("Encode of %#v onto %q: %v", w, data, err)
		}
		return
	}
	again, _, err := c.Decode(out, codec.Limits{})
	if err != nil || !sameDocument(w, again) {
		t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", w, data, out, again, err)
	}
	if value.Equal(v, w) && !bytes.Equal(out, data) {
		t.Fatalf("equal value wrote %q, want %q", out, data)
	}
	if !value.Equal(before, v) {
		t.Fatalf("Encode of %#v onto %q changed the decoded value", w, data)
	}
	if !plain.Match(data) || isMixed(v) || !sameShape(v, again) {
		return
	}
	// An edit that leaves all elements touches nothing but texts, so undoing it
	// restores the bytes.
	_, edited, err := c.Decode(out, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := c.Encode(edited, v); err != nil || !bytes.Equal(back, data) {
		t.Fatalf("%q edited to %q and back is %q, %v", data, out, back, err)
	}
}
