package test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestBlocksOfMarkdown(t *testing.T) {
	found, err := blocks("text\n```console\n$ a \\\n  b\nout\n$ c\n```\n<!-- file: rules/x.yaml -->\n```yaml\nk: v\n```\n<!-- not run: too long -->\n```sh\nsleep\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{line: 2, lang: "console", lines: []string{`$ a \`, "  b", "out", "$ c"}},
		{line: 9, lang: "yaml", lines: []string{"k: v"}, file: "rules/x.yaml"},
		{line: 13, lang: "sh", lines: []string{"sleep"}, notRun: "too long"},
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("got %+v, want %+v", found, want)
	}
	list, err := found[0].commands()
	if err != nil {
		t.Fatal(err)
	}
	if want := []command{{text: "a \\\n  b", want: []string{"out"}}, {text: "c"}}; !reflect.DeepEqual(list, want) {
		t.Errorf("got %+v, want %+v", list, want)
	}
	if _, err := blocks("```sh\n"); err == nil {
		t.Error("an open block: got no error")
	}
	if _, err := (block{lines: []string{"out"}}).commands(); err == nil {
		t.Error("output before a command: got no error")
	}
}

func TestOutputMatches(t *testing.T) {
	for _, test := range []struct {
		want []string
		got  string
		ok   bool
	}{
		{[]string{"a", "b"}, "a\nb\n", true},
		{[]string{"a", "b"}, "a\nb", true},
		{[]string{"a"}, "a\nb\n", false},
		{[]string{"b"}, "a\nb\n", false},
		{[]string{"...", "b"}, "a\na\nb\n", true},
		{[]string{"a", "..."}, "a\n", true},
		{[]string{"id ...: ok."}, "id 17: ok.\n", true},
		{[]string{"id ...: ok."}, "id 17: okay\n", false},
		{[]string{"a...b"}, "a\nb\n", false},
		{[]string{"..."}, "", true},
	} {
		if got := outputMatches(test.want, test.got); got != test.ok {
			t.Errorf("%q against %q: got %v, want %v", test.want, test.got, got, test.ok)
		}
	}
}

func TestAScriptRunsInItsFolder(t *testing.T) {
	shell := readmeShell{dir: t.TempDir(), env: os.Environ()}
	shell.write(t, "rules/a.yaml", "k: v\n")
	if got := shell.run(t, "cat rules/a.yaml"); got != "k: v\n" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(shell.dir, "rules")); err != nil {
		t.Error(err)
	}
}
