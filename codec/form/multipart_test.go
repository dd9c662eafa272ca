package form_test

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/form"
)

// text makes a form of lines, with B for the delimiter.
func text(lines ...string) string {
	return strings.ReplaceAll(strings.Join(lines, "\r\n"), "B", "--x(y")
}

func withBoundary(t *testing.T) codec.Codec {
	t.Helper()
	c, err := form.Multipart{}.For(`multipart/form-data; boundary="x(y"`)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContractOfMultipart(t *testing.T) {
	const a1, b = "Content-Disposition: form-data; name=\"a\"", "content-disposition:form-data;\r\n name=b"
	const file = "Content-Disposition: form-data; filename=\"C:\\é.png\"; name=\"f\"\r\nContent-Type: image/png"
	part := func(s string) string { return text("B", s, "", "v", "B--") }
	codectest.Run(t, codectest.Suite{
		Codec: withBoundary(t),
		Invalid: []string{
			"", "a", text("B"), text("B", ""), text("B", a1, "", "v"), text("B", a1, "", "v", "B"), text("Bz", a1, "", "v", "B--"), text("B", a1, "", "v", "B--z"),
			text("B", "B--"), text("B", "", "v", "B--"), text("B", a1, "B--"), text("B", a1, "", "v\nB--", "B--"), text("B", a1, "", "v", "B--", "B--"), "\n" + text("B--"),
			part("x: y"), part("Content-Disposition: form-data"), part("Content-Disposition: attachment; name=a"), part(a1 + "; name=b"), part(a1 + "\r\n" + a1),
			part(a1 + "; name*=utf-8''b"), part(a1 + "; \tNAME*0=b"), part("Content-Disposition: form-data; name=\"\xff\""), part(" x\r\n" + a1), part("x\r\n" + a1), part("x y:\r\n" + a1), part("x: \n\r\n" + a1),
		},
		Lossy: []string{"files"},
		Cases: []codectest.Case{
			{
				Name: "text", In: text("preamble", "B \t", "X-A: 1", a1, "", "v\r\nw", "B", b, "", "", "B", a1, "", "2", "B--", "epilogue"),
				Value: o{"a": a{"v\r\nw", "2"}, "b": ""},
				Edits: []e{
					{JQ: `.a[0] = "n"`, Out: text("preamble", "B \t", "X-A: 1", a1, "", "n", "B", b, "", "", "B", a1, "", "2", "B--", "epilogue")},
					{JQ: `.a[1] |= tonumber`, Out: text("preamble", "B \t", "X-A: 1", a1, "", "v\r\nw", "B", b, "", "", "B", a1, "", "2", "B--", "epilogue"), Normal: true},
					{JQ: `.b = true`, Out: text("preamble", "B \t", "X-A: 1", a1, "", "v\r\nw", "B", b, "", "true", "B", a1, "", "2", "B--", "epilogue"), Normal: true},
					{JQ: `.a |= reverse`, Out: text("preamble", "B", a1, "", "2", "B", b, "", "", "B \t", "X-A: 1", a1, "", "v\r\nw", "B--", "epilogue")},
					{JQ: `del(.a[0])`, Out: text("preamble", "B", b, "", "", "B", a1, "", "2", "B--", "epilogue")},
					{JQ: `{}`, Out: text("preamble", "B--", "epilogue")},
					{JQ: `.c = ["1", "\n"]`, Out: text("preamble", "B \t", "X-A: 1", a1, "", "v\r\nw", "B", b, "", "", "B", a1, "", "2", "B", `Content-Disposition: form-data; name="c"`, "", "1", "B", `Content-Disposition: form-data; name="c"`, "", "\n", "B--", "epilogue")},
					{JQ: `.b = "a\n--x(yz"`, Err: "multipart: .b: text that has the boundary in it"},
					{JQ: `.b = "--x(y"`, Err: "multipart: .b: text that has the boundary in it"},
					{JQ: `.a[1] = []`, Err: "multipart: .a[1]: a value is text, and array is none"},
					{JQ: `.["a%22"] = ""`, Err: `multipart: .["a%22"]: a name that would read as another`},
					{JQ: `.["\u0000"] = ""`, Err: `multipart: .["\x00"]: a name that would read as another`},
					{JQ: `[]`, Err: "multipart: .: a form is an object, and array is none"},
				},
			},
			{
				Name: "files", In: text("B", file, "", "\xff\x00\n", "B", file, "", "two", "B", a1, "Content-Transfer-Encoding: base64", "", "eA==", "B", b, "Content-Transfer-Encoding: 8bit", "", "x", "B--"),
				Value: o{
					"a": o{"size": 4}, "b": "x",
					"f": a{o{"filename": `C:\é.png`, "type": "image/png", "size": 3}, o{"filename": `C:\é.png`, "type": "image/png", "size": 3}},
				},
				Edits: []e{
					{JQ: `.b = "y"`, Out: text("B", file, "", "\xff\x00\n", "B", file, "", "two", "B", a1, "Content-Transfer-Encoding: base64", "", "eA==", "B", b, "Content-Transfer-Encoding: 8bit", "", "y", "B--")},
					{JQ: `del(.f, .a)`, Out: text("B", b, "Content-Transfer-Encoding: 8bit", "", "x", "B--")},
					{JQ: `del(.f[0], .a)`, Out: text("B", file, "", "two", "B", b, "Content-Transfer-Encoding: 8bit", "", "x", "B--")},
					{JQ: `.f[0].type = "x"`, Err: "multipart: .f[0]: a file can be kept or removed, but not changed"},
					{JQ: `.a = "x"`, Err: "multipart: .a: a file can be kept or removed, but not changed"},
					{JQ: `.g = .a`, Err: "multipart: .g: a file can be kept or removed, but not made or given another name"},
					{JQ: `.b = .a`, Err: "multipart: .b: a file can be kept or removed, but not made or given another name"},
				},
			},
			{
				Name: "names", In: text("B", `Content-Disposition: form-data; name="q%22\"%0d%0A\\é;"`, "", "", "B--", ""), Value: o{"q\"\"\r\n\\é;": ""},
				Edits: []e{{JQ: `with_entries(.key += "n")`, Out: text("B", `Content-Disposition: form-data; name="q%22%22%0D%0A\\é;n"`, "", "", "B--", "")}},
			},
			{
				Name: "no body", In: text("B", a1, "", "B--"), Value: o{"a": ""},
				Edits: []e{{JQ: `.a = "x"`, Out: text("B", a1, "", "x", "B--")}, {JQ: `.b = "x"`, Out: text("B", a1, "", "B", `Content-Disposition: form-data; name="b"`, "", "x", "B--")}},
			},
			{Name: "no parts", In: text("B--"), Value: o{}, Edits: []e{{JQ: `.a = "x"`, Out: text("B", a1, "", "x", "B--")}}},
			{Name: "the boundary in a line", In: text("B", a1, "", "aB\rB", "B--"), Value: o{"a": "a--x(y\r--x(y"}},
		},
	})
}

func TestBoundaries(t *testing.T) {
	for _, contentType := range []string{
		"", "multipart/form-data", "multipart/form-data; boundary=", `multipart/form-data; boundary="a "`, `multipart/form-data; boundary="é"`,
		"multipart/form-data; boundary=" + strings.Repeat("x", 71), "multipart/form-data; boundary=a; boundary=b",
	} {
		if c, err := (form.Multipart{}).For(contentType); err == nil || c != nil {
			t.Errorf("For(%q) = %v, %v, want an error", contentType, c, err)
		}
	}
	if _, _, err := (form.Multipart{}).Decode([]byte("----\r\n"), codec.Limits{}); err == nil || err.Error() != "multipart: offset 0: no boundary is known" {
		t.Errorf("Decode without a boundary: %v", err)
	}
	if _, err := (form.Multipart{}).Encode(nil, o{}); err == nil || err.Error() != "multipart: .: no boundary is known" {
		t.Errorf("Encode without a boundary: %v", err)
	}
}
