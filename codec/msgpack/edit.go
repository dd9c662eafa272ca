package msgpack

import (
	"encoding/json"
	"math/big"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// editor writes a changed value onto the bytes that it was decoded from. It
// walks both in step; out holds what is written, and the text from pos on is
// still to be copied or to be left out.
type editor struct {
	writer
	text    string
	nodes   []node
	pos     int // in text
	edits   int
	pairer  value.Pairer
	root    codec.Value
	decoded map[value.ID]int // container to node, made when first needed
}

func (o *Original) edit(v codec.Value) ([]byte, error) {
	if value.Same(o.value, v) {
		return o.data, nil
	}
	e := editor{text: o.text, nodes: index(o.text), root: o.value}
	e.moved = e.textOf
	e.out = make([]byte, 0, len(o.text)+64)
	if err := e.value(0, o.value, v); err != nil {
		return nil, err
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
	e.edits++
	e.keepTo(start)
	e.pos = end
}

func (e *editor) start(n int) int { return int(e.nodes[n].start) }
func (e *editor) end(n int) int   { return int(e.nodes[n].end) }
func (e *editor) key(n int) int   { return int(e.nodes[n].key) }

func (e *editor) head(n int) head {
	h, _ := headAt(e.text, e.start(n))
	return h
}

// children returns the nodes of n's elements or members.
func (e *editor) children(n int) []int {
	var list []int
	for i := n + 1; i < int(e.nodes[n].next); i = int(e.nodes[i].next) {
		list = append(list, i)
	}
	return list
}

// value brings node n, which was decoded as before, to after.
func (e *editor) value(n int, before, after codec.Value) error {
	if value.Same(before, after) {
		return nil
	}
	h := e.head(n)
	switch a := after.(type) {
	case map[string]any:
		if b, ok := before.(map[string]any); ok && h.kind == kindMap {
			return e.object(n, h, b, a)
		}
	case []any:
		if b, ok := before.([]any); ok {
			return e.array(n, h, b, a)
		}
	}
	if _, isArray := after.([]any); !isArray && value.Equal(before, after) {
		return nil // a scalar or an ext
	}
	e.cut(e.start(n), e.end(n))
	return e.replace(h, after)
}

// replace writes v, in the form of what was there if it fits.
func (e *editor) replace(was head, v codec.Value) error {
	switch v := v.(type) {
	case int, *big.Int, float64, json.Number:
		return e.number(was, v)
	case string:
		if was.kind != kindBin {
			e.string(was, v)
			return nil
		}
		data, err := fromBase64(v)
		if err != nil {
			return inexpressible("a string that is not base64 in place of a bin")
		}
		e.bin(was, data)
		return nil
	case map[string]any:
		if typ, data, ok := extOf(v); ok && was.kind == kindExt {
			e.ext(was, typ, data)
			return nil
		}
	}
	return e.writer.value(v)
}

func (e *editor) object(n int, h head, before, after map[string]any) error {
	children := e.children(n)
	members, integers := e.members(children)
	if len(members) > len(before) {
		e.pairer.DropShadowed(members, before, after)
	}
	added := value.NewKeys(before, after)
	count := len(added)
	for i := range members {
		m := &members[i]
		if _, ok := after[m.Name]; !ok {
			m.Dropped = true
		}
		if !m.Dropped {
			count++
		}
	}
	e.recount(n, h, count)
	for _, m := range members {
		if m.Dropped {
			e.cut(e.key(m.Node), e.end(m.Node))
			continue
		}
		if m.Settled {
			continue
		}
		if err := e.value(m.Node, before[m.Name], after[m.Name]); err != nil {
			return value.Within(value.Key(m.Name), err)
		}
	}
	if len(added) == 0 {
		return nil
	}
	e.cut(e.end(n), e.end(n))
	for _, k := range added {
		e.writer.key(k, integers)
		if err := e.writer.value(after[k]); err != nil {
			return value.Within(value.Key(k), err)
		}
	}
	return nil
}

// members also reports whether there are any and all have integers as keys.
func (e *editor) members(children []int) (members []value.Member, integers bool) {
	members, integers = make([]value.Member, 0, len(children)), len(children) > 0
	for _, child := range children {
		h, _ := headAt(e.text, e.key(child))
		members = append(members, value.Member{Node: child, Name: keyText(h, e.text[e.key(child)+h.width:e.start(child)])})
		integers = integers && (h.kind == kindInt || h.kind == kindUint)
	}
	return members, integers
}

// recount writes another count of elements or members into the head h of n.
func (e *editor) recount(n int, h head, count int) {
	if h.n != uint64(count) {
		e.cut(e.start(n), e.start(n)+h.width)
		e.count(h, count)
	}
}

func (e *editor) array(n int, h head, before, after []any) error {
	children := e.children(n)
	pairs := e.pairer.Pair(before, after)
	e.recount(n, h, len(after))
	kept := 0 // elements that stay at the front
	for kept < len(pairs) && pairs[kept] == kept {
		if err := e.value(children[kept], before[kept], after[kept]); err != nil {
			return value.Within(value.Index(kept), err)
		}
		kept++
	}
	if kept == len(before) && kept == len(after) {
		return nil
	}
	start := e.start(n) + h.width
	if kept > 0 {
		start = e.end(children[kept-1])
	}
	e.cut(start, e.end(n))
	for i := kept; i < len(after); i++ {
		if err := e.element(children, pairs[i], before, after[i]); err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	e.pos = e.end(n)
	return nil
}

// element writes v, which pairs with element j of before if j is not negative.
func (e *editor) element(children []int, j int, before []any, v codec.Value) error {
	if j < 0 {
		return e.writer.value(v)
	}
	n := children[j]
	e.pos = e.start(n)
	if err := e.value(n, before[j], v); err != nil {
		return err
	}
	e.keepTo(e.end(n))
	return nil
}

// textOf returns the bytes of a container that the edit moved here as it was.
func (e *editor) textOf(v codec.Value) (string, bool) {
	id, ok := value.Identity(v)
	if !ok {
		return "", false
	}
	if e.decoded == nil {
		e.decoded = make(map[value.ID]int)
		e.learn(0, e.root)
	}
	n, ok := e.decoded[id]
	if !ok {
		return "", false
	}
	return e.text[e.start(n):e.end(n)], true
}

func (e *editor) learn(n int, v codec.Value) {
	if id, ok := value.Identity(v); ok {
		e.decoded[id] = n
	}
	switch v := v.(type) {
	case []any:
		for i, child := range e.children(n) {
			e.learn(child, v[i])
		}
	case map[string]any:
		members, _ := e.members(e.children(n))
		seen := make(map[string]int, len(v)) // of one name the last was decoded
		for _, m := range members {
			seen[m.Name] = m.Node
		}
		for k, child := range seen {
			e.learn(child, v[k])
		}
	}
}
