package form_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

var seeds = []string{
	"", "a=1&b=2&a=3", "a", "=", "&&a=%41+b&;=;&", "%61=1&a=2", "a=%", "a=%zz", "a=%ff", "é=é", "a=x%20y&a", "a=1&b&a=2&b=3&a=3",
}

// FuzzDecode checks that what is not edited is written as it was, and compares
// what is read with net/url, which refuses ";".
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, _, _ := codectest.Keeps(t, form.Codec{}, data)
		want, err := url.ParseQuery(strings.ReplaceAll(string(data), ";", "%3B"))
		valid := err == nil && utf8.ValidString(fmt.Sprint(want))
		if valid != (v != nil) {
			t.Fatalf("Decode(%q) = %#v, but net/url %v, %v", data, v, want, err)
		}
		if v == nil {
			return
		}
		o := map[string]any{}
		for name, values := range want {
			all := make([]any, len(values))
			for i, v := range values {
				all[i] = v
			}
			o[name] = all
			if len(all) == 1 {
				o[name] = all[0]
			}
		}
		if !value.Equal(v, o) {
			t.Fatalf("%q reads as %#v, want %#v", data, v, o)
		}
		codectest.ComesBack(t, form.Codec{}, v)
	})
}

var programs = []string{
	"del(.a)", ".a = \"n\"", ".a = [\"n\", \"m\"]", ".n = \"n &=+%\"", ".n = [\"1\", \"2\"]", "map_values(if type == \"array\" then reverse else . end)",
	"map_values(if type == \"array\" then .[1:] else . end)", "map_values(if type == \"array\" then . + [\"n\"] else . end)",
	"map_values(if type == \"array\" then [\"n\"] + . else . end)", "map_values(if type == \"array\" then .[0] = \"n\" else . end)",
	"map_values(if type == \"array\" then [.[-1]] else [., .] end)", "{}", "map_values(empty)", "map_values(if type == \"string\" then . + \"n\" else . end)",
	"with_entries(if .value | type == \"string\" then .key += \"n\" else . end)",
}

// FuzzEdit checks that an edited form reads as the edit left it, and that the
// pairs of all names that it did not touch are as they were, in their order.
func FuzzEdit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i))
		f.Add([]byte(s), uint8(i+6))
	}
	f.Fuzz(func(t *testing.T, data []byte, program uint8) {
		v, original, _ := codectest.Keeps(t, form.Codec{}, data)
		if v == nil {
			return
		}
		edited, out := edits(t, form.Codec{}, data, v, original, program)
		if out == nil {
			return
		}
		same := func(text []byte) string {
			pairs := bytes.Split(text, []byte{'&'})
			return string(bytes.Join(slices.DeleteFunc(pairs, func(pair []byte) bool {
				name, _, _ := strings.Cut(string(pair), "=")
				name, _ = url.QueryUnescape(name)
				return len(pair) == 0 || !value.Equal(v.(map[string]any)[name], edited[name])
			}), []byte{'&'}))
		}
		if same(data) != same(out) {
			t.Fatalf("Encode of %#v onto %q = %q: other pairs changed", edited, data, out)
		}
	})
}

// edits writes what a program makes of v onto data and reads it back.
func edits(t *testing.T, c codec.Codec, data []byte, v codec.Value, original codec.Original, program uint8) (map[string]any, []byte) {
	t.Helper()
	edited, err := codectest.JQ(programs[int(program)%len(programs)], v)
	if err != nil {
		return nil, nil
	}
	out, err := c.Encode(original, edited)
	var express *codec.ExpressError
	if errors.As(err, &express) && strings.Contains(express.Msg, "a file") || express != nil && strings.Contains(express.Msg, "read as another") {
		return nil, nil
	}
	if err != nil {
		t.Fatalf("Encode of %#v onto %q: %v", edited, data, err)
	}
	want := map[string]any{}
	for name, v := range edited.(map[string]any) {
		switch values, ok := v.([]any); {
		case ok && len(values) == 1:
			want[name] = values[0]
		case !ok || len(values) > 0:
			want[name] = v
		}
	}
	if again, _, err := c.Decode(out, codec.Limits{}); err != nil || !value.Equal(want, again) {
		t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", edited, data, out, again, err)
	}
	return edited.(map[string]any), out
}

// FuzzMultipart checks the same of parts, in which B is the delimiter and | the
// line end.
func FuzzMultipart(f *testing.F) {
	const a, b = "content-disposition: form-data; name=a", `X: y|content-disposition:|	form-data;name="b";filename="f"|content-type: t`
	for i, s := range []string{
		"B--", "pB|B--", "B|" + a + "||v|B--", "x|B |" + a + "||v|B|" + b + "||\xff|B|" + a + "||B|B--|e", "B|" + a + "||\xff|B--", "B|" + a + "||\nB--",
		"B|" + a + "|B--", "B|" + a + "|content-transfer-encoding: base64||v|B--", "B|" + b + "||1|B|" + b + "||2|B|" + a + "||3|B|" + a + "||4|B--", "B|" + a + "||v|Bz",
	} {
		f.Add([]byte(s), uint8(i))
		f.Add([]byte(s), uint8(i+5))
	}
	f.Fuzz(func(t *testing.T, short []byte, program uint8) {
		c := withBoundary(t)
		data := []byte(strings.NewReplacer("B", "--x(y", "|", "\r\n").Replace(string(short)))
		v, original, _ := codectest.Keeps(t, c, data)
		if v == nil {
			return
		}
		if out, err := c.Encode(nil, v); err == nil {
			codectest.ComesBack(t, c, v)
		} else if again, _, err := c.Decode(out, codec.Limits{}); err == nil {
			t.Fatalf("an error and %#v", again)
		}
		edited, out := edits(t, c, data, v, original, program)
		if out == nil {
			return
		}
		for name, was := range v.(map[string]any) {
			if part := "form-data; name=" + name + "\r\n\r\n"; value.Equal(was, edited[name]) && bytes.Contains(data, []byte(part)) && !bytes.Contains(out, []byte(part)) {
				t.Fatalf("Encode of %#v onto %q = %q: %s changed", edited, data, out, name)
			}
		}
	})
}
