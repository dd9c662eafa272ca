package rules_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

// structural are the codes of what a schema can see too.
var structural = []string{
	document.CodeUnknownKey, document.CodeWrongType, document.CodeBadValue, document.CodeEmpty, document.CodeMissing, document.CodeNotYet,
}

// unseen are what makes a file no YAML, or another one than its author meant.
var unseen = []string{document.CodeYAML, document.CodeTooLarge, document.CodeJQYAML, document.CodeDuplicateKey}

// beyond are the problems of those codes that only a reader of the whole sees.
var beyond = []string{"a route is for http or for grpc", "a reject cannot say OK", "the key stands on line"}

// The schema refuses just what the parser refuses, as far as a schema can see it.
func TestSchemaAndParserAgree(t *testing.T) {
	schema := compiled(t, rules.Shape().Schema())
	random := rand.New(rand.NewPCG(1, 2))
	refused, taken := 0, 0
	for _, file := range allRuleFiles(t) {
		texts := [][]byte{file.Text}
		var read any
		if bytes.Contains(file.Text, []byte("<<:")) || yaml.Unmarshal(file.Text, &read) != nil {
			continue
		}
		for range 60 {
			var fresh any
			if err := yaml.Unmarshal(file.Text, &fresh); err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(mutated(random, fresh))
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
		for _, text := range texts {
			_, problems := rules.Compile([]rules.File{{Name: file.Name, Text: text}})
			if has(problems, unseen) || strings.HasPrefix(filepath.Base(file.Name), "_") {
				continue
			}
			switch err := schema.Validate(asJSON(t, text)); {
			case has(problems, structural) && err == nil:
				t.Errorf("%s: the schema takes what the parser does not:\n%s\n%+v", file.Name, text, problems)
			case !has(problems, structural) && err != nil:
				t.Errorf("%s: the parser takes what the schema does not:\n%s\n%v", file.Name, text, err)
			case err == nil:
				taken++
			default:
				refused++
			}
		}
	}
	if refused < 500 || taken < 500 {
		t.Errorf("only %d texts were refused and %d taken", refused, taken)
	}
}

func has(problems []rules.Problem, codes []string) bool {
	return slices.ContainsFunc(problems, func(p rules.Problem) bool {
		return slices.Contains(codes, p.Code) && !slices.ContainsFunc(beyond, func(b string) bool { return strings.Contains(p.Message, b) })
	})
}

// mutated is v, as JSON has it, with another value or key somewhere.
func mutated(random *rand.Rand, v any) any {
	other := []any{7, -1, "x", "10s", "8MiB", "json", true, nil, []any{}, []any{"x"}, []any{7}, map[string]any{}, map[string]any{"x": "y"}}
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 && random.IntN(4) > 0 {
			key := slices.Sorted(maps.Keys(v))[random.IntN(len(v))]
			if random.IntN(8) == 0 {
				v[key+"x"] = v[key]
				delete(v, key)
			} else {
				v[key] = mutated(random, v[key])
			}
			return v
		}
	case []any:
		if len(v) > 0 && random.IntN(4) > 0 {
			i := random.IntN(len(v))
			v[i] = mutated(random, v[i])
			return v
		}
	}
	return other[random.IntN(len(other))]
}

func allRuleFiles(t *testing.T) (files []rules.File) {
	t.Helper()
	names, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				files = append(files, rules.File{Name: name + "/" + f.Name, Text: f.Data})
			}
		}
	}
	return files
}

func compiled(t *testing.T, schema map[string]any) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rule.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rule.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads YAML as an editor does.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var read any
	if err := yaml.Unmarshal(text, &read); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	b, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// An example in the schema is one that the schema takes.
func TestExamplesAreValid(t *testing.T) {
	var look func(s document.Shape, path string)
	look = func(s document.Shape, path string) {
		for _, f := range s.Fields {
			for _, example := range f.Examples {
				text, err := json.Marshal(example)
				if err != nil {
					t.Fatal(err)
				}
				if err := compiled(t, f.Shape.Schema()).Validate(asJSON(t, text)); err != nil {
					t.Errorf("%s.%s: %s: %v", path, f.Key, text, err)
				}
			}
			look(f.Shape, path+"."+f.Key)
		}
		if s.Items != nil {
			look(*s.Items, path+"[]")
		}
	}
	look(rules.Shape(), "")
}
