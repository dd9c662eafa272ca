package rules

import (
	"maps"
	"testing"
	"unicode/utf8"
)

func FuzzQueryKeepsWhatWasNotEdited(f *testing.F) {
	for _, raw := range []string{"", "&", "a", "a=1;b=2", "a=1&a=2&&b=%zz", "%61=+&a=%2B", "=1", "a=1, 2&a=3"} {
		f.Add(raw, "a", "x&y")
	}
	f.Fuzz(func(t *testing.T, raw, name, value string) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			t.Skip("jq has only valid text")
		}
		view := viewQuery(raw)
		if got, err := editQuery(raw, view); got != raw || err != nil {
			t.Fatalf("%q became %q, %v", raw, got, err)
		}
		edited := maps.Clone(view)
		edited[name] = value
		got, err := editQuery(raw, edited)
		if err != nil {
			t.Fatal(err)
		}
		if after := viewQuery(got); !equalViews(after, any(edited)) {
			t.Fatalf("%q with %q=%q became %q, which reads %v", raw, name, value, got, after)
		}
		delete(edited, name)
		got, err = editQuery(raw, edited)
		if after := viewQuery(got); err != nil || !equalViews(after, any(edited)) {
			t.Fatalf("%q without %q became %q, which reads %v", raw, name, got, after)
		}
	})
}

func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		host, request string
		want          bool
	}{
		{"a", "A:80", true},
		{"A.", "a", true},
		{"a", "a.b", false},
		{"*.b", "a.b.", true},
		{"*.b", "b", false},
		{"*", "anything", true},
		{"*", "", false},
		{"::1", "[::1]:80", true},
		{"[::1]", "[::1]", true},
		{"10.0.0.1", "10.0.0.1:80", true},
	} {
		h, hint := compileHost(tt.host)
		if hint != "" {
			t.Errorf("%s: %s", tt.host, hint)
		}
		if got := h.match(canonicalHost(tt.request)); got != tt.want {
			t.Errorf("%s matches %s: got %t", tt.host, tt.request, got)
		}
	}
}

func TestHostsMeet(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a.b", "*.b", true}, {"b", "*.b", false},
		{"*.a.b", "*.b", true}, {"*.a", "*.b", false}, {"*", "*.b", true}, {"*", "a", true},
	} {
		a, _ := compileHost(tt.a)
		b, _ := compileHost(tt.b)
		if a.meets(b) != tt.want || b.meets(a) != tt.want {
			t.Errorf("%s meets %s: got %t and %t", tt.a, tt.b, a.meets(b), b.meets(a))
		}
	}
}
