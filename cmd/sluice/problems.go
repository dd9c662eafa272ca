package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/sluice-proxy/sluice/proxy/admin"
	"github.com/sluice-proxy/sluice/rules"
)

// writeProblems prints each problem for people: one line that says where and
// what, the source line, and a caret under the place with the hint behind it.
//
//	rules/orders.yaml:31:19: request[0].jq: function not defined: asci_downcase/0  [jq-undefined]
//	  31 |   - jq: .email |= asci_downcase
//	     |                   ^^^^^^^^^^^^^ did you mean ascii_downcase?
func writeProblems(w io.Writer, problems []rules.Problem) error {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s:%d:%d: ", printable(p.File), p.Line, p.Column)
		if p.Severity == rules.Warning {
			b.WriteString("warning: ")
		}
		if p.Path != "" {
			b.WriteString(printable(p.Path) + ": ")
		}
		fmt.Fprintf(&b, "%s  [%s]\n", printable(p.Message), p.Code)
		if p.Source == "" {
			if p.Hint != "" {
				fmt.Fprintf(&b, "  %s\n", printable(p.Hint))
			}
			continue
		}
		line := strconv.Itoa(p.Line)
		fmt.Fprintf(&b, "  %s | %s\n", line, printable(p.Source))
		margin, carets := indentTo(p.Source, p.Column), strings.Repeat("^", max(p.EndColumn-p.Column, 1))
		fmt.Fprintf(&b, "  %s | %s%s\n", strings.Repeat(" ", len(line)), margin, strings.TrimRight(carets+" "+printable(p.Hint), " "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// indentTo is as wide as what stands before column in source, tabs included.
func indentTo(source string, column int) string {
	var b strings.Builder
	for _, r := range source {
		if column--; column < 1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	for ; column > 1; column-- {
		b.WriteByte(' ')
	}
	return b.String()
}

// printable keeps a file's text from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// writeProblemsJSON prints one array of all problems, each as the admin API
// has it.
func writeProblemsJSON(w io.Writer, problems []rules.Problem) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(admin.ProblemsOf(problems))
}

func severityName(s rules.Severity) string {
	if s == rules.Warning {
		return "warning"
	}
	return "error"
}

// writeProblemsGitHub prints workflow commands, which GitHub shows beside the
// lines of a change.
func writeProblemsGitHub(w io.Writer, problems []rules.Problem) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var b strings.Builder
	for _, p := range problems {
		message := p.Message
		if p.Path != "" {
			message = p.Path + ": " + message
		}
		if p.Hint != "" {
			message += " (" + p.Hint + ")"
		}
		fmt.Fprintf(&b, "::%s file=%s,line=%d,col=%d,endColumn=%d,title=%s::%s\n",
			severityName(p.Severity), property.Replace(p.File), p.Line, p.Column, p.EndColumn, property.Replace(p.Code), data.Replace(message))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
