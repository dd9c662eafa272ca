package yaml

import (
	"strings"
	"unicode/utf8"
)

// places finds the byte that the parser calls by line and column, in
// characters from 1. It counts on from where it was: nodes come in the order of
// the text, and a text may be one line.
type places struct {
	text             string
	at, line, column int
}

func newPlaces(data []byte) *places {
	p := &places{text: string(data)}
	p.rewind()
	return p
}

func (p *places) rewind() {
	p.at, p.line, p.column = 0, 1, 1
	if strings.HasPrefix(p.text, bom) {
		p.at = len(bom)
	}
}

// offset is at most the length of the text.
func (p *places) offset(line, column int) int {
	if line < p.line || line == p.line && column < p.column {
		p.rewind()
	}
	for p.at < len(p.text) && (p.line < line || p.line == line && p.column < column) {
		if n := lineBreak(p.text[p.at:]); n > 0 {
			p.at += n
			p.line++
			p.column = 1
			continue
		}
		_, n := utf8.DecodeRuneInString(p.text[p.at:])
		p.at += n
		p.column++
	}
	return p.at
}

// lineBreak is the length of the line break that s begins with: the parser
// knows those of YAML 1.1.
func lineBreak(s string) int {
	switch {
	case s == "":
		return 0
	case strings.HasPrefix(s, "\r\n"):
		return 2
	case s[0] == '\n', s[0] == '\r':
		return 1
	case s[0] < utf8.RuneSelf:
		return 0
	case strings.HasPrefix(s, "\u0085"):
		return 2
	case strings.HasPrefix(s, "\u2028"), strings.HasPrefix(s, "\u2029"):
		return 3
	}
	return 0
}
