package rules_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sluice-proxy/sluice/rules"
)

// archives runs test with each archive of testdata/dir. It compares what test
// answers with the archive's file named want, and writes that file anew if
// UPDATE_GOLDEN is set.
func archives(t *testing.T, dir string, test func(t *testing.T, a *txtar.Archive) string) {
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives in testdata/%s: %v", dir, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := test(t, a)
			for i := range a.Files {
				if a.Files[i].Name != "want" {
					continue
				}
				if want := string(a.Files[i].Data); got != want {
					if os.Getenv("UPDATE_GOLDEN") == "" {
						t.Errorf("got:\n%s\nwant:\n%s", got, want)
						return
					}
					a.Files[i].Data = []byte(got)
					if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				return
			}
			t.Error("the archive has no file want")
		})
	}
}

// ruleFiles are the archive's .yaml files.
func ruleFiles(a *txtar.Archive) []rules.File {
	var files []rules.File
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".yaml") || strings.HasSuffix(f.Name, ".yml") {
			files = append(files, rules.File{Name: f.Name, Text: f.Data})
		}
	}
	return files
}

func TestProblems(t *testing.T) {
	archives(t, "problems", func(t *testing.T, a *txtar.Archive) string {
		set, problems := rules.Compile(ruleFiles(a))
		if (set == nil) != (len(problems) > 0) {
			t.Errorf("set %v with %d problems", set, len(problems))
		}
		return formatProblems(problems)
	})
}

// formatProblems marks the place in the source line with angle brackets.
func formatProblems(problems []rules.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s [%s]\n", p.File, p.Line, p.Column, p.Path, p.Message, p.Code)
		if p.Source != "" {
			line := []rune(p.Source + strings.Repeat(" ", p.EndColumn))
			from, to := p.Column-1, p.EndColumn-1
			fmt.Fprintf(&b, "\t%s\n", strings.TrimSpace(string(line[:from])+"<"+string(line[from:to])+">"+string(line[to:])))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "\thint: %s\n", p.Hint)
		}
	}
	return b.String()
}

func TestSetIsHashedByNamesAndTexts(t *testing.T) {
	hash := func(files ...rules.File) string {
		t.Helper()
		set, problems := rules.Compile(files)
		if set == nil {
			t.Fatal(formatProblems(problems))
		}
		return set.Hash()
	}
	a := rules.File{Name: "a.yaml", Text: []byte("match: {http: /a}")}
	b := rules.File{Name: "b.yaml", Text: []byte("match: {http: /b}")}
	if first := hash(a, b); hash(a, b) != first {
		t.Error("one text has two hashes")
	}
	c := b
	c.Text = bytes.Replace(b.Text, []byte("/b"), []byte("/c"), 1)
	if hash(a, b) == hash(a, c) || hash(a) == hash(a, b) {
		t.Error("two texts have one hash")
	}
}

func FuzzCompile(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*/*.txtar")
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ruleFiles(a) {
			f.Add(file.Text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, problems := rules.Compile([]rules.File{{Name: "fuzz.yaml", Text: text}})
		if set == nil && len(problems) == 0 {
			t.Fatal("neither a set nor a problem")
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.EndColumn <= p.Column || p.Code == "" || p.Message == "" {
				t.Fatalf("an incomplete problem: %+v", p)
			}
		}
	})
}

// BenchmarkCompile is what sluice check and a reload cost for 1,000 files of
// conditions, steps and a breaker; the second time no pattern differs from
// another by more than one segment, so that all are compared with all.
func BenchmarkCompile(b *testing.B) {
	for name, pattern := range map[string]string{"": "POST /v1/things%d/{id}", "-hosts": "/"} {
		var files []rules.File
		for i := range 1000 {
			files = append(files, rules.File{Name: fmt.Sprintf("rules/r%d.yaml", i), Text: fmt.Appendf(nil, `match:
  http: %s
  host: h%d.shop.svc
  headers: {x-tenant: acme}
  where: .query.dry_run != "true"
request:
  - jq: .tier = "gold" | del(.debug)
  - head: .headers["x-tier"] = $body.tier | .query.v = "2"
  - when: .quantity > 100
    reject: {status: 422, grpc: INVALID_ARGUMENT, message: at most 100 a call}
upstream:
  breaker:
    failure: .status >= 500 or (.body.errors | length) > 0
    trip: .requests >= 20 and .failures / .requests > 0.5
    window: 10s
response:
  - when: $response.status == 200
    jq: del(.internal) | .links.self = "/v1/orders/\($request.params.id)"
`, strings.ReplaceAll(pattern, "%d", fmt.Sprint(i)), i)})
		}
		b.Run("1000"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if set, problems := rules.Compile(files); set == nil {
					b.Fatal(formatProblems(problems))
				}
			}
		})
	}
}
