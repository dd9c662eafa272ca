package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/ruletest"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// testOptions is the command line of test.
type testOptions struct {
	run         string
	verbose     bool
	junit       string
	cover       bool
	coverMin    float64
	update      bool
	descriptors []string
}

func newTestCmd() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [flags] [PATH...]",
		Short: "Run the tests of rule files offline",
		Long: `Run the tests of rule files offline, through the code that runs in production. A PATH is a directory of rule files, or one
rule file, whose tests run among the rules of its directory. Without a PATH it is ./rules. The exit code is 2 if a test
fails, if a file has a problem, or if less is covered than --cover-min asks for.`,
		Example: `  sluice test
  sluice test --cover --cover-min 80 rules/
  sluice test --run 'orders.*/refuses' -v
  sluice test --update rules/orders.create.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"rules"}
			}
			return o.test(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.run, "run", "", "regular expression: only tests whose ROUTE/NAME matches")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print each test that passes, too")
	f.StringVar(&o.junit, "junit", "", "write the results to this file, as JUnit XML")
	f.BoolVar(&o.cover, "cover", false, "print which steps and conditions no test reaches")
	f.Float64Var(&o.coverMin, "cover-min", 0, "fail if less than this percentage is covered")
	f.BoolVar(&o.update, "update", false, "write what comes out into the expect of tests that fail or have none")
	f.StringArrayVar(&o.descriptors, "descriptors", nil, "file or directory with .proto files or descriptor sets, for all tests")
	return cmd
}

// testSet is a directory, and the files of it that are tested.
type testSet struct {
	dir   string
	files []string // nil: all
}

// has reports whether a file is tested.
func (s *testSet) has(file string) bool {
	return s.files == nil || slices.Contains(s.files, filepath.Clean(file))
}

func (o *testOptions) test(cmd *cobra.Command, paths []string) error {
	var filter *regexp.Regexp
	if o.run != "" {
		var err error
		if filter, err = regexp.Compile(o.run); err != nil {
			return usageError(fmt.Errorf("--run: %w", err))
		}
	}
	sets, err := testSets(paths)
	if err != nil {
		return err
	}
	cfg := testConfig()
	if len(o.descriptors) > 0 {
		if cfg.Methods, err = cfg.Descriptors(o.descriptors); err != nil {
			return err
		}
	}
	p := testPrinter{out: cmd.OutOrStdout(), verbose: o.verbose}
	for _, s := range sets {
		set, err := compileTested(cmd, s)
		if err != nil {
			return err
		}
		pick := func(c *rules.Case) bool {
			return s.has(c.Position.File) && (filter == nil || filter.MatchString(c.Route.Name()+"/"+c.Name))
		}
		report, err := ruletest.Run(cmd.Context(), cfg, set, pick)
		if err != nil {
			return fmt.Errorf("test: %w", err)
		}
		if o.update {
			if report, err = o.rewrite(cmd, cfg, s, report, pick); err != nil {
				return err
			}
		}
		p.report(report)
		p.covered(report.Coverage(s.has))
	}
	return o.finish(&p)
}

// finish prints what is to be said in the end.
func (o *testOptions) finish(p *testPrinter) error {
	if o.junit != "" {
		if err := writeJUnit(o.junit, p.results); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if o.cover {
		p.missing()
	}
	p.summary(o.cover || o.coverMin > 0)
	if o.coverMin > 0 && p.coverage.Percent() < o.coverMin {
		fmt.Fprintf(p.out, "less than %g%% is covered\n", o.coverMin)
		return &exitError{Code: exitFindings}
	}
	if p.failed > 0 {
		return &exitError{Code: exitFindings}
	}
	return nil
}

// testConfig is what tests run with.
func testConfig() ruletest.Config {
	return ruletest.Config{Codecs: formats(), Descriptors: func(paths []string) (protobuf.Source, error) {
		files, err := loadDescriptors(paths)
		if err != nil {
			return nil, err
		}
		return protobuf.Sources(files), nil
	}}
}

// testSets puts paths together by their directories.
func testSets(paths []string) ([]*testSet, error) {
	var sets []*testSet
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("test: %w", err)
		}
		path, dir := filepath.Clean(path), filepath.Clean(path)
		if !info.IsDir() {
			dir = filepath.Dir(path)
		}
		at := slices.IndexFunc(sets, func(s *testSet) bool { return s.dir == dir })
		if at < 0 {
			at = len(sets)
			sets = append(sets, &testSet{dir: dir, files: []string{}})
		}
		switch s := sets[at]; {
		case info.IsDir():
			s.files = nil
		case s.files != nil:
			s.files = append(s.files, path)
		}
	}
	return sets, nil
}

// compileTested compiles a directory as the set that it is.
func compileTested(cmd *cobra.Command, s *testSet) (*rules.Set, error) {
	files, err := watch.Read(s.dir)
	if err != nil {
		return nil, fmt.Errorf("test: %w", err)
	}
	set, problems := rules.Compile(files)
	if set != nil {
		return set, nil
	}
	if err := writeProblems(cmd.OutOrStdout(), problems); err != nil {
		return nil, err
	}
	return nil, &exitError{Code: exitFindings}
}

// errUpdated says what an update could not do.
var errUpdated = errors.New("the file was not written")

// rewrite writes what came out into the files, and runs the cases again.
func (o *testOptions) rewrite(cmd *cobra.Command, cfg ruletest.Config, s *testSet, report *ruletest.Report, pick func(*rules.Case) bool) (*ruletest.Report, error) {
	if report.Failed() == 0 {
		return report, nil
	}
	for _, file := range report.FailedFiles() {
		text, err := watch.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--update: %w", err)
		}
		updated, count, err := report.Update(cfg.Codecs, file, text)
		if err != nil {
			return nil, fmt.Errorf("--update: %s: %w: %w", file, errUpdated, err)
		}
		if count == 0 {
			continue
		}
		if err := replaceFile(file, updated); err != nil {
			return nil, fmt.Errorf("--update: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: updated %s\n", file, plural(count, "test"))
	}
	return o.again(cmd.Context(), cmd, cfg, s, pick)
}

func (o *testOptions) again(ctx context.Context, cmd *cobra.Command, cfg ruletest.Config, s *testSet, pick func(*rules.Case) bool) (*ruletest.Report, error) {
	set, err := compileTested(cmd, s)
	if err != nil {
		return nil, err
	}
	report, err := ruletest.Run(ctx, cfg, set, pick)
	if err != nil {
		return nil, fmt.Errorf("test: %w", err)
	}
	return report, nil
}

// replaceFile writes a file beside the old one, and puts it in its place.
func replaceFile(name string, text []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".tmp")
	if err := os.WriteFile(temporary, text, info.Mode().Perm()); err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return nil
}

// testsEnd is how long the tests of a set may take before it goes live.
const testsEnd = time.Minute

// tested runs the tests of a set that is to go live. Calls without descriptors of
// their own have those given.
func tested(descriptors protobuf.Source) func(*rules.Set) []rules.Problem {
	cfg := testConfig()
	cfg.Methods = descriptors
	return func(set *rules.Set) []rules.Problem {
		ctx, cancel := context.WithTimeout(context.Background(), testsEnd)
		defer cancel()
		report, err := ruletest.Run(ctx, cfg, set, func(*rules.Case) bool { return true })
		if err != nil {
			return []rules.Problem{{Position: rules.Position{Line: 1, Column: 1}, EndColumn: 2, Code: "test-failed", Message: fmt.Sprintf("the tests do not end: %v", err)}}
		}
		return report.Problems()
	}
}
