package document

import (
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// A jq program that YAML does not take as a plain text is every newcomer's
// first mistake: YAML cuts it at " #", or takes it for a map, a list, a quoted
// text, an alias, a tag or a block.

var (
	keyLine     = regexp.MustCompile(`^(\s*(?:-\s+)*)([A-Za-z_]+):[ \t]+(\S.*)$`)
	blockHeader = regexp.MustCompile(`^[|>][-+0-9]*\s*(#.*)?$`)
	inFlowLine  = regexp.MustCompile(`^\s*(?:-\s+)*[{\[]`)
)

const specialStart = "{[\"'@|&*!%>`"

// repair recognises a line whose jq program broke the YAML, reports it, and
// puts the program into quotes in work, so that the rest can be read.
func (d *Document) repair(line int, work []string) bool {
	if line < 1 || line > len(d.lines) || d.repaired[line] {
		return false
	}
	m := keyLine.FindStringSubmatch(d.line(line))
	if m == nil || !d.programs[m[2]] || blockHeader.MatchString(m[3]) {
		return false
	}
	program := strings.TrimRight(m[3], " \t")
	if !strings.Contains(specialStart, program[:1]) && !strings.Contains(program, ": ") && !strings.HasSuffix(program, ":") {
		return false
	}
	fixed := m[1] + m[2] + ": " + quote(program)
	column := len([]rune(d.line(line))) - len([]rune(m[3])) + 1
	d.report(line, column, 0, m[2], CodeJQYAML, "write "+strings.TrimSpace(fixed), "YAML does not take this jq program as a text")
	d.repaired[line] = true
	work[line-1] = fixed
	return true
}

// repairedAt gives the problem of a repaired line the path that only the
// repaired text shows.
func (d *Document) repairedAt(line int, path string) {
	for i := range d.problems {
		if d.problems[i].Line == line && d.problems[i].Code == CodeJQYAML {
			d.problems[i].Path = path
		}
	}
}

// mangled reports that n, which is to be a jq program, was taken by YAML for
// something else.
func (n *Node) mangled() {
	hint := "put the program in quotes or under |"
	if fixed, ok := n.corrected(); ok {
		hint = "write " + fixed
	}
	n.Report(CodeJQYAML, hint, "YAML does not take this jq program as a text")
	n.doc.repaired[n.Line] = true
}

// corrected is n's line with all that follows its key in quotes.
func (n *Node) corrected() (string, bool) {
	line := []rune(n.doc.line(n.Line))
	if n.flow || n.Column > len(line) || inFlowLine.MatchString(string(line[:n.Column-1])) {
		return "", false
	}
	return strings.TrimSpace(string(line[:n.Column-1])) + " " + quote(n.rest()), true
}

// rest is the source from n to the end of its line.
func (n *Node) rest() string {
	line := []rune(n.doc.line(n.Line))
	if n.Column < 1 || n.Column > len(line) {
		return ""
	}
	return strings.TrimRight(string(line[n.Column-1:]), " \t")
}

// Cut returns the source line's text from n on, if it says more than YAML
// made of it: a plain text that a comment follows, or a quoted one whose quotes
// may have been meant for jq. If the caller finds that the program is whole
// only with that text, it calls [Node.ReportCut].
func (n *Node) Cut() (string, bool) {
	rest := n.rest()
	last, _ := n.end()
	if n.Kind != Scalar || n.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.flow || last != n.Line || rest == n.Text {
		return "", false
	}
	return rest, true
}

// InFlow reports whether n is a plain text inside {} or [], where a comma or a
// bracket ends it.
func (n *Node) InFlow() bool { return n.flow && n.Kind == Scalar && n.style == 0 }

// ReportCut adds the jq-yaml problem of a program that YAML cut short.
func (n *Node) ReportCut() { n.mangled() }

// quote is s as a YAML text in single quotes.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
