package xml

import "strings"

// node is an element's place in a document. A tree of them is one slice in the
// order of the document: the children of an element follow it, each with its
// own.
type node struct {
	start int32 // the '<' of its start tag
	inner int32 // behind that tag
	close int32 // the '<' of its end tag; inner, if it is an empty-element tag
	end   int32
	next  int32 // the index of the first node that is no part of this one
}

// index finds all elements of a document that Decode accepted, and counted.
func index(text string, count int) []node {
	nodes := make([]node, 0, count)
	var open []int32
	for pos := 0; ; {
		i := strings.IndexByte(text[pos:], '<')
		if i < 0 {
			return nodes
		}
		pos += i
		switch text[pos+1] {
		case '!', '?':
			pos = asideEnd(text, pos)
		case '/':
			n := &nodes[open[len(open)-1]]
			open = open[:len(open)-1]
			n.close = int32(pos)
			pos += strings.IndexByte(text[pos:], '>') + 1
			n.end, n.next = int32(pos), int32(len(nodes))
		default:
			end := tagEnd(text, pos)
			n := node{start: int32(pos), inner: int32(end), close: int32(end), end: int32(end), next: int32(len(nodes) + 1)}
			nodes = append(nodes, n)
			if text[end-2] != '/' {
				open = append(open, int32(len(nodes)-1))
			}
			pos = end
		}
	}
}

// asideEnd is the end of the comment, processing instruction, declaration or
// CDATA section at pos.
func asideEnd(text string, pos int) int {
	end := "?>"
	switch {
	case strings.HasPrefix(text[pos:], cdataStart):
		end = cdataEnd
	case text[pos+1] == '!':
		pos += len("<!--") // "<!-->" is no comment
		end = "-->"
	}
	return pos + strings.Index(text[pos:], end) + len(end)
}

// tagEnd is the end of the start tag at pos.
func tagEnd(text string, pos int) int {
	for ; ; pos++ {
		switch c := text[pos]; c {
		case '>':
			return pos + 1
		case '"', '\'':
			pos += strings.IndexByte(text[pos+1:], c) + 1
		}
	}
}

// attribute is an attribute's place in a document.
type attribute struct {
	lead       int // the white space before it
	start      int // its name
	nameEnd    int
	value, end int // between its quotes; the end is that of the value
}

// tagOf returns the end of an element's name, and list with its attributes.
func tagOf(text string, n node, list []attribute) (nameEnd int, _ []attribute) {
	pos := int(n.start) + 1
	pos += nameLength(text[pos:])
	nameEnd = pos
	for {
		a := attribute{lead: pos}
		for isSpace(text[pos]) {
			pos++
		}
		if text[pos] == '>' || text[pos] == '/' {
			return nameEnd, list
		}
		a.start = pos
		pos += nameLength(text[pos:])
		a.nameEnd = pos
		pos += strings.IndexAny(text[pos:], `"'`)
		a.value = pos + 1
		a.end = a.value + strings.IndexByte(text[a.value:], text[pos])
		pos = a.end + 1
		list = append(list, a)
	}
}

// piece is a part of an element's content, and what becomes of it.
type piece struct {
	text       string // of literal, blank and cdata: what it means, or shall mean
	start, end int32
	run        int32 // the run it is in, as the children that stay divide them
	kind       kind
	data       bool // it is part of the text
	gone       bool
	write      bool // text in place of what it was
	alone      bool // and that, white space, is the only data of its run
}

type kind uint8

const (
	literal kind = iota // text as itself, with references
	blank               // the same, white space alone without references
	cdata
	child // an element; the children, in their order
	aside // a comment or a processing instruction
)

func (k kind) isText() bool { return k <= cdata }

// tokens returns the content of element n, which is about so many pieces.
func (e *editor) tokens(n int32, about int) []piece {
	list := make([]piece, 0, about)
	text, next := e.text, n+1
	pos, end := int(e.nodes[n].inner), int(e.nodes[n].close)
	for pos < end {
		t := piece{start: int32(pos)}
		switch {
		case text[pos] != '<':
			pos += strings.IndexByte(text[pos:], '<')
			raw := text[t.start:pos]
			if isBlank(raw) {
				t.kind = blank
			}
			t.text = meaning(raw)
		case strings.HasPrefix(text[pos:], cdataStart):
			pos = asideEnd(text, pos)
			t.kind, t.text = cdata, lineEnds(text[int(t.start)+len(cdataStart):pos-len(cdataEnd)])
		case text[pos+1] == '!' || text[pos+1] == '?':
			pos = asideEnd(text, pos)
			t.kind = aside
		default:
			pos, next = int(e.nodes[next].end), e.nodes[next].next
			t.kind = child
		}
		t.end = int32(pos)
		list = append(list, t)
	}
	return list
}

// meaning is what raw text of an accepted document means.
func meaning(raw string) string {
	if !strings.ContainsAny(raw, "&\r") {
		return raw
	}
	out, _ := expand(make([]byte, 0, len(raw)), raw, false)
	return string(out)
}
