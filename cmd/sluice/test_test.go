package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sluice-proxy/sluice/rules"
)

// TestTest runs the command lines of testdata/test. UPDATE_GOLDEN=1 writes what
// they print anew.
func TestTest(t *testing.T) { runArchives(t, "testdata/test/*.txtar", nil) }

// An update writes what came out, and nothing else of the file.
func TestTestUpdates(t *testing.T) {
	archives, err := filepath.Glob("testdata/test-update/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			before, after := a.Files[0].Data, &a.Files[1]
			for _, newline := range []string{"\n", "\r\n"} {
				text := strings.ReplaceAll(string(before), "\n", newline)
				if err := os.WriteFile("rule.yaml", []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				out := runCommand(t, []string{"test", "--update", "rule.yaml"})
				got, err := os.ReadFile("rule.yaml")
				if err != nil {
					t.Fatal(err)
				}
				plain := strings.ReplaceAll(string(got), newline, "\n")
				if os.Getenv("UPDATE_GOLDEN") != "" && newline == "\n" {
					after.Data = got
					if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if plain != string(after.Data) {
					t.Errorf("%s\ngot:\n%s\nwant:\n%s", out, plain, after.Data)
				}
				if !strings.Contains(out, "all passed") {
					t.Errorf("what was written does not pass:\n%s", out)
				}
				if again := runCommand(t, []string{"test", "--update", "rule.yaml"}); strings.Contains(again, "updated") {
					t.Errorf("a second update has something to do: %s", again)
				}
			}
		})
	}
}

func TestTestWritesJUnit(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("rules", 0o700); err != nil {
		t.Fatal(err)
	}
	rule := `match: {http: /a}
request: [{jq: .a = 1}]
tests:
  - {name: good, request: {body: {}}, expect: {request: {body: {a: 1}}}}
  - {name: bad & <worse>, request: {body: {}}, expect: {request: {body: {a: 2}}}}
  - {name: not run, request: {body: {}}, descriptors: none.proto, expect: {unchanged: true}}
`
	if err := os.WriteFile("rules/a.yaml", []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t, []string{"test", "--junit", "out.xml"})
	out, err := os.ReadFile("out.xml")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`time="[0-9.]+"`).ReplaceAllString(string(out), `time="0"`)
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" errors="1">
  <testsuite name="a" file="rules/a.yaml" tests="3" failures="1" errors="1" time="0">
    <testcase name="good" classname="a" file="rules/a.yaml" line="4" time="0"></testcase>
    <testcase name="bad &amp; &lt;worse&gt;" classname="a" file="rules/a.yaml" line="5" time="0">
      <failure message="request.body: - expected, + came"><![CDATA[     request.body: - expected, + came
         {
       -   "a": 2
       +   "a": 1
         }
]]></failure>
    </testcase>
    <testcase name="not run" classname="a" file="rules/a.yaml" line="6" time="0">
      <error message="descriptors: stat rules/none.proto: no such file or directory"><![CDATA[     descriptors: stat rules/none.proto: no such file or directory
]]></error>
    </testcase>
  </testsuite>
</testsuites>
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRulesWhoseTestsFailDoNotGoLive(t *testing.T) {
	for _, test := range []struct{ total, want string }{
		{"10", ""},
		{"11", `./a.yaml:4:5: tests[0]: "adds" fails: request.body is another one  [test-failed]`},
	} {
		rule := "match: {http: /a}\nrequest: [{jq: .total = .price * 4}]\ntests:\n  - {name: adds, request: {body: {price: 2.5}}, expect: {request: {body: {price: 2.5, total: " + test.total + "}}}}\n"
		set, problems := rules.Compile([]rules.File{{Name: "./a.yaml", Text: []byte(rule)}})
		if set == nil {
			t.Fatal(problems)
		}
		var out strings.Builder
		if err := writeProblems(&out, tested(nil)(set)); err != nil {
			t.Fatal(err)
		}
		if first := firstLine(out.String()); first != test.want {
			t.Errorf("got %q, want %q", first, test.want)
		}
	}
}
