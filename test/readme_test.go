package test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// blockPatience bounds one block of the README.
const blockPatience = 2 * time.Minute

// The README's blocks are run as they stand, each in a bash of its own, in one
// folder and from top to bottom, so that a block may use what the ones before
// it made:
//
//   - ```console: a line "$ command" is run, and what it prints must match the
//     lines up to the next command; "..." alone stands for any lines, and
//     within a line for any text. A command goes on after a backslash.
//   - ```sh: run as a script that must succeed.
//   - ```yaml, ```json with <!-- file: NAME --> in the line above: written to
//     that file, in the same folder.
//
// <!-- not run: REASON --> above a block leaves it out, and the test says so.
// The commands find the freshly built sluice in their PATH; "go run
// ./cmd/sluice" and "./test/run" stand for themselves and run in the
// repository's root.

type block struct {
	line   int
	lang   string
	lines  []string
	file   string // where its text goes
	notRun string // why it is left out
}

var (
	fence   = regexp.MustCompile("^```([a-z]*)$")
	fileFor = regexp.MustCompile(`^<!-- file: (\S+) -->$`)
	leftOut = regexp.MustCompile(`^<!-- not run: (.+) -->$`)
)

// blocks cuts markdown into its fenced blocks.
func blocks(markdown string) ([]block, error) {
	var found []block
	var current *block
	previous := ""
	scanner := bufio.NewScanner(strings.NewReader(markdown))
	for number := 1; scanner.Scan(); number++ {
		line := scanner.Text()
		opening := fence.FindStringSubmatch(line)
		switch {
		case current != nil && line == "```":
			found = append(found, *current)
			current = nil
		case current != nil:
			current.lines = append(current.lines, line)
		case opening != nil:
			current = &block{line: number, lang: opening[1]}
			if note := fileFor.FindStringSubmatch(previous); note != nil {
				current.file = note[1]
			}
			if note := leftOut.FindStringSubmatch(previous); note != nil {
				current.notRun = note[1]
			}
		}
		previous = line
	}
	if current != nil {
		return nil, fmt.Errorf("line %d: the block does not end", current.line)
	}
	return found, scanner.Err()
}

// command is one line to be run with the lines that it should print.
type command struct {
	text string
	want []string
}

// commands reads a console block.
func (b block) commands() ([]command, error) {
	var found []command
	goesOn := false
	for i, line := range b.lines {
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case goesOn:
			found[len(found)-1].text += "\n" + line
		case isCommand:
			found = append(found, command{text: text})
		case len(found) == 0:
			return nil, fmt.Errorf("line %d: output before any command: %q", b.line+1+i, line)
		default:
			last := &found[len(found)-1]
			last.want = append(last.want, line)
		}
		goesOn = (goesOn || isCommand) && strings.HasSuffix(line, `\`)
	}
	return found, nil
}

// outputMatches compares what a command printed with the lines that it should.
func outputMatches(want []string, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range want {
		if line == "..." {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(line, "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, `.*`) + `\n`)
	}
	pattern.WriteString(`\z`)
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	return regexp.MustCompile(pattern.String()).MatchString(got)
}

func TestReadmeDoesWhatItSays(t *testing.T) {
	markdown, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found, err := blocks(string(markdown))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	shell := newReadmeShell(t)
	for _, b := range found {
		name := fmt.Sprintf("line %d", b.line)
		switch {
		case b.notRun != "":
			t.Run(name, func(t *testing.T) { t.Skipf("README.md:%d is not run: %s", b.line, b.notRun) })
		case b.file != "":
			shell.write(t, b.file, strings.Join(b.lines, "\n")+"\n")
		case b.lang == "sh":
			t.Run(name, func(t *testing.T) { shell.run(t, strings.Join(b.lines, "\n")) })
		case b.lang == "console":
			t.Run(name, func(t *testing.T) { shell.console(t, b) })
		case b.lang == "yaml" || b.lang == "json":
			t.Errorf("README.md:%d: a %s block is nobody's file: put <!-- file: NAME --> above it", b.line, b.lang)
		}
	}
}

// readmeShell runs commands in one folder.
type readmeShell struct {
	dir  string
	root string // the repository's
	env  []string
}

func newReadmeShell(t *testing.T) readmeShell {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "./cmd/sluice")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, out)
	}
	env := append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+t.TempDir(), "NO_COLOR=1")
	return readmeShell{dir: t.TempDir(), root: root, env: env}
}

func (s readmeShell) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s readmeShell) console(t *testing.T, b block) {
	t.Helper()
	list, err := b.commands()
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	for _, one := range list {
		if strings.HasPrefix(one.text, "./test/run") {
			t.Logf("%s is what runs this test", one.text)
			continue
		}
		got := s.run(t, one.text)
		if len(one.want) > 0 && !outputMatches(one.want, got) {
			t.Errorf("$ %s\ngot:\n%s\nwant:\n%s", one.text, got, strings.Join(one.want, "\n"))
		}
	}
}

// run runs a script in bash and returns all that it printed.
func (s readmeShell) run(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), blockPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.WaitDelay = time.Second // what a block leaves running fails it: a README cleans up
	if strings.HasPrefix(script, "go run ./") {
		cmd.Dir = s.root
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("$ %s\n%v\n%s", script, err, out)
	}
	return string(out)
}
