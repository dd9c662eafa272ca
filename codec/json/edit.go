package json

import (
	"bytes"
	"slices"
	"sync"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// editor writes a changed value onto the text that it was decoded from. It
// walks both in step; out holds what is written, and the text from copied on
// is still to be copied or to be left out.
type editor struct {
	writer
	text    []byte
	names   string // text again, or empty
	nodes   []packedNode
	pos     int // in text
	edits   int
	members []value.Member // of the objects that are being edited
	pairer  value.Pairer
	root    codec.Value
	decoded value.Places // the node of each container, learned when first needed
	learned bool
}

// editors wait for the next edit with room for places and members. They hold
// nothing of a text.
var editors = sync.Pool{New: func() any { return new(editor) }}

// What is kept for the next edit.
const (
	maxIdleNodes   = 1 << 15 // places: 640 KiB, and 768 KiB where they are found again
	maxIdleMembers = 1 << 9
)

func (o *Original) edit(v codec.Value) ([]byte, error) {
	if value.Same(o.value, v) {
		return o.data, nil
	}
	e := editors.Get().(*editor)
	defer e.rest()
	e.text, e.names, e.nodes, e.root = o.data, o.text, index(o.data, e.nodes), o.value
	e.strict, e.moved = true, e.textOf
	if err := e.value(0, o.value, v); err != nil {
		return nil, err
	}
	if e.edits == 0 {
		return o.data, nil
	}
	e.keepTo(len(e.text))
	return e.out, nil
}

// rest forgets the edit.
func (e *editor) rest() {
	if cap(e.nodes) > maxIdleNodes || cap(e.members)+cap(e.keys) > maxIdleMembers || e.decoded.Room() > maxIdleNodes {
		return
	}
	clear(e.members[:cap(e.members)])
	clear(e.keys[:cap(e.keys)])
	*e = editor{nodes: e.nodes[:0], members: e.members[:0], decoded: e.decoded, writer: writer{keys: e.keys[:0]}}
	editors.Put(e)
}

// keepTo copies the text up to end.
func (e *editor) keepTo(end int) {
	if e.out == nil {
		e.out = make([]byte, 0, len(e.text)+len(e.text)/16)
	}
	e.out = append(e.out, e.text[e.pos:end]...)
	e.pos = end
}

// cut keeps the text up to start and leaves out what follows up to end.
func (e *editor) cut(start, end int) {
	e.edits++
	e.keepTo(start)
	e.pos = end
}

// value brings node n, which was decoded as before, to after.
func (e *editor) value(n int, before, after codec.Value) error {
	if value.Same(before, after) {
		return nil
	}
	switch a := after.(type) {
	case map[string]any:
		if b, ok := before.(map[string]any); ok {
			return e.object(n, b, a)
		}
	case []any:
		if b, ok := before.([]any); ok {
			return e.array(n, b, a)
		}
	default:
		if value.Equal(before, after) {
			return nil
		}
	}
	e.cut(e.at(n).start, e.at(n).end)
	return e.writer.value(after)
}

func (e *editor) at(n int) node {
	p := &e.nodes[n]
	return node{int(p.key), int(p.keyEnd), int(p.start), int(p.end), int(p.next)}
}

// children returns the nodes of n's elements or members.
func (e *editor) children(n int) []int {
	count, end := 0, e.nodes[n].next
	for i := int32(n) + 1; i < end; i = e.nodes[i].next {
		count++
	}
	list := make([]int, 0, count)
	for i := int32(n) + 1; i < end; i = e.nodes[i].next {
		list = append(list, int(i))
	}
	return list
}

func (e *editor) object(n int, before, after map[string]any) error {
	base := len(e.members)
	defer func() { e.members = e.members[:base] }()
	for child, last := int32(n)+1, e.nodes[n].next; child < last; child = e.nodes[child].next {
		e.members = append(e.members, value.Member{Node: int(child), Name: e.nameOf(int(child))})
	}
	members := e.members[base:]
	shadowed := len(members) > len(before)
	if shadowed {
		e.pairer.DropShadowed(members, before, after)
	}
	kept := 0 // members so far that stay
	end := e.at(n).start + 1
	for i := range members {
		m := &members[i]
		at := e.at(m.Node)
		v, ok := after[m.Name]
		if m.Dropped || !ok {
			if kept == 0 {
				continue // the first that stays cuts back to here
			}
			e.cut(end, at.end)
			end = at.end
			continue
		}
		if first := e.at(members[0].Node).key; kept == 0 && at.key > first {
			e.cut(first, at.key)
		}
		kept++
		end = at.end
		if m.Settled {
			continue
		}
		if err := e.value(m.Node, before[m.Name], v); err != nil {
			return value.Within(value.Key(m.Name), err)
		}
	}
	var added []string
	if shadowed || kept < len(after) {
		base := len(e.keys)
		defer func() { e.keys = e.keys[:base] }()
		added = e.newKeys(before, after)
	}
	if kept == 0 && len(members) > 0 {
		first, last := e.at(members[0].Node).key, e.at(members[len(members)-1].Node).end
		if len(added) == 0 { // and no white space for nothing
			first, last = e.at(n).start+1, e.at(n).end-1
		}
		e.cut(first, last)
		end = last
	}
	if len(added) == 0 {
		return nil
	}
	e.cut(end, end)
	lead, colon := e.style(n, members)
	for i, k := range added {
		if i > 0 || kept > 0 {
			e.out = append(append(e.out, ','), lead...)
		}
		e.string(k)
		e.out = append(e.out, colon...)
		if err := e.writer.value(after[k]); err != nil {
			return value.Within(value.Key(k), err)
		}
	}
	return nil
}

// newKeys returns the keys of after that before lacks, sorted, on e.keys.
func (e *editor) newKeys(before, after map[string]any) []string {
	base := len(e.keys)
	for k := range after {
		if _, ok := before[k]; !ok {
			e.keys = append(e.keys, k)
		}
	}
	slices.Sort(e.keys[base:])
	return e.keys[base:]
}

func (e *editor) nameOf(n int) string {
	quoted := e.text[e.at(n).key+1 : e.at(n).keyEnd-1]
	switch {
	case bytes.IndexByte(quoted, '\\') >= 0:
	case e.names != "":
		return e.names[e.at(n).key+1 : e.at(n).keyEnd-1]
	default:
		return string(quoted)
	}
	d := decoder{text: string(e.text[e.at(n).key:e.at(n).keyEnd])}
	s, _ := d.rawString() // Decode accepted it
	return s
}

// style returns the white space before the names of an object and its colons,
// so that a new member looks like the others.
func (e *editor) style(n int, members []value.Member) (lead, colon []byte) {
	if len(members) == 0 {
		return nil, []byte{':'}
	}
	m := e.at(members[len(members)-1].Node)
	from := e.at(n).start + 1
	if len(members) > 1 {
		from = e.at(members[len(members)-2].Node).end
		from += bytes.IndexByte(e.text[from:], ',') + 1
	}
	return e.text[from:m.key], e.text[m.keyEnd:m.start]
}

func (e *editor) array(n int, before, after []any) error {
	children := e.children(n)
	if value.Standing(before, after) {
		for i := range after {
			if err := e.value(children[i], before[i], after[i]); err != nil {
				return value.Within(value.Index(i), err)
			}
		}
		return nil
	}
	pairs := e.pairer.Pair(before, after)
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
	start, end := e.at(n).start+1, e.at(n).end-1
	switch {
	case len(after) == 0:
	case kept > 0:
		start, end = e.at(children[kept-1]).end, e.at(children[len(children)-1]).end
	case len(children) > 0:
		start, end = e.at(children[0]).start, e.at(children[len(children)-1]).end
	default:
		start = end
	}
	e.cut(start, end)
	lead := e.lead(n, children)
	for i := kept; i < len(after); i++ {
		if i > 0 {
			e.out = append(append(e.out, ','), lead...)
		}
		if err := e.element(children, pairs[i], before, after[i]); err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	e.pos = end
	return nil
}

// element writes v, which pairs with element j of before if j is not negative.
func (e *editor) element(children []int, j int, before []any, v codec.Value) error {
	if j < 0 {
		return e.writer.value(v)
	}
	n := children[j]
	e.pos = e.at(n).start
	if err := e.value(n, before[j], v); err != nil {
		return err
	}
	e.keepTo(e.at(n).end)
	return nil
}

// lead returns the white space after the commas of an array.
func (e *editor) lead(n int, children []int) []byte {
	switch len(children) {
	case 0:
		return nil
	case 1:
		return e.text[e.at(n).start+1 : e.at(children[0]).start]
	}
	between := e.text[e.at(children[0]).end:e.at(children[1]).start]
	_, lead, _ := bytes.Cut(between, []byte{','})
	return lead
}

// textOf returns the text of a container that the edit moved here as it was.
func (e *editor) textOf(v codec.Value) ([]byte, bool) {
	id, ok := value.Identity(v)
	if !ok {
		return nil, false
	}
	if !e.learned {
		e.learned = true
		e.decoded.Reset(len(e.nodes) / 4)
		e.learn(0, e.root)
	}
	n, ok := e.decoded.Get(id)
	if !ok {
		return nil, false
	}
	return e.text[e.at(n).start:e.at(n).end], true
}

func (e *editor) learn(n int, v codec.Value) {
	if id, ok := value.Identity(v); ok {
		e.decoded.Put(id, n)
	}
	switch v := v.(type) {
	case []any:
		child := int32(n) + 1
		for _, element := range v {
			e.learnPart(int(child), element)
			child = e.nodes[child].next
		}
	case map[string]any:
		count, end := 0, e.nodes[n].next
		for child := int32(n) + 1; child < end; child = e.nodes[child].next {
			count++
		}
		if count > len(v) { // of one name the last was decoded
			for _, child := range e.lastOfEach(e.children(n)) {
				e.learnPart(child, v[e.nameOf(child)])
			}
			return
		}
		for child := int32(n) + 1; child < end; child = e.nodes[child].next {
			if c := e.text[e.nodes[child].start]; c == '{' || c == '[' {
				e.learn(int(child), v[e.nameOf(int(child))])
			}
		}
	}
}

func (e *editor) learnPart(n int, v codec.Value) {
	switch v.(type) {
	case []any, map[string]any:
		e.learn(n, v)
	}
}

func (e *editor) lastOfEach(members []int) []int {
	seen, last := make(map[string]bool, len(members)), members[:0]
	for _, child := range slices.Backward(slices.Clone(members)) {
		if name := e.nameOf(child); !seen[name] {
			seen[name] = true
			last = append(last, child)
		}
	}
	return last
}
