package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-proxy/sluice/rules"
)

func TestRuleFilesHaveNoProblem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rules")
	if err := WriteRules(dir); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(dir + "/*.yaml")
	if err != nil || len(paths) != 3 {
		t.Fatalf("got %q, %v, want three files", paths, err)
	}
	var list []rules.File
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rules.File{Name: filepath.Base(path), Text: text})
	}
	if _, problems := rules.Compile(list); len(problems) > 0 {
		t.Errorf("problems: %+v", problems)
	}
}

func TestChangedMarksWhatIsNotTheSame(t *testing.T) {
	var out bytes.Buffer
	p := Printer{Out: &out}
	err := p.Changed(`{"id":9007199254740993,"email":"ada@example.com","card":{"n":1,"m":2},"old":true}`, `{"id":9007199254740993,"email":"***","card":{"n":1,"m":2},"new":1.50}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `
  without Sluice
    {
      "id": 9007199254740993,
  -   "email": "ada@example.com",
      "card": {"n":1,"m":2},
  -   "old": true
    }

  through Sluice
    {
      "id": 9007199254740993,
  +   "email": "***",
      "card": {"n":1,"m":2},
  +   "new": 1.50
    }
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestChangedRefusesWhatIsNoObject(t *testing.T) {
	p := Printer{Out: &bytes.Buffer{}}
	for _, text := range []string{"", "null", "[]", "NotFound: no such order", `{"a":1`, `{"a":}`} {
		if err := p.Changed(text, "{}"); err == nil || !strings.HasPrefix(err.Error(), "before: ") {
			t.Errorf("before %q: got %v", text, err)
		}
		if err := p.Changed("{}", text); err == nil || !strings.HasPrefix(err.Error(), "after: ") {
			t.Errorf("after %q: got %v", text, err)
		}
	}
}

func TestColourIsForTerminalsOnly(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		p := Printer{Out: &out, Colour: colour}
		p.Title("1. A %s", "title")
		p.Exchange("GET /x", `503 {"a":1}`, false, "why")
		p.Breaker("12:00:00.000", "rates@127.0.0.1:80", "closed", "open", "3 failures")
		p.Try(1, "see", "sluice tap")
		if err := p.Rule(Orders); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b["); got != colour {
			t.Errorf("Colour %v: got escape sequences: %v", colour, got)
		}
	}
}
