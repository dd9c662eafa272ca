package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/rules"
)

var update = flag.Bool("update", false, "write docs/reference.md and docs/cookbook.md")

// The schema of sluice.yaml takes what the parser takes.
func TestSchemaOfTheConfig(t *testing.T) {
	schema := printed(t, "schema", "config")
	for _, test := range []struct {
		text string
		want bool
	}{
		{"rules: ./rules", true},
		{"rules: {dir: ./rules}", true},
		{"rules: {}", false},
		{"rules: {dir: ./rules, test: require}", false},
		{"listeners:\n  explicit:\n    - {listen: 127.0.0.1:8080, upstream: orders:9000, direction: inbound}", true},
		{"listeners:\n  explicit:\n    - {listen: 127.0.0.1:8080}", false},
		{"tap: {memory: off, body: 16KiB}", true},
		{"tap: {memory: 0}", true},
		{"tap: {memory: 16}", false},
		{"log: {exchanges: some}", false},
		{"drain: 30s", true},
		{"drain: 30", false},
		{"reflection: {private: true, ttl: 1m30s}", true},
		{"reflection: {private: maybe}", false},
		{"nope: 1", false},
	} {
		_, problems := config.Parse("sluice.yaml", []byte(test.text))
		var v any
		if err := yaml.Unmarshal([]byte(test.text), &v); err != nil {
			t.Fatal(err)
		}
		err := schema.Validate(v)
		if (err == nil) != test.want || (len(problems) == 0) != test.want {
			t.Errorf("%s: want %v: schema %v, parser %+v", test.text, test.want, err, problems)
		}
	}
}

func TestSchemaOfRuleFilesIsWhatItPrints(t *testing.T) {
	schema := printed(t, "schema")
	for text, want := range map[string]bool{"match: {http: GET /}\nrequest: [{jq: .a = 1}]": true, "matches: {http: GET /}": false} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^(?:<!-- file: ([^\n ]*) -->\n)?```yaml\n(.*?)^```$")

// Whatever stands in the documents or in the repository as a rule file is taken
// by the schema and by the parser.
func TestTheSchemaTakesEveryRuleFileOfTheRepository(t *testing.T) {
	schema, found := printed(t, "schema"), 0
	check := func(name string, text []byte) {
		if base := filepath.Base(name); base == "sluice.yaml" || strings.HasPrefix(base, "_") {
			return // another schema's
		}
		found++
		var v any
		if err := yaml.Unmarshal(text, &v); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if err := schema.Validate(asEditorsRead(t, v)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if _, problems := rules.Compile([]rules.File{{Name: "rule.yaml", Text: text}}); len(problems) > 0 {
			t.Errorf("%s: %+v\n%s", name, problems, text)
		}
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "bin" || name != ".." && name[0] == '.'):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".yaml"):
			text, err := os.ReadFile(path)
			check(path, text)
			return err
		case strings.HasSuffix(name, ".md"):
			text, err := os.ReadFile(path)
			for i, block := range yamlBlock.FindAllSubmatch(text, -1) {
				check(fmt.Sprintf("%s/block %d/%s", path, i, block[1]), block[2])
			}
			return err
		}
		return nil
	})
	if err != nil || found < 5 {
		t.Errorf("%d rule files, %v", found, err)
	}
}

// asEditorsRead is v as YAML's core schema has it, where an instant is a text.
func asEditorsRead(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func printed(t *testing.T, args ...string) *jsonschema.Schema {
	t.Helper()
	var out bytes.Buffer
	cmd := newRootCmd()
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The reference is generated: go test ./cmd/sluice -run Reference -update.
func TestReferenceIsThatOfTheParser(t *testing.T) {
	const page = "../../docs/reference.md"
	want := "# Reference\n\nGenerated from the tables that the parsers read by.\n\n" +
		"## A rule file\n\n" + rules.Shape().Reference() +
		"\n## _all.yaml, _inbound.yaml, _outbound.yaml\n\n" + rules.SharedShape().Reference() +
		"\n## sluice.yaml\n\n" + config.Shape().Reference()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("docs/reference.md is another (%v): run with -update", err)
	}
}
