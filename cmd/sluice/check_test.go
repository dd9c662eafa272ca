package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestCheck runs the command lines of testdata/check, whose archives hold the
// files they are about and what is printed. UPDATE_GOLDEN=1 writes that anew.
func TestCheck(t *testing.T) { runArchives(t, "testdata/check/*.txtar", nil) }

// runArchives runs the command of each archive among its files and compares what
// it prints with the last of them. The command is one line, or an argument a
// line. What tidy leaves of the output, if it is not nil, is compared.
func runArchives(t *testing.T, pattern string, tidy func(string) string) {
	archives, err := filepath.Glob(pattern)
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
			var command []string
			for _, f := range a.Files {
				if f.Name == "command" {
					if command = strings.Split(strings.TrimSpace(string(f.Data)), "\n"); len(command) == 1 {
						command = strings.Fields(command[0])
					}
					continue
				}
				if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := runCommand(t, command)
			if tidy != nil {
				got = tidy(got)
			}
			last := &a.Files[len(a.Files)-1]
			if got == string(last.Data) {
				return
			}
			if os.Getenv("UPDATE_GOLDEN") == "" {
				t.Fatalf("got:\n%s\nwant:\n%s", got, last.Data)
			}
			last.Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// runCommand answers with what the command printed and how it ended.
func runCommand(t *testing.T, command []string) string {
	var out bytes.Buffer
	root := newRootCmd()
	root.SetArgs(command)
	root.SetOut(&out)
	root.SetErr(&out)
	if err := root.ExecuteContext(t.Context()); err != nil {
		fmt.Fprintf(&out, "error: %v\n", err)
	}
	return out.String()
}
