package xml_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/xml"
)

// hostile are documents of about size bytes that make a careless reader spend
// the square, or much memory, on them.
func hostile(size int) map[string]string {
	fill := func(part string) string { return "<r>" + strings.Repeat(part, size/len(part)) + "</r>" }
	names := func(format string, each int) string {
		var b strings.Builder
		for i := range size / each {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	return map[string]string{
		"empty elements":             fill("<a/>"),
		"two names in turn":          fill("<a/><b/>"),
		"elements with a child":      fill("<a><b/></a>"),
		"elements with an attribute": fill("<a b=''/>"),
		"chains":                     fill(strings.Repeat("<a>", 127) + strings.Repeat("</a>", 127)),
		"many names":                 "<r>" + names("<a%d/>", 10) + "</r>",
		"many attributes":            "<r" + names(" a%d=''", 11) + "/>",
		"many names of attributes":   "<r>" + names("<a a%d=''/>", 15) + "</r>",
		"text in pieces":             fill("x<!---->"),
		"text in runs":               fill("x<a/>"),
		"CDATA in pieces":            fill("<![CDATA[]]>"),
		"references":                 fill("&lt;"),
		"line ends":                  fill("\r"),
		"comments":                   fill("<!---->"),
		"processing instructions":    fill("<?a?>"),
		"brackets":                   fill("]]"),
		"white space":                fill(" "),
		"white space in tags":        "<r" + strings.Repeat(" ", size) + "/>",
		"a long name":                "<" + strings.Repeat("a", size/2) + "></" + strings.Repeat("a", size/2) + ">",
		"a long reference":           "<a>&#" + strings.Repeat("0", size) + "65;</a>",
		"a long number":              "<a>" + strings.Repeat("9", size) + "</a>",
		"wide then narrow":           "<r><b>" + strings.Repeat("<a/>", size/8) + "</b>" + strings.Repeat("<b/>", size/8) + "</r>",
	}
}

// What a peer sends costs at most 60 times its size in memory to be read, with
// what is let go of on the way, and at most 130 times to be written after an edit
// that changes everything and takes from every array: a hundred of these go to
// pairing. What took the square of its size in time would take hours here.
func TestHostileDocumentCostsItsShare(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for name, in := range hostile(1 << 20) {
		t.Run(name, func(t *testing.T) {
			data := []byte(in)
			var v codec.Value
			var original codec.Original
			read := allocated(t, func() (err error) {
				v, original, err = xml.Codec{}.Decode(data, codec.Limits{})
				return err
			}) / uint64(len(data))
			edited := edit(codectest.Copy(v), 1)
			written := allocated(t, func() error {
				_, err := xml.Codec{}.Encode(original, edited)
				return err
			}) / uint64(len(data))
			t.Logf("read %d, written %d times its size", read, written)
			if read > 60 || written > 130 {
				t.Errorf("allocated %d times its size to be read, %d to be written", read, written)
			}
		})
	}
}

// allocated is how much f allocates. An edit that cannot be expressed is none.
func allocated(t *testing.T, f func() error) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	if err != nil && !errors.As(err, new(*codec.ExpressError)) {
		t.Fatal(err)
	}
	return after.TotalAlloc - before.TotalAlloc
}

// edit changes every string in v, and adds an element to every second array and
// object.
func edit(v any, n int) any {
	switch v := v.(type) {
	case string:
		return v + "9"
	case []any:
		for i := range v {
			v[i] = edit(v[i], n+i)
		}
		if n%2 == 0 {
			return v[1:]
		}
	case object:
		for k := range v {
			v[k] = edit(v[k], n+1)
		}
		if n%2 == 0 && len(v) < 4 {
			v["new"] = "x"
		}
	}
	return v
}
