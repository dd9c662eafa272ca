package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/ruletest"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// The tests of a recipe notice when one of its steps is missing, or one of its
// conditions is turned round or always true.
func TestTheCookbookNoticesWhatIsWrong(t *testing.T) {
	files, err := watch.Read(cookbook)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for i := range files {
		for what, text := range mutants(string(files[i].Text)) {
			count++
			others := slices.Clone(files)
			others[i].Text = []byte(text)
			set, problems := rules.Compile(others)
			if set == nil {
				t.Errorf("%s: %s: %v", files[i].Name, what, problems)
				continue
			}
			report, err := ruletest.Run(t.Context(), testConfig(), set, func(c *rules.Case) bool { return c.Position.File == files[i].Name })
			if err != nil {
				t.Fatal(err)
			}
			if report.Failed() == 0 {
				t.Errorf("%s: no test notices: %s", files[i].Name, what)
			}
		}
	}
	if count < 70 {
		t.Errorf("only %d mutants", count)
	}
}

var (
	stepLine  = regexp.MustCompile(`^  - (when|jq|head|reject):`)
	condition = regexp.MustCompile(`^(  - when|    when|    failure|    trip|  where|  when): (.*)$`)
	noSteps   = regexp.MustCompile(`(?m)^(request|response|trailers):\n(\S)`)
)

// mutants are rule files with one thing wrong, by what that is.
func mutants(text string) map[string]string {
	rule, tests, _ := strings.Cut(text, "\ntests:\n")
	lines := strings.Split(rule, "\n")
	out := make(map[string]string)
	add := func(what string, i int, lines ...[]string) {
		rule := strings.Join(slices.Concat(lines...), "\n") + "\ntests:\n"
		out[fmt.Sprintf("%s line %d", what, i+1)] = noSteps.ReplaceAllString(rule, "$2") + tests
	}
	for i, line := range lines {
		if stepLine.MatchString(line) {
			end := i + 1
			for end < len(lines) && strings.HasPrefix(lines[end], "    ") {
				end++
			}
			add("without", i, lines[:i], lines[end:])
		}
		if m := condition.FindStringSubmatch(line); m != nil {
			program := strings.ReplaceAll(strings.Trim(m[2], "'"), "'", "''")
			add("the contrary in", i, lines[:i], []string{m[1] + ": '(" + program + ") | not'"}, lines[i+1:])
			add("always true in", i, lines[:i], []string{m[1] + ": true"}, lines[i+1:])
		}
	}
	return out
}
