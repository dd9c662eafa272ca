package xml

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// origins knows the decoded elements by their members.
type origins struct {
	nodes map[value.ID]int32
	uses  map[value.ID]int // in how many places an edit has them: one, or more
}

// copyMoved writes a decoded element as it was, under name.
func (e *editor) copyMoved(name string, members map[string]any) bool {
	id, _ := value.Identity(members)
	if e.origins == nil {
		e.origins = &origins{nodes: make(map[value.ID]int32), uses: make(map[value.ID]int)}
		e.learn(0, e.original.value[e.original.root])
		e.origins.count(e.after)
	}
	at, ok := e.origins.nodes[id]
	if !ok {
		return false
	}
	n := e.nodes[at]
	nameEnd := int(n.start) + 1
	nameEnd += nameLength(e.text[nameEnd:])
	e.out = append(append(e.out, '<'), name...)
	e.out = append(e.out, e.text[nameEnd:n.inner]...)
	if n.inner == n.end {
		return true
	}
	if e.origins.uses[id] > 1 {
		e.withoutAsides(int(n.inner), int(n.close))
	} else {
		e.out = append(e.out, e.text[n.inner:n.close]...)
	}
	e.close(name)
	return true
}

func (e *editor) learn(n int32, v codec.Value) {
	if a, ok := v.([]any); ok && len(a) == 1 { // by hint
		v = a[0]
	}
	id, ok := value.Identity(v)
	if !ok {
		return
	}
	e.origins.nodes[id] = n
	members, _ := v.(map[string]any)
	seen := make(map[string]int)
	for i := n + 1; i < e.nodes[n].next; i = e.nodes[i].next {
		name := e.nameOf(i)
		child := members[name]
		if a, ok := child.([]any); ok {
			child = a[seen[name]]
			seen[name]++
		}
		e.learn(i, child)
	}
}

// count counts the uses of all containers in v.
func (o *origins) count(v codec.Value) {
	if id, ok := value.Identity(v); ok {
		if o.uses[id] > 1 {
			return // as all in it
		}
		o.uses[id]++
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			o.count(e)
		}
	case map[string]any:
		for _, e := range v {
			o.count(e)
		}
	}
}

// withoutAsides writes content without its comments and processing
// instructions: what is hidden in an element is not copied with it.
func (e *editor) withoutAsides(pos, end int) {
	joins := false
	from := pos
	keep := func(to int) {
		if raw := e.text[from:to]; joins && raw != "" {
			e.out = join(e.out, raw)
			joins = false
		} else {
			e.out = append(e.out, raw...)
		}
		from = to
	}
	for pos < end {
		switch {
		case e.text[pos] != '<':
			pos++
		case e.text[pos+1] == '?' || e.text[pos+1] == '!' && e.text[pos+2] == '-':
			keep(pos)
			pos = asideEnd(e.text, pos)
			from, joins = pos, true
		case e.text[pos+1] == '!':
			pos = asideEnd(e.text, pos)
		default:
			pos = tagEnd(e.text, pos)
		}
	}
	keep(end)
}
