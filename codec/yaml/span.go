package yaml

import (
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// span is a node's place in the text.
type span struct {
	node    *yaml.Node
	start   int // where its anchor and tag begin
	content int // where what follows them begins
	end     int

	items []item // of a sequence or mapping

	aliased  bool // has aliases in it
	anchored bool // has anchors in it, or one itself
	merges   bool // a mapping with a merge key
	level    bool // a block that begins below its key, at the key's column
	odd      bool // its members are not as simple as edits need them
}

// item is an element, or a member with its key.
type item struct {
	start int   // of a block element its dash, of a member its "? " if it has one
	key   *span // nil for an element
	value *span
	bare  bool // in braces, without a colon
}

func (s *span) flow() bool   { return s.node.Style&yaml.FlowStyle != 0 }
func (s *span) scalar() bool { return s.node.Kind == yaml.ScalarNode }

// empty reports whether s is a null of no characters.
func (s *span) empty() bool {
	return s.scalar() && s.node.Value == "" && s.node.Style&quoted == 0
}

// surveyor finds the spans of a document that Decode accepted. The parser tells
// where a node begins; where it ends, the text does. It gives up where the two
// do not agree.
type surveyor struct {
	text   string
	places *places
	lost   bool
}

// survey returns the root's span, nil if it was not found.
func survey(data []byte, root *yaml.Node) *span {
	s := surveyor{places: newPlaces(data)}
	s.text = s.places.text
	sp := s.node(root, -1)
	if s.lost || sp.end > len(s.text) {
		return nil
	}
	return sp
}

// node finds n, whose parent block stands at the column parent.
func (s *surveyor) node(n *yaml.Node, parent int) *span {
	sp := &span{node: n, start: s.places.offset(n.Line, n.Column)}
	sp.anchored = n.Anchor != "" && n.Kind != yaml.AliasNode
	sp.content, sp.end = sp.start, sp.start
	if s.lost {
		return sp
	}
	if sp.anchored || n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" {
		sp.content = s.properties(sp.start)
		sp.end = sp.content
		if !sp.empty() {
			sp.content = s.skip(sp.content)
		}
	}
	switch n.Kind {
	case yaml.AliasNode:
		sp.aliased = true
		sp.end = sp.start + len("*") + len(n.Value)
		s.expect(sp.start, "*"+n.Value)
	case yaml.SequenceNode:
		s.sequence(sp)
	case yaml.MappingNode:
		s.mapping(sp)
	default:
		if !sp.empty() {
			sp.end = s.scalar(sp, parent)
		}
	}
	return sp
}

func (s *surveyor) expect(at int, what string) {
	if at > len(s.text) || !strings.HasPrefix(s.text[at:], what) {
		s.lost = true
	}
}

// properties returns where an anchor, a tag or both that begin at at end.
func (s *surveyor) properties(at int) int {
	end := at
	for at < len(s.text) && (s.text[at] == '&' || s.text[at] == '!') {
		verbatim := strings.HasPrefix(s.text[at:], "!<")
		for at < len(s.text) && !strings.ContainsRune(" \t\r\n", rune(s.text[at])) {
			if !verbatim && strings.IndexByte(",[]{}", s.text[at]) >= 0 {
				break
			}
			at++
		}
		end = at
		at = s.skip(at)
	}
	return end
}

// skip passes white space, line breaks and comments.
func (s *surveyor) skip(at int) int {
	for at < len(s.text) {
		switch c := s.text[at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			at++
		case c == '#' && at > 0 && strings.IndexByte(" \t\r\n", s.text[at-1]) >= 0, c == '#' && at == 0:
			at = lineEnd(s.text, at)
		default:
			return at
		}
	}
	return at
}

// lineEnd returns where the line of at ends, before its line break.
func lineEnd(text string, at int) int {
	n := strings.IndexByte(text[at:], '\n')
	if n < 0 {
		return len(text)
	}
	if at += n; at > 0 && text[at-1] == '\r' && n > 0 {
		at--
	}
	return at
}

// lineStart returns where the line of at begins, after a byte order mark.
func lineStart(text string, at int) int {
	start := strings.LastIndexByte(text[:at], '\n') + 1
	if start == 0 && strings.HasPrefix(text[:at], bom) {
		return len(bom)
	}
	return start
}

func (s *surveyor) scalar(sp *span, parent int) int {
	switch style := sp.node.Style; {
	case style&yaml.DoubleQuotedStyle != 0:
		s.expect(sp.content, `"`)
		for at := sp.content + 1; at < len(s.text); at++ {
			switch s.text[at] {
			case '\\':
				at++
			case '"':
				return at + 1
			}
		}
	case style&yaml.SingleQuotedStyle != 0:
		s.expect(sp.content, "'")
		for at := sp.content + 1; at < len(s.text); at++ {
			switch {
			case strings.HasPrefix(s.text[at:], "''"):
				at++
			case s.text[at] == '\'':
				return at + 1
			}
		}
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return s.blockScalar(sp.content, parent)
	default:
		return s.plain(sp.content, sp.node.Value)
	}
	s.lost = true
	return sp.content
}

