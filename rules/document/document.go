// Package document reads the YAML of rule files and of sluice.yaml and knows
// the exact place of everything in it, down to a character of a jq program
// inside a folded scalar.
//
// [Parse] turns text into [Node]s; a [Table] of fields, one for each object of
// a format, decodes nodes into structs and reports every unknown, repeated,
// empty or ill-typed value as a [Problem]. The same tables describe the format:
// a schema and a reference can be printed from [Type.Shape].
//
// The YAML is the plain part of YAML: one document, no anchors, aliases, tags
// or merge keys, at most [MaxSize] long and [MaxDepth] deep.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// The bounds of a file.
const (
	MaxSize  = 1 << 20 // bytes
	MaxDepth = 64      // nested lists and maps
)

// Document is one parsed file and the problems found in it so far.
type Document struct {
	// Root is the file's top value, nil if there is none or the text is no YAML.
	Root *Node
	// Route is put into every problem; it may be set late.
	Route string

	name     string
	lines    []string // as the file has them, without line ends
	programs map[string]bool
	repaired map[int]bool // lines of which one jq-yaml was reported: what else they say is noise
	problems []Problem
}

// Kind is the kind of a [Node].
type Kind uint8

// The kinds.
const (
	Scalar Kind = iota + 1
	List
	Map
)

// Node is one value of a document.
type Node struct {
	Kind   Kind
	Path   string  // request[0].jq; empty for the root
	Text   string  // of a scalar, unquoted and unfolded
	Items  []*Node // of a list
	Pairs  []Pair  // of a map, as they stand, repeats included
	Line   int
	Column int

	doc   *Document
	tag   string // !!str, !!int ... as YAML resolves the scalar
	style yaml.Style
	flow  bool // stands inside {} or []
}

// Pair is one key of a map and its value.
type Pair struct{ Key, Value *Node }

// Parse reads text, the content of the file name. Problems, a syntax error
// among them, are in the Document, which is never nil. programs are the keys
// whose values are jq programs: where YAML stumbles over one, the problem says
// so and shows the corrected line.
func Parse(name string, text []byte, programs []string) *Document {
	d := &Document{name: name, programs: make(map[string]bool), repaired: make(map[int]bool)}
	for _, p := range programs {
		d.programs[p] = true
	}
	if len(text) > MaxSize {
		d.report(1, 1, 2, "", CodeTooLarge, "", fmt.Sprintf("the file is over %d bytes", MaxSize))
		return d
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	d.lines = strings.Split(string(text), "\n")
	if !d.plainText() {
		return d
	}
	work := append([]string(nil), d.lines...)
	for {
		var root yaml.Node
		err := yaml.Load([]byte(strings.Join(work, "\n")), &root,
			yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(MaxDepth))))
		if err == nil {
			if len(root.Content) == 1 {
				d.Root = d.build(root.Content[0], "", "", false)
			}
			return d
		}
		if !d.syntax(err, work) {
			return d
		}
	}
}

// plainText reports the first byte that no YAML text has.
func (d *Document) plainText() bool {
	for i, line := range d.lines {
		column := 0
		for at, r := range line {
			column++
			bad := ""
			switch {
			case r == utf8.RuneError && !strings.HasPrefix(line[at:], "\uFFFD"):
				bad = "not UTF-8"
			case r == '\r':
				bad = "a carriage return without a line feed"
			case r == 0x2028 || r == 0x2029 || r == 0x85:
				bad = fmt.Sprintf("the line separator %U", r)
			case r < ' ' && r != '\t' || r == 0x7f:
				bad = fmt.Sprintf("the control character %U", r)
			}
			if bad != "" {
				d.report(i+1, column, column+1, "", CodeYAML, "", bad)
				return false
			}
		}
	}
	return true
}

// noDocument is an empty file, or one of comments alone.
var noDocument = regexp.MustCompile(`no documents in stream`)

var severalDocuments = regexp.MustCompile(`expected single document`)

// syntax reports err. It answers true if it repaired the line at fault in
// work, so that the rest of the file can be read.
func (d *Document) syntax(err error, work []string) bool {
	if noDocument.MatchString(err.Error()) {
		d.report(1, 1, 2, "", CodeEmpty, "", "the file is empty")
		return false
	}
	if severalDocuments.MatchString(err.Error()) {
		line := d.secondDocument()
		d.report(line, 1, 4, "", CodeYAML, "put the rest into a file of its own", "a second YAML document")
		return false
	}
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		d.report(1, 1, 2, "", CodeYAML, "", err.Error())
		return false
	}
	line, column := load.Mark.Line, load.Mark.Column
	for _, l := range []int{line, load.ContextMark.Line, line - 1} {
		if d.repair(l, work) {
			return true
		}
	}
	message, hint := load.Message, ""
	if load.ContextMsg != "" {
		message += " " + load.ContextMsg
		if line > len(d.lines) || strings.TrimSpace(d.line(line)) == "" {
			line, column = load.ContextMark.Line, load.ContextMark.Column
		}
	}
	if strings.HasPrefix(strings.TrimLeft(d.line(line), " "), "\t") {
		hint = "indent with spaces, not with tabs"
	}
	if strings.Contains(load.ContextMsg, "parsing a flow") && hint == "" {
		hint = "inside { } and [ ] a text with braces, brackets or commas needs quotes"
	}
	if !d.repaired[line] {
		d.report(max(line, 1), max(column, 1), 0, "", CodeYAML, hint, message)
	}
	return false
}

