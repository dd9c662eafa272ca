package xml_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/xml"
)

// generator makes documents full of corners, and edits of them, of what next
// returns: numbers below its argument.
type generator struct{ next func(int) int }

var bits = []string{
	"x", "y z", " ", "\n", "\n  ", "]", "]]", ">", "\r", "\r\n", "&#32;", "&#13;", "&amp;", "<![CDATA[]]>", "<![CDATA[ ]]>", "<![CDATA[<c>]]>", "<![CDATA[]]]]>", "<!--c-->", "<!-- -->", "<?p q?>", "\u00e9",
}

func (g generator) pick(list []string) string { return list[g.next(len(list))] }

func (g generator) document() string {
	return g.pick([]string{"", "\ufeff", "<?xml version='1.0'?>\n", "<!--<a>-->"}) + g.element(g.pick([]string{"a", "b"}), 3) + g.pick([]string{"", "\n", "<?p <a>?>"})
}

func (g generator) element(name string, depth int) string {
	var b strings.Builder
	b.WriteString("<" + name)
	for _, n := range []string{"k", "m"} {
		if g.next(4) == 0 {
			b.WriteString(g.pick([]string{" ", "\n  "}) + n + g.pick([]string{`="v"`, `='"'`, `= "1.0"`, `=''`, `="&lt;>/"`}))
		}
	}
	if g.next(5) == 0 {
		return b.String() + g.pick([]string{"/>", " />"})
	}
	b.WriteString(g.pick([]string{">", "\n>"}))
	content := ""
	layout := g.next(2) == 0
	for range g.next(6) {
		switch {
		case g.next(2) == 0 && depth > 0:
			if layout {
				content += "\n  "
			}
			content += g.element(g.pick([]string{"a", "b", "b", "c"}), depth-1)
		case !layout || g.next(3) == 0:
			content += g.pick(bits)
		}
	}
	if strings.Contains(content, "]]>") && strings.Contains(regexp.MustCompile(`<!\[CDATA\[.*?\]\]>`).ReplaceAllString(content, "\x00"), "]]>") {
		content = ""
	}
	return b.String() + content + "</" + name + g.pick([]string{">", " >"})
}

// edit changes v in a few places, without changing what it was given.
func (g generator) edit(v any) any {
	switch v := v.(type) {
	case []any:
		v = slices.Clone(v)
		switch g.next(6) {
		case 0:
			slices.Reverse(v)
		case 1:
			at := g.next(len(v))
			v = slices.Delete(v, at, at+1)
		case 2:
			v = slices.Insert(v, g.next(len(v)+1), g.fresh())
		case 3:
			v = append(v, v[g.next(len(v))])
		}
		for i := range v {
			if g.next(3) == 0 {
				v[i] = g.edit(v[i])
			}
		}
		return v
	case object:
		v = maps.Clone(v)
		keys := slices.Sorted(maps.Keys(v))
		for _, k := range keys {
			switch g.next(8) {
			case 0:
				delete(v, k)
			case 1, 2, 3:
				v[k] = g.edit(v[k])
			}
		}
		switch g.next(8) {
		case 0:
			v[g.pick([]string{"a", "b", "c", "new"})] = g.fresh()
		case 1:
			v[g.pick([]string{"@k", "@n"})] = g.text()
		case 2:
			v["#text"] = g.text()
		case 3:
			if len(keys) > 0 && keys[0][0] != '@' && keys[0] != "#text" {
				v["new"] = v[keys[0]]
			}
		}
		return v
	case string:
		switch g.next(5) {
		case 0:
			return g.text()
		case 1:
			return v + g.text()
		case 2:
			return g.text() + v
		case 3:
			return strings.Replace(v, "x", g.text(), 1)
		}
		return v
	}
	return v
}

func (g generator) text() string {
	return g.pick([]string{"", " ", "\n", "x", "]]>", ">", "\r", "\r\n", "a b", "1.00", "<&>", "]"})
}

func (g generator) fresh() any {
	switch g.next(5) {
	case 0:
		return nil
	case 1:
		return object{"#text": g.text(), "b": g.text()}
	case 2:
		return []any{g.text(), object{"@k": g.text()}}
	case 3:
		return 1
	}
	return g.text()
}

func FuzzGenerated(f *testing.F) {
	for i := range 20 {
		f.Add(uint64(i), []byte{byte(i), 3, 0, 2, 1, 5})
	}
	f.Fuzz(func(t *testing.T, seed uint64, choices []byte) {
		random := rand.New(rand.NewPCG(seed, 0))
		g := generator{func(n int) int {
			if len(choices) == 0 {
				return random.IntN(n)
			}
			c := choices[0]
			choices = choices[1:]
			return int(c) % n
		}}
		for range 4 {
			tryGenerated(t, g)
		}
	})
}

