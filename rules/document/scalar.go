package document

import (
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// place is a line and a column, both from one.
type place struct{ line, column int }

// end returns the line and the column behind the scalar, its closing quote
// included.
func (n *Node) end() (line, column int) {
	p := n.place(len(n.Text))
	if n.style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		p.column++
	}
	return p.line, p.column
}

// place finds the byte offset of a scalar's text in the source, by walking
// text and source side by side. What YAML folds into one space is the end of
// the line it stands on.
func (n *Node) place(offset int) place {
	offset = min(max(offset, 0), len(n.Text))
	w := walker{lines: n.doc.lines, line: n.Line - 1, column: n.Column - 1}
	switch {
	case n.style&yaml.LiteralStyle != 0:
		return w.literal(n.Text, offset)
	case n.style&yaml.FoldedStyle != 0:
		return w.folded(n.Text, offset)
	case n.style&yaml.DoubleQuotedStyle != 0:
		w.column++
		return w.flow(n.Text, offset, '"')
	case n.style&yaml.SingleQuotedStyle != 0:
		w.column++
		return w.flow(n.Text, offset, '\'')
	}
	return w.flow(n.Text, offset, 0)
}

// walker is a place in the source, line and column from zero.
type walker struct {
	lines        []string
	line, column int
	current      []rune // lines[line] once load was called
}

func (w *walker) load() {
	w.current = nil
	if w.line < len(w.lines) {
		w.current = []rune(w.lines[w.line])
	}
}

func (w *walker) place() place {
	if w.line > len(w.lines) {
		return place{len(w.lines) + 1, 1} // behind all of it
	}
	return place{w.line + 1, w.column + 1}
}

// nextText moves to the first line below that has text.
func (w *walker) nextText() {
	for w.line++; w.line < len(w.lines) && trimWhite(w.lines[w.line]) == ""; w.line++ {
	}
	w.load()
}

// literal places offset in a block under |, whose lines stand as they are.
func (w *walker) literal(text string, offset int) place {
	indent := w.indent(text)
	offset = min(offset, len(strings.TrimRight(text, "\n")))
	before := text[:offset]
	w.line += 1 + strings.Count(before, "\n")
	last := before[strings.LastIndexByte(before, '\n')+1:]
	w.column = indent + utf8.RuneCountInString(last)
	return w.place()
}

// indent is how far a block's lines are indented: by what its first line with
// text has more in the source than in the text.
func (w *walker) indent(text string) int {
	at := *w
	at.nextText()
	if at.line >= len(at.lines) {
		return 0
	}
	for line := range strings.SplitSeq(text, "\n") {
		if trimWhite(line) != "" {
			return max(leading(at.lines[at.line])-leading(line), 0)
		}
	}
	return 0
}

// yamlWhite is YAML's white space, and what is before a line feed: no-break spaces
// are text.
const yamlWhite = " \t\r"

func trimWhite(s string) string { return strings.Trim(s, yamlWhite) }

func leading(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// white is how much white space is before a line of a flow scalar: tabs as well,
// which indent no block (YAML 1.2, 6.3).
func white(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// folded places offset in a block under >, whose lines are joined.
func (w *walker) folded(text string, offset int) place {
	indent := w.indent(text)
	offset = min(offset, len(strings.TrimRight(text, "\n")))
	i := len(text) - len(strings.TrimLeft(text, "\n"))
	w.nextText()
	w.column = indent
	for i < offset {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case w.column < len(w.current):
			w.column++
		case r == '\n':
			run := len(text[i:]) - len(strings.TrimLeft(text[i:], "\n"))
			if i+run > offset {
				return w.place()
			}
			size = run
			fallthrough
		default:
			w.nextText()
			w.column = indent
		}
		i += size
	}
	return w.place()
}

// flow places offset in a plain or quoted scalar.
func (w *walker) flow(text string, offset int, quote rune) place {
	w.load()
	for i := 0; i < offset; {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case w.line >= len(w.lines):
			return w.place()
		case w.blank():
			at := *w
			breaks := 0
			if trimWhite(w.lines[w.line]) == "" {
				breaks = 1 // behind an escaped line end each empty line is one
			}
			w.nextText()
			if r == '\n' {
				run := len(text[i:]) - len(strings.TrimLeft(text[i:], "\n"))
				size = max(1, min(run, breaks+w.line-at.line-1))
				if i+size > offset {
					return at.place()
				}
			}
			w.column = white(string(w.current))
		case quote == '"' && w.current[w.column] == '\\':
			if w.continued() {
				continue
			}
			w.column += escapeLength(w.current[w.column+1])
		case quote == '\'' && w.current[w.column] == '\'':
			w.column += 2
		default:
			w.column++
		}
		i += size
	}
	if quote == '"' && w.column < len(w.current) && w.current[w.column] == '\\' {
		w.continued()
	}
	return w.place()
}

// continued moves behind a backslash that ends its line, and answers false if
// the one at w does not.
func (w *walker) continued() bool {
	if w.column+1 < len(w.current) {
		return false
	}
	w.line++
	w.load()
	w.column = white(string(w.current))
	return true
}

// blank reports whether the rest of the line is white.
func (w *walker) blank() bool {
	for i := w.column; i < len(w.current); i++ {
		if !strings.ContainsRune(yamlWhite, w.current[i]) {
			return false
		}
	}
	return true
}

// escapeLength is the length of a backslash escape by its letter.
func escapeLength(r rune) int {
	switch r {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}
