package test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// Each wall of the table, and each check, is shown something that it must not
// let pass.

func TestEveryWallFallsForWhatItForbids(t *testing.T) {
	for _, w := range walls {
		for _, never := range w.never {
			from, to := example(w.from), example(never)
			if matchesAny(w.unless, to) {
				continue // one name of a list that this wall leaves out
			}
			imports := map[string][]string{from: {"fmt", to}}
			if w.deep {
				imports = map[string][]string{from: {"fmt", "example.org/between"}, "example.org/between": {to}}
			}
			if !matches(never, to) {
				t.Errorf("the example %s is not a %s", to, never)
			}
			if got := brokenWalls(imports, []wall{w}); len(got) != 1 || !strings.HasSuffix(got[0], "-> "+to+": "+w.reason) {
				t.Errorf("%s imports %s: got %q, want one broken wall", from, to, got)
			}
		}
	}
}

func example(pattern string) string {
	if pattern == "./..." {
		return "./example"
	}
	return strings.TrimSuffix(pattern, "/...")
}

func TestWallsLetPassWhatTheyAllow(t *testing.T) {
	imports := map[string][]string{
		"./codec/json": {"./codec", "encoding/json"},
		"./rules":      {"./codec", "net/netip", "net/url", "time", "github.com/itchyny/gojq"},
		"./proxy":      {"./rules", "./codec", "./proxy/internal/detect", "net", "os"},
		"./proxy/tap":  {"./proxy", "net/http"},
		"./cmd/sluice": {"./proxy/tap", "./iptables"},
	}
	if got := brokenWalls(imports, walls); got != nil {
		t.Errorf("got %q, want none", got)
	}
}

func TestPatternsMatchWholeElements(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"./rules", "./rules", true},
		{"./rules", "./rules/watch", false},
		{"./rules/...", "./rules", true},
		{"./rules/...", "./rules/watch", true},
		{"./rules/...", "./rulesets", false},
		{"./...", "./proxy", true},
		{"./...", "net", false},
		{"net", "net/netip", false},
		{"os/...", "os/exec", true},
	} {
		if got := matches(test.pattern, test.path); got != test.want {
			t.Errorf("matches(%q, %q): got %v, want %v", test.pattern, test.path, got, test.want)
		}
	}
}

func TestChecksOfTheSourceFindWhatTheyForbid(t *testing.T) {
	for _, test := range []struct {
		name  string
		check func(source) []string
		code  string
		want  []string // one for each finding: a part of it
	}{
		{"an init function", initFuncs, `func init() {}; type T struct{}; func (T) init() {}`, []string{"x.go:1:"}},
		{"a written variable", mutatedGlobals, `var n int; func f() { n = 1; n++ }`, []string{"variable n is written", "variable n is written"}},
		{"a written map", mutatedGlobals, `var m = map[string]int{}; func f() { m["a"] = 1; delete(m, "a"); clear(m) }`, []string{"m is", "m is", "m is"}},
		{"a written field", mutatedGlobals, `var s struct{ a []int }; func f() { s.a[0] = 1; p := &s; (*p).a = nil }`, []string{"variable s is written"}},
		{"a mutex", mutatedGlobals, `import "sync"; var mu sync.Mutex; var pool sync.Pool`, []string{"mu is a sync.Mutex"}},
		{"an atomic and a channel", mutatedGlobals, `import "sync/atomic"; var n atomic.Int64; var p *atomic.Bool; var c chan int`, []string{"c is a", "n is a", "p is a"}},
		{"no mutation", mutatedGlobals, `var m = map[string]int{}; var e = f; func f(m map[string]int) int { n := 0; n++; m["a"] = n; return len(m) }`, nil},
		{"the clock", clockCalls, `import "time"; func f() { _ = time.Now(); g(time.Since); time.Sleep(1) }; func g(func(time.Time) time.Duration) {}`, []string{"time.Now", "time.Since", "time.Sleep"}},
		{"no clock", clockCalls, `import "time"; func f(t time.Time) time.Time { return t.Add(time.Second).UTC() }; type T struct{}; func (T) Now() {}; func g() { T{}.Now() }`, nil},
		{"a foreign parameter", foreignTypes, `import "example.org/other"; func F(other.Type) {}; func g(other.Type) {}`, []string{"x.F has example.org/other.Type"}},
		{"a foreign field, deep", foreignTypes, `import "example.org/other"; type T struct { A []map[string]*other.Type; b other.Type }`, []string{"x.T has example.org/other.Type"}},
		{"a foreign method", foreignTypes, `import "example.org/other"; type T int; func (T) M() (n int, err *other.Type) { return }; type I interface { M(func(other.Type)) }`, []string{"x.I has", "x.T has"}},
		{"a foreign alias and variable", foreignTypes, `import "example.org/other"; type A = other.Type; var V other.Type`, []string{"x.A has", "x.V has"}},
		{"own and standard types", foreignTypes, `import ("net"; "time"); type T struct{ t *T; D time.Duration }; func F(net.Conn, *T) error { return nil }`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.check(checked(t, test.code))
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %d findings", got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %s, want it to contain %s", got[i], want)
				}
			}
		})
	}
}

// checked type-checks a package of one file that may import the standard
// library and a module example.org/other.
func checked(t *testing.T, code string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "x.go", "package x; "+code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: withOther{importer.ForCompiler(fset, "source", nil)}}
	pkg, err := config.Check(modulePath+"/x", fset, []*ast.File{file}, info)
	if err != nil {
		t.Fatal(err)
	}
	return source{path: "./x", fset: fset, files: []*ast.File{file}, info: info, types: pkg}
}

type withOther struct{ types.Importer }

func (w withOther) Import(path string) (*types.Package, error) {
	if path != "example.org/other" {
		return w.Importer.Import(path)
	}
	other := types.NewPackage(path, "other")
	name := types.NewTypeName(token.NoPos, other, "Type", nil)
	types.NewNamed(name, types.NewStruct(nil, nil), nil)
	other.Scope().Insert(name)
	other.MarkComplete()
	return other, nil
}

func TestWaysAreTheShortest(t *testing.T) {
	imports := map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": {"a"}}
	var got []string
	for _, way := range ways(imports, "a", true) {
		got = append(got, strings.Join(way, ">"))
	}
	if want := []string{"a>b", "a>c", "a>b>d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