func (d *Document) secondDocument() int {
	begun := false
	for i, line := range d.lines {
		if strings.HasPrefix(line, "---") && begun {
			return i + 1
		}
		text := strings.TrimSpace(line)
		begun = begun || text != "" && text[0] != '#'
	}
	return 1
}

// build copies n, which stands under key, and reports what this package
// leaves out of YAML.
func (d *Document) build(n *yaml.Node, path, key string, flow bool) *Node {
	out := &Node{Path: path, Line: n.Line, Column: n.Column, doc: d, tag: n.Tag, style: n.Style, flow: flow}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0,
		!d.repaired[n.Line] && strings.HasPrefix(out.rest(), "!"): // a lone ! leaves no other trace
		out.Kind, out.tag, out.Text = Scalar, "", out.rest()
		if d.programs[key] {
			out.mangled()
		} else {
			out.Report(CodeYAML, "write the value out", "anchors, aliases and tags have no place here")
		}
		return out
	case n.Kind == yaml.SequenceNode:
		out.Kind = List
		for i, item := range n.Content {
			out.Items = append(out.Items, d.build(item, path+"["+strconv.Itoa(i)+"]", key, flow || n.Style&yaml.FlowStyle != 0))
		}
	case n.Kind == yaml.MappingNode:
		out.Kind = Map
		inFlow := flow || n.Style&yaml.FlowStyle != 0
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			at := strings.TrimPrefix(path+"."+name, ".")
			k := d.build(n.Content[i], at, "", inFlow)
			out.Pairs = append(out.Pairs, Pair{Key: k, Value: d.build(n.Content[i+1], at, name, inFlow)})
		}
	default:
		out.Kind, out.Text = Scalar, n.Value
		if d.repaired[n.Line] && d.programs[key] {
			d.repairedAt(n.Line, path)
		}
	}
	return out
}

// Report adds a problem that marks the whole of n, or its first line.
func (n *Node) Report(code, hint, format string, args ...any) {
	column, end := n.Column, 0
	if n.Kind == Scalar && n.style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		line, last := n.end()
		if line == n.Line {
			end = last
		}
	}
	if n.Kind == Scalar && n.Text == "" && n.tag == "!!null" {
		end = column + 1
	}
	n.doc.report(n.Line, column, end, n.Path, code, hint, fmt.Sprintf(format, args...))
}

// ReportAt adds a problem that marks the bytes from start to end of the text
// of the scalar n, as far as they stand on start's line.
func (n *Node) ReportAt(start, end int, code, hint, format string, args ...any) {
	from, to := n.place(start), n.place(end)
	column := to.column
	if to.line != from.line {
		column = 0
	}
	n.doc.report(from.line, from.column, column, n.Path, code, hint, fmt.Sprintf(format, args...))
}

// HasProblem reports whether a problem was found in n or below it.
func (n *Node) HasProblem() bool {
	return slices.ContainsFunc(n.doc.problems, func(p Problem) bool {
		rest, below := strings.CutPrefix(p.Path, n.Path)
		return below && (rest == "" || n.Path == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// Report adds a problem of the whole file.
func (d *Document) Report(code, hint, message string) { d.report(1, 1, 2, "", code, hint, message) }

// Position returns where n stands.
func (n *Node) Position() Position { return Position{n.doc.name, n.Line, n.Column} }

// report adds a problem; endColumn zero means the end of the line.
func (d *Document) report(line, column, endColumn int, path, code, hint, message string) {
	if d.repaired[line] {
		return
	}
	source := d.line(line)
	if endColumn == 0 {
		endColumn = utf8.RuneCountInString(strings.TrimRight(source, " \t")) + 1
	}
	d.problems = append(d.problems, Problem{
		Position: Position{d.name, line, column}, EndColumn: max(endColumn, column+1), Source: source,
		Path: path, Code: code, Message: message, Hint: hint,
	})
}

func (d *Document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}

// Problems returns what was found so far, in file order.
func (d *Document) Problems() []Problem {
	for i := range d.problems {
		d.problems[i].Route = d.Route
	}
	Sort(d.problems)
	return d.problems
}
