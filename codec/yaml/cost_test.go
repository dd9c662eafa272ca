package yaml_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

// bomb doubles what it repeats in each of n lines.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("- &a0 [x, x]\n")
	for i := range n {
		fmt.Fprintf(&b, "- &a%d [*a%d, *a%d]\n", i+1, i, i)
	}
	return b.String()
}

func TestAliasBombsAreStopped(t *testing.T) {
	for name, text := range map[string]string{
		"lists":  bomb(40),
		"merges": "- &a {a: " + strings.Repeat("y", 10000) + "}\n" + strings.Repeat("- <<: *a\n", 1000),
		"text":   "- &a " + strings.Repeat("y", 10000) + "\n" + strings.Repeat("- *a\n", 1000),
	} {
		_, _, err := yaml.Codec{}.Decode([]byte(text), codec.Limits{})
		var over *codec.LimitError
		if !errors.As(err, &over) || over.Limit != "copies" {
			t.Errorf("%s: error %v, want one of copies", name, err)
		}
	}
	deep := "- &a " + strings.Repeat("[", 9) + strings.Repeat("]", 9) + "\n- [[*a]]\n"
	if _, _, err := (yaml.Codec{}).Decode([]byte(deep), codec.Limits{Depth: 11}); !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("an alias past the depth: error %v", err)
	}
	if _, _, err := (yaml.Codec{}).Decode([]byte(deep), codec.Limits{Depth: 12}); err != nil {
		t.Errorf("an alias within the depth: error %v", err)
	}
}

// A document takes at most 48 bytes a byte of it and 64 MiB, as long as it is
// held: the parser's nodes and the values.
func TestHostileDocumentCostsItsShare(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, (2<<20)/len(s)) }
	some := func(s string) string { return strings.Repeat(s, (256<<10)/len(s)) }
	for _, test := range []struct {
		name, text string
		tooLarge   bool
	}{
		{"flow nulls", "[" + repeat("~,") + "]", true},
		{"flow lists", "[" + repeat("[],") + "]", true},
		{"dashes", repeat("- - - - - - - -\n"), true},
		{"question marks", repeat("- ? a\n"), true},
		{"lines", some("- some text\n"), false},
		{"comments", some("#\n"), false},
		{"members as services send them", some("- id: 7\n  name: \"twenty-two characters!\"\n  price: 1.50\n"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.text)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, original, err := yaml.Codec{}.Decode(data, codec.Limits{})
			runtime.GC()
			runtime.ReadMemStats(&after)
			var over *codec.LimitError
			if errors.As(err, &over) != test.tooLarge || test.tooLarge && over.Limit != "items" {
				t.Errorf("error %v", err)
			}
			if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > int64(48*len(data)+64<<20) {
				t.Errorf("%d bytes took %d", len(data), took)
			}
			runtime.KeepAlive(v)
			runtime.KeepAlive(original)
		})
	}
}

func TestLongNumberIsOverALimit(t *testing.T) {
	for _, text := range []string{strings.Repeat("9", 5000), "0x" + strings.Repeat("f", 5000), "1." + strings.Repeat("0", 5000), "-" + strings.Repeat("0", 5000)} {
		if _, _, err := (yaml.Codec{}).Decode([]byte("- "+text), codec.Limits{}); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%.10s...: error %v, want one that wraps ErrTooLarge", text, err)
		}
	}
}
