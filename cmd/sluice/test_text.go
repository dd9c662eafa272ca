package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/ruletest"
)

// testPrinter prints results for people.
type testPrinter struct {
	out      io.Writer
	verbose  bool
	results  []*ruletest.Result
	files    map[string]bool
	failed   int
	coverage ruletest.Coverage
}

// report prints the results of one set: of those that pass nothing, unless each is
// asked for.
func (p *testPrinter) report(r *ruletest.Report) {
	if p.files == nil {
		p.files = make(map[string]bool)
	}
	for i := range r.Results {
		result := &r.Results[i]
		p.results = append(p.results, result)
		c := result.Case
		p.files[c.Position.File] = true
		switch {
		case result.Failed():
			p.failed++
			fmt.Fprintf(p.out, "FAIL %s:%d:%d: %s: %s\n", printable(c.Position.File), c.Position.Line, c.Position.Column, printable(c.Route.Name()), printable(c.Name))
			fmt.Fprint(p.out, failureText(result))
		case p.verbose:
			fmt.Fprintf(p.out, "ok   %s:%d:%d: %s: %s\n", printable(c.Position.File), c.Position.Line, c.Position.Column, printable(c.Route.Name()), printable(c.Name))
		}
	}
}

// failureText says what is otherwise than expected.
func failureText(r *ruletest.Result) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "     "+format+"\n", args...) }
	if r.Err != nil {
		line("%s", printable(r.Err.Error()))
	}
	for _, f := range r.Failures {
		place := f.Place
		if place == "" {
			place = "expect"
		}
		switch {
		case f.Said != "":
			line("%s: %s", printable(place), printable(f.Said))
		case strings.Contains(f.Want+f.Got, "\n"):
			line("%s: - expected, + came", printable(place))
			for _, d := range near(diffLines(strings.Split(f.Want, "\n"), strings.Split(f.Got, "\n"), sameMember), 3) {
				line("%s", strings.TrimRight("  "+string(d.mark)+" "+printable(d.text), " "))
			}
		default:
			line("%s: expected %s, came %s", printable(place), printable(f.Want), printable(f.Got))
		}
	}
	for _, note := range r.Notes {
		line("(%s)", printable(note))
	}
	return b.String()
}

func (p *testPrinter) covered(c *ruletest.Coverage) {
	p.coverage.Reached += c.Reached
	p.coverage.Of += c.Of
	p.coverage.Missing = append(p.coverage.Missing, c.Missing...)
}

// missing prints what no test reaches.
func (p *testPrinter) missing() {
	for _, m := range p.coverage.Missing {
		what := m.Step
		switch m.Kind {
		case "when":
			what += ": its when"
		case "failure", "where", "step", "opened", "fallback":
		}
		fmt.Fprintf(p.out, "%s:%d:%d: %s: %s %s\n", printable(m.Position.File), m.Position.Line, m.Position.Column, printable(m.Route), printable(what), m.What)
	}
}

func (p *testPrinter) summary(covered bool) {
	outcome := "all passed"
	if p.failed > 0 {
		outcome = fmt.Sprintf("%d failed", p.failed)
	}
	if len(p.results) == 0 {
		outcome = "no tests"
	} else {
		outcome = plural(len(p.results), "test") + " in " + plural(len(p.files), "file") + ", " + outcome
	}
	if covered {
		outcome += fmt.Sprintf("; %.1f%% covered (%d of %d)", p.coverage.Percent(), p.coverage.Reached, p.coverage.Of)
	}
	fmt.Fprintln(p.out, outcome)
}

// The elements of JUnit XML, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		File     string      `xml:"file,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		seconds  float64
	}
	junitCase struct {
		Name    string     `xml:"name,attr"`
		Class   string     `xml:"classname,attr"`
		File    string     `xml:"file,attr"`
		Line    int        `xml:"line,attr"`
		Time    string     `xml:"time,attr"`
		Failure *junitText `xml:"failure"`
		Error   *junitText `xml:"error"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",cdata"`
	}
)

// writeJUnit writes a suite for each rule file.
func writeJUnit(name string, results []*ruletest.Result) error {
	var all junitSuites
	for _, r := range results {
		file := r.Case.Position.File
		if n := len(all.Suites); n == 0 || all.Suites[n-1].File != file {
			all.Suites = append(all.Suites, junitSuite{Name: r.Case.Route.Name(), File: file})
		}
		s := &all.Suites[len(all.Suites)-1]
		c := junitCase{Name: r.Case.Name, Class: r.Case.Route.Name(), File: file, Line: r.Case.Position.Line, Time: seconds(r.Took.Seconds())}
		text := &junitText{Message: firstLine(failureText(r)), Text: failureText(r)}
		switch {
		case r.Err != nil:
			c.Error = text
			s.Errors++
			all.Errors++
		case r.Failed():
			c.Failure = text
			s.Failures++
			all.Failures++
		}
		s.Tests++
		all.Tests++
		s.seconds += r.Took.Seconds()
		s.Time = seconds(s.seconds)
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append([]byte(xml.Header), append(text, '\n')...), 0o644)
}

func seconds(s float64) string { return fmt.Sprintf("%.6f", s) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
