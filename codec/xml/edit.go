package xml

import (
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// editor writes a changed value onto the document that it was decoded from. It
// walks both in step; out holds what is written, and the text from pos on is
// still to be copied or to be left out.
type editor struct {
	writer
	text     string
	nodes    []node
	pos      int // in text
	edits    int
	pairer   value.Pairer
	original *Original
	after    codec.Value
	origins  *origins // made when first needed
	tag      []attribute
}

func (o *Original) edit(v codec.Value) ([]byte, error) {
	if value.Same(o.value, v) {
		return o.data, nil
	}
	root, after, err := rootOf(v)
	if err != nil {
		return nil, err
	}
	before := o.value[o.root]
	if array, ok := before.([]any); ok {
		before = array[0]
	}
	if root.name == o.root && value.Same(before, after) {
		return o.data, nil
	}
	e := editor{text: o.text, nodes: index(o.text, o.elements), original: o, after: v}
	e.moved = e.copyMoved
	if root.name == o.root {
		err = e.element(0, before, after)
	} else {
		e.cut(int(e.nodes[0].start), int(e.nodes[0].end))
		err = e.writer.element(root.name, after)
	}
	if err != nil {
		return nil, root.within(err)
	}
	if e.edits == 0 {
		return o.data, nil
	}
	e.keepTo(len(e.text))
	return e.out, nil
}

// keepTo copies the text up to end.
func (e *editor) keepTo(end int) {
	e.out = append(e.out, e.text[e.pos:end]...)
	e.pos = end
}

// cut keeps the text up to start and leaves out what follows up to end.
func (e *editor) cut(start, end int) {
	if e.out == nil {
		e.out = make([]byte, 0, len(e.text)+len(e.text)/8+64)
	}
	e.edits++
	e.keepTo(start)
	e.pos = end
}

// element brings node n, which was decoded as before, to after.
func (e *editor) element(n int32, before, after codec.Value) error {
	if value.Same(before, after) {
		return nil
	}
	members, text, err := partsOf(after)
	if err != nil {
		return err
	}
	e.depth++ // as the writer counts
	defer func() { e.depth-- }()
	c := change{node: n, text: text}
	c.was, c.textWas, _ = partsOf(before)
	c.is = members
	spelled := after
	if members != nil {
		spelled = members[textKey]
	}
	c.retext = !keeps(c.textWas, spelled, text)
	for _, k := range value.NewKeys(c.was, c.is) {
		switch {
		case strings.HasPrefix(k, "@"):
			c.newAttributes = append(c.newAttributes, k)
		case k == textKey:
		case !isName(k):
			return value.Within(value.Key(k), inexpressible(noName))
		case count(c.is[k]) > 0:
			c.newChildren = append(c.newChildren, k)
		}
	}
	if err := e.attributes(&c); err != nil {
		return err
	}
	return e.content(&c)
}

// change is what becomes of an element.
type change struct {
	node          int32
	was, is       map[string]any // its members
	textWas, text string
	retext        bool
	newAttributes []string // keys, sorted
	newChildren   []string // those that are not empty arrays
	tagEnd        int      // the end of its last attribute, or of its name
}

func (e *editor) attributes(c *change) error {
	nameEnd, list := tagOf(e.text, e.nodes[c.node], e.tag[:0])
	e.tag = list
	c.tagEnd = nameEnd
	lead, quote := " ", byte('"')
	var key []byte
	for _, a := range list {
		c.tagEnd = a.end + 1
		lead, quote = e.text[a.lead:a.start], e.text[a.end]
		key = append(append(key[:0], '@'), e.text[a.start:a.nameEnd]...)
		v, ok := c.is[string(key)]
		if !ok {
			e.cut(a.lead, a.end+1)
			continue
		}
		was, _ := c.was[string(key)].(string)
		if value.Same(was, v) {
			continue
		}
		s, err := spell(v, "an attribute")
		if err != nil {
			return value.Within(value.Key(string(key)), err)
		}
		if keeps(was, v, s) {
			continue
		}
		e.cut(a.value, a.end)
		e.out = appendAttribute(e.out, s, quote)
	}
	for _, k := range c.newAttributes {
		e.cut(c.tagEnd, c.tagEnd)
		e.out = append(e.out, lead...)
		if err := e.attribute(k, c.is[k], quote); err != nil {
			return err
		}
	}
	return nil
}
