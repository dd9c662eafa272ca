package document

import "testing"

func TestSpan(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a: x y # c\nb: 1", "x y"},
		{"a: 'x''y'\nb: 1", "'x''y'"},
		{"a: \"é\\\"\" # c", `"é\""`},
		{"a: {b: [1, '}'], c: d} # }\nb: 1", "{b: [1, '}'], c: d}"},
		{"a: {}\nb: 1", "{}"},
		{"a: {b: 1, # }\n  c: 2,\n}\nb: 1", "{b: 1, # }\n  c: 2,\n}"},
		{"a:\n  b: 1\n  c: [2]   # x\nd: 1", "b: 1\n  c: [2]"},
		{"a:\n- 1\n- {x: y}\n\nb: 1", "- 1\n- {x: y}"},
		{"a:\n  b:\nc: 1", "b"},
		{"a: |\n  x\n  y\n\nb: 1", "|\n  x\n  y"},
		{"\ufeffa: x", "x"},
		{"# é\r\na: [é,\r\n  b]\r\nc: 1", "[é,\r\n  b]"},
	} {
		d := Parse("a.yaml", []byte(tt.text), nil)
		if d.Root == nil {
			t.Fatalf("%q: %v", tt.text, d.Problems())
		}
		start, end := d.Root.Get("a").Span([]byte(tt.text))
		if got := tt.text[start:end]; got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}
