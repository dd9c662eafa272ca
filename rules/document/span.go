package document

import (
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Flow reports whether n is written in brackets, or stands inside some.
func (n *Node) Flow() bool { return n.flow || n.style&yaml.FlowStyle != 0 }

// Get returns the value of a key of the map n, nil if there is none.
func (n *Node) Get(key string) *Node {
	for _, p := range n.Pairs {
		if p.Key.Text == key {
			return p.Value
		}
	}
	return nil
}

// Span returns where n begins and ends in text, which is what the document was
// parsed from: in bytes, its quotes and brackets included.
func (n *Node) Span(text []byte) (start, end int) {
	line, column := n.close()
	return offset(text, n.Line, n.Column), offset(text, line, column)
}

// close is the place behind n.
func (n *Node) close() (line, column int) {
	line, column = n.Line, n.Column
	switch last := n.last(); {
	case n.Kind == Scalar:
		return n.end()
	case last != nil:
		line, column = last.close()
	case n.style&yaml.FlowStyle != 0:
		column++ // behind the bracket
	}
	if n.style&yaml.FlowStyle == 0 {
		return line, column
	}
	for ; line <= len(n.doc.lines); line, column = line+1, 1 {
		rest := []rune(n.doc.line(line))
		for ; column <= len(rest); column++ {
			switch r := rest[column-1]; {
			case r == '}' || r == ']':
				return line, column + 1
			case r == '#' && (column == 1 || strings.ContainsRune(yamlWhite, rest[column-2])):
				column = len(rest)
			}
		}
	}
	return line, column
}

// last is what stands last below n, nil if there is nothing.
func (n *Node) last() *Node {
	if len(n.Items) > 0 {
		return n.Items[len(n.Items)-1]
	}
	if len(n.Pairs) == 0 {
		return nil
	}
	p := n.Pairs[len(n.Pairs)-1]
	if p.Value.Kind == Scalar && p.Value.Text == "" && p.Value.tag == "!!null" {
		return p.Key
	}
	return p.Value
}

// offset is where a line and column are in text, whose line ends and byte order
// mark a document has not.
func offset(text []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(string(text[at:]), '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	rest := string(text[at:])
	if at == 0 {
		at += len(rest) - len(strings.TrimPrefix(rest, "\ufeff"))
		rest = string(text[at:])
	}
	for i := range rest {
		if column--; column == 0 {
			return at + i
		}
	}
	return len(text)
}
