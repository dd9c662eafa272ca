package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestExplain runs the command lines of testdata/explain. Times are left out of
// what is compared. UPDATE_GOLDEN=1 writes what is printed anew.
func TestExplain(t *testing.T) {
	took := regexp.MustCompile(`  [0-9.]+(ns|µs|ms|s)\n|"took_ms": [0-9.e-]+`)
	runArchives(t, "testdata/explain/*.txtar", func(out string) string {
		return took.ReplaceAllStringFunc(out, func(s string) string {
			if strings.HasSuffix(s, "\n") {
				return "  TIME\n"
			}
			return `"took_ms": TIME`
		})
	})
}

func TestLinesThatDifferAreMarked(t *testing.T) {
	for _, test := range []struct{ before, after, want string }{
		{"a b c", "a b c", " a  b  c"},
		{"a b c", "a c", " a -b  c"},
		{"a c", "a b c", " a +b  c"},
		{"a b c d", "x b d y", "-a +x  b -c  d +y"},
		{"", "a", "+a"},
		{"a, b", "a", " a -b"},
		{"k a b c d e f g k", "k a b X d e f g k", " k  a  b -c +X  d  e  f  g  k"},
	} {
		lines := diffLines(strings.Fields(test.before), strings.Fields(test.after), sameMember)
		if got := marked(lines); got != test.want {
			t.Errorf("%q and %q: got %q, want %q", test.before, test.after, got, test.want)
		}
	}
	lines := diffLines(strings.Fields("a b c d e f g h"), strings.Fields("a b c D e f g h i"), sameLine)
	if got, want := marked(near(lines, 1)), " ...  c -d +D  e  ...  h +i"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	long := strings.Fields(strings.Repeat("x y ", 2000))
	if got := diffLines(append(long, "a"), append([]string{"b"}, long...), sameLine); len(got) != 2*len(long)+2 {
		t.Errorf("what is too long to compare has %d lines", len(got))
	}
}

func marked(lines []lineDiff) string {
	var parts []string
	for _, l := range lines {
		parts = append(parts, fmt.Sprintf("%c%s", l.mark, l.text))
	}
	return strings.Join(parts, " ")
}
