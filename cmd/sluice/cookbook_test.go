package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const cookbook = "../../docs/cookbook"

// Every recipe passes its tests, and they reach every step and condition of it.
func TestTheCookbookPasses(t *testing.T) {
	out := runCommand(t, []string{"test", "--cover", "--cover-min", "100", cookbook})
	if !strings.Contains(out, "all passed; 100.0% covered") {
		t.Error(out)
	}
}

// docs/cookbook.md is made of the recipes: of the comment at the top of each, and of
// what stands before its tests.
func TestTheCookbookPageShowsEveryRecipe(t *testing.T) {
	files, err := filepath.Glob(cookbook + "/*.yaml")
	if err != nil || len(files) < 12 {
		t.Fatal(err, files)
	}
	page := cookbookHead
	var contents, recipes strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		title, prose, rule := recipe(string(text))
		if title == "" || prose == "" || !strings.Contains(string(text), "\ntests:\n") {
			t.Errorf("%s: a recipe begins with a title and what it is for, and ends with tests", file)
		}
		anchor := strings.ReplaceAll(strings.ToLower(strings.Map(func(r rune) rune {
			if r == ',' || r == '\'' {
				return -1
			}
			return r
		}, title)), " ", "-")
		fmt.Fprintf(&contents, "- [%s](#%s)\n", title, anchor)
		fmt.Fprintf(&recipes, "\n## %s\n\n%s\n\n```yaml\n%s```\n\n[The file with its tests](cookbook/%s)\n", title, prose, rule, filepath.Base(file))
	}
	page += contents.String() + recipes.String()
	const name = "../../docs/cookbook.md"
	if *update {
		if err := os.WriteFile(name, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(name); err != nil || string(have) != page {
		t.Errorf("docs/cookbook.md is another (%v): run with -update", err)
	}
}

const cookbookHead = `# Cookbook

Tasks from real systems, each a rule file with its tests. All of them run with

    sluice test --cover docs/cookbook

and each test reads as an example of what goes in and what comes out. [reference.md](reference.md) has every key.

`

// recipe takes the text of a file apart.
func recipe(text string) (title, prose, rule string) {
	var lines []string
	for {
		line, rest, _ := strings.Cut(text, "\n")
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		lines, text = append(lines, strings.TrimSpace(comment)), rest
	}
	if len(lines) < 3 {
		return "", "", text
	}
	rule, _, _ = strings.Cut(text, "tests:\n")
	return lines[0], strings.Join(lines[2:], "\n"), rule
}
