package yaml_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

// layouts are documents as people write them, with angle brackets around every
// scalar that is edited, each of its own number.
var layouts = []string{
	`# a service
apiVersion: ‹v1›   # kept

metadata:
    name: ‹'v2'›
    labels: {app: ‹v3›,  tier:   ‹"v4"›}   # both

# the containers
containers:
  - name: ‹v5›
    # in between
    args: [ ‹"v6"›, ‹v7›,
            ‹'v8'› ]
    env:
    - name:  ‹v9›
      value: ‹"v10 and a #"›
    -   name: ‹v11›
        value: ‹>-
          v12
          folded›
  - name: ‹v13› # last
    script: ‹|
      v14

        more›
    tail: ‹v15›
...
`,
	"- - ‹v1›\n  - ‹v2›\n-   - ‹v3›\n\n    - {k: ‹v4›, l: [‹v5›]} # c\n- key: ‹v6›\n  ? other\n  : ‹v7›\n- &a ‹v8›\n- - - ‹v9›\n",
	"\ufeffa: ‹v1›\r\n\r\nb:\r\n- ‹v2› # \r\n- c: ‹v3›\r\n  d:\r\n    e: ‹'v4'›\r\n# end",
	`{"a": ‹"v1"›, "b": [‹"v2"›, {"c": ‹"v3"›}], "d": {"e": {"f": ‹"v4"›}}}`,
	"%YAML 1.2\n---\n? v\n: ‹v1›\nh: ‹!!str v2›\nlong: ‹plain v3\n  over lines›\nq: ‹\"double v4\n\n  too\"›\n",
}

// plain is a layout without its angle brackets.
func plain(layout string) string { return strings.NewReplacer("‹", "", "›", "").Replace(layout) }

var number = regexp.MustCompile(`v[0-9]+`)

// places are the texts before and after each scalar of a layout.
func places(layout string) map[string][2]string {
	found := make(map[string][2]string)
	rest, before := layout, ""
	for {
		lead, tail, ok := strings.Cut(rest, "‹")
		if !ok {
			return found
		}
		scalar, after, _ := strings.Cut(tail, "›")
		before += lead
		found[number.FindString(scalar)] = [2]string{before, plain(after)}
		before += scalar
		rest = after
	}
}

// leaves are the paths of the scalars of a layout, by number.
func leaves(v any) map[string]string {
	found := make(map[string]string)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(fmt.Sprintf("%s[%q]", path, k), e)
			}
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), e)
			}
		case string:
			found[number.FindString(v)] = path
		}
	}
	walk(".", v)
	return found
}

// An edit of a scalar changes its own characters and no others.
func TestEditOfAScalarStaysInItsPlace(t *testing.T) {
	for n, layout := range append(generated(60), layouts...) {
		v, original := decode(t, plain(layout))
		paths := leaves(v)
		for scalar, place := range places(layout) {
			for _, to := range []string{"5", "null", `"x"`, `"yes"`, `"a: b #"`, `"two\nlines\n"`, "[1]", "{}"} {
				program := paths[scalar] + " = " + to
				edited, err := codectest.JQ(program, v)
				if err != nil {
					t.Fatal(err)
				}
				out, err := yaml.Codec{}.Encode(original, edited)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(string(out), place[0]) || !strings.HasSuffix(string(out), place[1]) {
					t.Errorf("%d: %s: got\n%s", n, program, out)
				}
			}
		}
	}
}

// A removal takes one run of the text away, and in blocks whole lines.
func TestRemovalTakesOneRunOfTheText(t *testing.T) {
	for n, layout := range append(generated(60), layouts...) {
		text := plain(layout)
		v, original := decode(t, text)
		for _, path := range leaves(v) {
			edited, err := codectest.JQ("del("+path+")", v)
			if err != nil {
				t.Fatal(err)
			}
			out, err := yaml.Codec{}.Encode(original, edited)
			if err != nil {
				t.Fatal(err)
			}
			prefix, suffix := common(text, string(out))
			written := string(out)[prefix : len(out)-suffix]
			if strings.Count(written, "\n") > 1 || len(written) > 40 {
				t.Errorf("%d: del(%s) wrote %q: got\n%s", n, path, written, out)
			}
		}
	}
}

// A new member or element leaves all lines as they are, except for the flow
// collection that it goes into.
func TestAdditionIsOneRunOfTheText(t *testing.T) {
	for n, layout := range append(generated(60), layouts...) {
		text := plain(layout)
		v, original := decode(t, text)
		for _, program := range []string{
			"(.. | objects | select(has(\"name\") or has(\"e\") or has(\"key\"))) |= (.new = {a: [1]})", "first(.. | arrays) |= . + [{n: 1}]", "first(.. | objects) |= (.new1 = 1 | .new2 = \"yes\")",
		} {
			edited, err := codectest.JQ(program, v)
			if err != nil {
				continue
			}
			out, err := yaml.Codec{}.Encode(original, edited)
			if err != nil {
				t.Fatal(err)
			}
			rest := lines(string(out))
			for _, line := range lines(text) {
				if strings.ContainsAny(line, "{[") {
					continue
				}
				i := slices.Index(rest, line)
				if i < 0 {
					t.Errorf("%d: %s: lost %q: got\n%s", n, program, line, out)
					break
				}
				rest = rest[i+1:]
			}
		}
	}
}

func lines(text string) []string {
	return strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r", ""), "\n"), "\n")
}

func decode(t *testing.T, text string) (codec.Value, codec.Original) {
	t.Helper()
	v, original, err := yaml.Codec{}.Decode([]byte(text), codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v, original
}

// common is how much of the beginning and of the end a and b share.
func common(a, b string) (prefix, suffix int) {
	for prefix < min(len(a), len(b)) && a[prefix] == b[prefix] {
		prefix++
	}
	for suffix < min(len(a), len(b))-prefix && a[len(a)-1-suffix] == b[len(b)-1-suffix] {
		suffix++
	}
	return prefix, suffix
}