// plain finds the end of a plain scalar: its characters stand in the text as
// they are, only line breaks in it are folded.
func (s *surveyor) plain(at int, v string) int {
	for i := 0; i < len(v); {
		if isSpace(v[i]) {
			for i < len(v) && isSpace(v[i]) {
				i++
			}
			for at < len(s.text) && isSpace(s.text[at]) {
				at++
			}
			continue
		}
		if at >= len(s.text) || s.text[at] != v[i] {
			s.lost = true
			return at
		}
		at++
		i++
	}
	return at
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// blockScalar finds the end of the last line of a literal or folded scalar,
// before its line break. Blank lines at the end belong to it if it keeps them.
func (s *surveyor) blockScalar(at, parent int) int {
	header := s.text[at:lineEnd(s.text, at)]
	if header == "" || header[0] != '|' && header[0] != '>' {
		s.lost = true
		return at
	}
	indent, keep := -1, false
	for _, c := range header[1:] {
		if c == '+' {
			keep = true
		} else if c >= '1' && c <= '9' {
			indent = max(parent, 0) + int(c-'0')
		} else if c != '-' {
			break
		}
	}
	end := lineEnd(s.text, at)
	for next := nextLine(s.text, end); next > 0 && next < len(s.text); next = nextLine(s.text, lineEnd(s.text, next)) {
		stop := lineEnd(s.text, next)
		line := s.text[next:stop]
		spaces := len(line) - len(strings.TrimLeft(line, " "))
		blank := spaces == len(line)
		switch {
		case !blank && indent < 0 && spaces > parent:
			indent = spaces
		case !blank && (indent < 0 || spaces < indent):
			return end
		}
		if spaces == 0 && (strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...")) && parent < 0 {
			return end
		}
		if !blank || keep {
			end = stop
		}
	}
	return end
}

// nextLine returns where the line after the one that ends at end begins, 0 if
// there is none.
func nextLine(text string, end int) int {
	for _, br := range []string{"\r\n", "\n"} {
		if strings.HasPrefix(text[end:], br) {
			return end + len(br)
		}
	}
	return 0
}

// column is that of at, from 0, in bytes.
func (s *surveyor) column(at int) int { return at - lineStart(s.text, at) }

// columnOf is the column of a block. Of a flow collection it does not matter,
// and finding it would cost the length of the line for each of many.
func (s *surveyor) columnOf(sp *span) int {
	if sp.flow() {
		return 0
	}
	return s.column(sp.content)
}

func (s *surveyor) sequence(sp *span) {
	column, next := s.columnOf(sp), sp.content
	if sp.flow() {
		s.expect(next, "[")
		next++
	}
	for _, child := range sp.node.Content {
		if s.lost {
			return
		}
		it := item{start: s.skip(next)}
		if !sp.flow() {
			s.expect(it.start, "-")
		}
		it.value = s.node(child, column)
		if sp.flow() {
			it.start = it.value.start
		} else if it.value.start <= it.start {
			s.lost = true
		}
		sp.add(it)
		next = it.value.end
		if sp.flow() {
			next = s.skipTo(next, ",")
		}
	}
	sp.end = next
	if sp.flow() {
		sp.end = s.closing(next, ']')
	}
}

func (s *span) add(it item) {
	for _, part := range []*span{it.key, it.value} {
		if part != nil {
			s.aliased = s.aliased || part.aliased
			s.anchored = s.anchored || part.anchored
		}
	}
	s.items = append(s.items, it)
}

func (s *surveyor) mapping(sp *span) {
	braces := sp.flow() && strings.HasPrefix(s.text[min(sp.content, len(s.text)):], "{")
	column, next := s.columnOf(sp), sp.content
	sp.odd = sp.flow() && !braces
	if braces {
		next++
	}
	for i := 0; i+1 < len(sp.node.Content); i += 2 {
		if s.lost {
			return
		}
		var it item
		it.start = s.skip(next)
		it.key = s.node(sp.node.Content[i], column)
		colon := s.skip(it.key.end)
		it.value = s.node(sp.node.Content[i+1], column)
		sp.merges = sp.merges || isMerge(it.key.node)
		hasColon := colon < len(s.text) && s.text[colon] == ':' && colon < max(it.value.start, colon+1)
		it.value.level = !sp.flow() && it.value.content > colon && s.column(it.value.content) == column
		it.bare = !hasColon && braces && it.value.empty()
		explicit := !sp.flow() && hasColon && strings.HasPrefix(s.text[it.start:], "?")
		if !hasColon && !it.bare || it.key.start != it.start && !explicit || it.key.empty() {
			sp.odd = true
		}
		if hasColon && it.value.empty() && it.value.start == it.value.content && it.value.end <= colon {
			it.value.start, it.value.content, it.value.end = colon+1, colon+1, colon+1
		}
		sp.add(it)
		next = it.value.end
		if sp.flow() {
			next = s.skipTo(next, ",")
		}
	}
	sp.end = next
	if braces {
		sp.end = s.closing(next, '}')
	}
}

// skipTo passes white space and comments, and then c, if it follows.
func (s *surveyor) skipTo(at int, c string) int {
	if next := s.skip(at); strings.HasPrefix(s.text[next:], c) {
		return next + len(c)
	}
	return at
}

// closing finds the bracket that ends a flow collection, its members passed.
func (s *surveyor) closing(at int, bracket byte) int {
	at = s.skip(at)
	if at >= len(s.text) || s.text[at] != bracket {
		s.lost = true
		return at
	}
	return at + 1
}
