package matrix

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// compareLanes reports what is not as in the first lane.
func compareLanes(t *testing.T, variant string, all []lane, results []result) {
	t.Helper()
	ignored := gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == ".wire" }, gocmp.Ignore())
	for n := 1; n < len(all); n++ {
		if diff := gocmp.Diff(results[0], results[n], ignored); diff != "" {
			t.Errorf("%s: -%s lane, +%s lane:\n%s", variant, all[0].name, all[n].name, diff)
		}
	}
}

// golden collects the texts of a row's variants.
type golden struct {
	order    []string // of texts, as they were added
	variants map[string][]string
	others   []string // lane and variant, and what it said instead of the first lane's text
	first    map[string]string
}

// add notes what came of a variant in a lane. The first lane's is what the file
// holds; others have to be the same.
func (g *golden) add(l lane, variant, text string) {
	if g.variants == nil {
		g.variants, g.first = map[string][]string{}, map[string]string{}
	}
	switch was, there := g.first[variant]; {
	case !there:
		g.first[variant] = text
		if len(g.variants[text]) == 0 {
			g.order = append(g.order, text)
		}
		g.variants[text] = append(g.variants[text], variant)
	case was != text:
		g.others = append(g.others, fmt.Sprintf("%s lane, %s:\n%s", l.name, variant, text))
	}
}

func (g *golden) text() string {
	var b strings.Builder
	for _, text := range g.order {
		for _, line := range packed(g.variants[text]) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		fmt.Fprintf(&b, "%s\n", text)
	}
	return b.String()
}

// packed joins variants that differ in their last word.
func packed(variants []string) []string {
	last := map[string][]string{}
	var order []string
	for _, v := range variants {
		i := strings.LastIndexByte(v, ' ')
		if len(last[v[:i]]) == 0 {
			order = append(order, v[:i])
		}
		last[v[:i]] = append(last[v[:i]], v[i+1:])
	}
	byTail := map[string][]string{}
	for _, head := range order {
		tail := strings.Join(last[head], "|")
		byTail[tail] = append(byTail[tail], head)
	}
	var lines []string
	for _, tail := range slices.Sorted(maps.Keys(byTail)) {
		lines = append(lines, strings.Join(byTail[tail], ", ")+": "+tail)
	}
	return lines
}

// compare compares with the golden file, or writes it.
func (g *golden) compare(t *testing.T, name string) {
	t.Helper()
	for _, other := range g.others {
		t.Errorf("other than the golden file: %s", other)
	}
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(g.text()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./test/matrix -update writes it)", err)
	}
	if diff := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(g.text(), "\n")); diff != "" {
		t.Errorf("-%s, +now:\n%s", path, diff)
	}
}
