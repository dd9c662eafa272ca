package yaml

import (
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// editor writes a changed value onto the text that it was decoded from. It
// walks both in step; out holds what is written, and the text from pos on is
// still to be copied or to be left out.
type editor struct {
	writer
	text    string
	pos     int
	edits   int
	pairer  value.Pairer
	anchors map[*yaml.Node]codec.Value // what is left of those that were touched
}

// gone is what is left of an anchor whose node is not written any more.
type gone struct{}

// difference writes v onto the text.
func (o *Original) difference(v codec.Value) ([]byte, error) {
	var root *span
	if o.root != nil {
		root = survey(o.data, o.root)
	}
	if root == nil {
		return o.anew(v)
	}
	e := editor{writer: writer{newline: o.newline()}, text: string(o.data)}
	if err := e.value(root, o.value, v); err != nil {
		return nil, err
	}
	if e.edits == 0 {
		return o.data, nil
	}
	e.keepTo(len(e.text))
	return e.out, nil
}

// anew writes v in place of the whole root, and keeps what stands around it.
func (o *Original) anew(v codec.Value) ([]byte, error) {
	text := string(o.data)
	w := writer{newline: o.newline()}
	if o.root == nil { // comments alone
		w.write(text)
		if text != "" && !strings.HasSuffix(text, "\n") {
			w.write(w.newline)
		}
		return w.out, w.document(v)
	}
	start, end := newPlaces(o.data).offset(o.root.Line, o.root.Column), len(text)
	if root := survey(o.data, o.root); root != nil {
		start, end = root.start, root.end
	}
	w.write(text[:start])
	if start > 0 && !isSpace(text[start-1]) && !strings.HasSuffix(text[:start], bom) {
		w.write(" ")
	}
	var err error
	if start == lineStart(text, start) {
		err = w.block(v, 0, 0)
	} else {
		err = w.flow(v)
	}
	w.write(text[end:])
	if end == len(text) {
		w.write(w.newline)
	}
	return w.out, err
}

// keepTo copies the text up to end, unless that was passed already.
func (e *editor) keepTo(end int) {
	if end > e.pos {
		e.write(e.text[e.pos:end])
		e.pos = end
	}
}

// cut keeps the text up to start and leaves out what follows up to end.
func (e *editor) cut(start, end int) {
	e.edits++
	e.keepTo(start)
	e.pos = max(e.pos, end)
}

// value brings the node at s, which was decoded as before, to after.
func (e *editor) value(s *span, before, after codec.Value) error {
	if s.node.Kind == yaml.AliasNode {
		if now, ok := e.anchors[s.node.Alias]; ok {
			before = now
		}
		if before == (any)(gone{}) || !e.pairer.Equal(before, after) {
			return e.replace(s, after)
		}
		return nil
	}
	stale := s.aliased && len(e.anchors) > 0 // an alias in it may have to be written out
	if value.Same(before, after) && !stale {
		return nil
	}
	if s.node.Anchor != "" && !e.pairer.Equal(before, after) {
		e.settle(s.node, after)
	}
	switch a := after.(type) {
	case map[string]any:
		if b, ok := before.(map[string]any); ok {
			return e.mapping(s, b, a, stale)
		}
	case []any:
		if b, ok := before.([]any); ok {
			return e.sequence(s, b, a)
		}
	default:
		if e.pairer.Equal(before, after) {
			return nil
		}
	}
	return e.replace(s, after)
}

func (e *editor) settle(n *yaml.Node, v codec.Value) {
	if e.anchors == nil {
		e.anchors = make(map[*yaml.Node]codec.Value)
	}
	e.anchors[n] = v
}

// drop settles that all anchors at and in s are gone.
func (e *editor) drop(s *span) {
	if s == nil || !s.anchored {
		return
	}
	if s.node.Anchor != "" && s.node.Kind != yaml.AliasNode {
		e.settle(s.node, gone{})
	}
	for _, it := range s.items {
		e.drop(it.key)
		e.drop(it.value)
	}
}

// replace writes v where s is. An anchor stays, and a tag that fits.
func (e *editor) replace(s *span, v codec.Value) error {
	for _, it := range s.items {
		e.drop(it.key)
		e.drop(it.value)
	}
	start := s.content
	_, isText := v.(string)
	tagged := s.node.Kind != yaml.AliasNode && s.node.Style&yaml.TaggedStyle != 0
	if was, _ := scalarOf(s.node); tagged && !(s.scalar() && isText && isString(was)) {
		start = s.start
	}
	if start == s.content && len(s.items) > 0 && !s.flow() {
		return e.replaceBlock(s, start, v)
	}
	e.cut(start, s.end)
	if start < s.content && s.node.Anchor != "" {
		e.write("&" + s.node.Anchor + " ")
	}
	if n := len(e.out); n > 0 && s.end == start && !isSpace(e.out[n-1]) {
		e.write(" ")
	}
	if s.scalar() && !isCollection(v) {
		text, err := e.styled(s, v)
		e.write(text)
		if s.empty() && s.end == len(e.text) && strings.HasSuffix(e.text, "\n") {
			e.write(e.newline)
		}
		return err
	}
	return e.flow(v)
}

// replaceBlock writes v where the block collection s is. A collection with
// members goes on as a block if s begins its line; all else moves up to the key.
func (e *editor) replaceBlock(s *span, start int, v codec.Value) error {
	line := lineStart(e.text, start)
	indent := start - line
	isBlock := strings.Trim(e.text[line:start], " ") == ""
	_, isList := v.([]any)
	if sizeOf(v) > 0 && isBlock && (!s.level || isList) {
		e.cut(start, s.end)
		return e.block(v, indent, 0)
	}
	key := len(strings.TrimRight(e.text[:start], " \r\n"))
	switch before := e.text[lineStart(e.text, key):key]; {
	case strings.HasSuffix(before, ":") && !strings.Contains(before, "#") && sizeOf(v) == 0:
		e.cut(key, s.end)
		e.write(" ")
	case s.level && isBlock:
		e.cut(start, s.end)
		e.write(strings.Repeat(" ", step))
		return e.block(v, indent+step, 0)
	default:
		e.cut(start, s.end)
	}
	return e.flow(v)
}

func isCollection(v codec.Value) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// styled is a scalar in the style of the one that it replaces.
func (e *editor) styled(s *span, v codec.Value) (string, error) {
	text, ok := v.(string)
	if !ok {
		return scalarText(v)
	}
	switch style := s.node.Style; {
	case style&yaml.SingleQuotedStyle != 0:
		if quoted, ok := singleQuoted(text); ok {
			return quoted, nil
		}
		return doubleQuoted(text), nil
	case style&yaml.LiteralStyle != 0:
		if block, ok := e.literal(s, text); ok {
			return block, nil
		}
		return doubleQuoted(text), nil
	case style&quoted != 0:
		return doubleQuoted(text), nil
	}
	return stringText(text), nil
}

// literal is text as a literal block at the indentation of the one at s, false
// if it has lines that such a block cannot have.
func (e *editor) literal(s *span, text string) (string, bool) {
	first := nextLine(e.text, lineEnd(e.text, s.content))
	if first == 0 || first >= s.end || strings.Contains(e.text[s.content:first], "#") {
		return "", false
	}
	line := e.text[first:lineEnd(e.text, first)]
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	body, clipped := strings.CutSuffix(text, "\n")
	if indent == "" || body == "" || body[0] == ' ' || body[0] == '\n' || strings.HasSuffix(body, "\n") {
		return "", false
	}
	header := "|-"
	if clipped {
		header = "|"
	}
	var b strings.Builder
	b.WriteString(header)
	for line := range strings.SplitSeq(body, "\n") {
		if _, ok := singleQuoted(line); !ok {
			return "", false
		}
		b.WriteString(e.newline)
		if line != "" {
			b.WriteString(indent + line)
		}
	}
	if clipped && s.end == len(e.text) {
		b.WriteString(e.newline)
	}
	return b.String(), true
}
