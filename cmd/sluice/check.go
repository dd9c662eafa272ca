package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

func newCheckCmd() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check [flags] [PATH...]",
		Short: "Print every problem of rule files",
		Long: `Print every problem of rule files, with its place and what to do. A PATH is a directory of rule files, one rule file,
or a sluice.yaml, whose rules are checked too. Without a PATH it is ./rules. The exit code is 2 if there is a problem.`,
		Example: `  sluice check
  sluice check --format github rules/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := problemWriter(format)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"rules"}
			}
			c, err := checkPaths(args)
			if err != nil {
				return err
			}
			if err := write(cmd.OutOrStdout(), c.problems); err != nil {
				return err
			}
			if format == "text" {
				fmt.Fprintln(cmd.OutOrStdout(), c.summary())
			}
			if len(c.problems) > 0 {
				return &exitError{Code: exitFindings}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "how to print problems: text, json or github")
	return cmd
}

func problemWriter(format string) (func(io.Writer, []rules.Problem) error, error) {
	switch format {
	case "text":
		return writeProblems, nil
	case "json":
		return writeProblemsJSON, nil
	case "github":
		return writeProblemsGitHub, nil
	}
	return nil, usageError(fmt.Errorf("--format %q is none of text, json, github", format))
}

// checked is the outcome of a check.
type checked struct {
	files    int
	problems []rules.Problem
}

func (c *checked) summary() string {
	problems := fmt.Sprintf("%d problems", len(c.problems))
	switch len(c.problems) {
	case 0:
		problems = "no problems"
	case 1:
		problems = "1 problem"
	}
	if c.files == 1 {
		return "1 file, " + problems
	}
	return fmt.Sprintf("%d files, %s", c.files, problems)
}

// checkPaths compiles each directory as the set it is, and the files that are
// named one by one as one set.
func checkPaths(paths []string) (*checked, error) {
	var c checked
	var single []rules.File
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("check: %w", err)
		case info.IsDir():
			err = c.directory(path)
		case strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) == "sluice":
			err = c.config(path)
		default:
			var text []byte
			text, err = watch.ReadFile(path)
			single = append(single, rules.File{Name: path, Text: text})
		}
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
	}
	c.compile(single)
	return &c, nil
}

func (c *checked) compile(files []rules.File) {
	_, problems := rules.Compile(files)
	c.problems = append(c.problems, problems...)
	c.files += len(files)
}

func (c *checked) directory(dir string) error {
	files, err := watch.Read(dir)
	if err != nil {
		return err
	}
	c.compile(files)
	return nil
}

func (c *checked) config(path string) error {
	text, err := watch.ReadFile(path)
	if err != nil {
		return err
	}
	cfg, problems := config.Parse(path, text)
	c.problems = append(c.problems, problems...)
	c.files++
	if cfg.Rules == "" {
		return nil
	}
	return c.directory(cfg.Rules)
}