func TestGeneratedEdits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		tryGenerated(t, generator{random.IntN})
	}
}

func tryGenerated(t *testing.T, g generator) {
	t.Helper()
	data := []byte(g.document())
	v, original, err := xml.Codec{}.Decode(data, codec.Limits{})
	if err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	want, err := reference(data)
	if err != nil || !sameDocument(spaced(want), spaced(v)) {
		t.Fatalf("%q reads as %#v, encoding/xml has %#v, %v", data, v, want, err)
	}
	w := g.edit(v)
	if g.next(4) == 0 {
		w = codectest.Copy(w)
	}
	checkEdit(t, data, v, original, w)
}

// What is hidden in an element of an array, such as a comment, appears in no
// other element.
func TestElementsKeepWhatIsHiddenInThem(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(3, 4)).IntN}
	inner := regexp.MustCompile(`(?s)<(i|new)( n="(\d)")?>.*?</`)
	hidden := regexp.MustCompile(`h(\d)`)
	for range 5000 {
		n := 1 + g.next(5)
		var b strings.Builder
		b.WriteString("<r>")
		for i := range n {
			fmt.Fprintf(&b, "%s<i n=\"%d\">%s<!-- h%d --><?p h%d?></i>", g.pick([]string{"", "\n ", "<o/>", "<!-- between -->"}), i, g.pick([]string{"", "t", "<s/>"}), i, i)
		}
		b.WriteString("</r>")
		v, original, err := xml.Codec{}.Decode([]byte(b.String()), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		root := maps.Clone(v.(object)["r"].(object))
		before, ok := root["i"].([]any)
		if !ok {
			before = []any{root["i"]}
		}
		var after []any
		for range g.next(7) {
			e := before[g.next(n)]
			switch g.next(4) {
			case 0:
				e = codectest.Copy(e)
			case 1:
				e = object{"@n": "9", "s": g.text()}
			case 2:
				root["new"] = e
			}
			after = append(after, e)
		}
		if len(after) == n {
			continue // by position a changed element takes the place of another
		}
		root["i"] = after
		out, err := xml.Codec{}.Encode(original, object{"r": root})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, m := range inner.FindAllStringSubmatch(string(out), -1) {
			for _, h := range hidden.FindAllStringSubmatch(m[0], -1) {
				seen[h[0]]++
				if h[1] != m[3] {
					t.Fatalf("%s with %v became %s", b.String(), after, out)
				}
			}
		}
		for h, times := range seen {
			if times > 2 { // one comment and one processing instruction
				t.Fatalf("%s with %v became %s: %s is there twice", b.String(), after, out, h)
			}
		}
	}
}

// An edit of one string leaves all bytes outside it as they are.
func TestEditIsLocal(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(5, 6)).IntN}
	tag := regexp.MustCompile(`<[a-z/]`)
	for range 5000 {
		data := strings.ReplaceAll(g.document(), "<c>]]>", "c]]>") // so that "<" begins a tag
		v, original, err := xml.Codec{}.Decode([]byte(data), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		nth, text := g.next(8), g.text()
		w := withLeaf(v, &nth, text)
		out, err := xml.Codec{}.Encode(original, w)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		before, after := data, string(out)
		for before != "" && after != "" && before[0] == after[0] {
			before, after = before[1:], after[1:]
		}
		for before != "" && after != "" && before[len(before)-1] == after[len(after)-1] {
			before, after = before[:len(before)-1], after[:len(after)-1]
		}
		opened := strings.Contains(after, "</") // an empty element has text now
		if tag.MatchString(before) && !opened {
			t.Fatalf("%q with %q became %q: %q changed to %q", data, text, out, before, after)
		}
		if opened && len(before) > len(" />") {
			t.Fatalf("%q with %q became %q: %q changed to %q", data, text, out, before, after)
		}
	}
}

// withLeaf is v with text in place of its nth string, of those that are an
// attribute or all that is in an element. As with jq, what is not on the way to
// it is the same as before.
func withLeaf(v any, nth *int, text string) any {
	switch v := v.(type) {
	case string:
		*nth--
		if *nth == -1 {
			return text
		}
	case []any:
		for i := range v {
			if e := withLeaf(v[i], nth, text); *nth < 0 {
				v = slices.Clone(v)
				v[i] = e
				return v
			}
		}
	case object:
		keys := slices.Sorted(maps.Keys(v))
		for _, k := range keys {
			if last := keys[len(keys)-1]; k == "#text" && last[0] != '@' && last != "#text" {
				continue
			}
			if e := withLeaf(v[k], nth, text); *nth < 0 {
				v = maps.Clone(v)
				v[k] = e
				return v
			}
		}
	}
	return v
}
