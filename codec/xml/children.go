package xml

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// group is the children of one name, before and after an edit. Those that stay
// keep to the places where such children were, in their new order; children of
// other names stay where they are.
type group struct {
	name   string
	nodes  []int32 // one a place, in the order of the document
	same   bool    // nothing to be done
	was    []any   // one a node
	is     []any
	array  bool  // is is one for jq too
	pairs  []int // for each of is the index of its node, or -1
	starts []int // the first of is at each place, and then the length of is; nil: each stays in its place
}

// place is where a child was.
type place struct{ group, index int32 }

// plan is what becomes of the children of an element.
type plan struct {
	groups   []group
	places   []place // in the order of the document
	reshaped bool    // some come, go or move
	left     int     // how many there will be
}

// plan pairs the children of c before and after.
func (e *editor) plan(c *change) plan {
	var p plan
	var byName map[string]int32
	last := int32(-1)
	for i := c.node + 1; i < e.nodes[c.node].next; i = e.nodes[i].next {
		start := int(e.nodes[i].start) + 1
		name := e.text[start : start+nameLength(e.text[start:])]
		if last < 0 || p.groups[last].name != name {
			var known bool
			if last, known = byName[name]; !known {
				if byName == nil {
					byName = make(map[string]int32)
				}
				last = int32(len(p.groups))
				byName[name] = last
				p.groups = append(p.groups, group{name: name})
			}
		}
		g := &p.groups[last]
		p.places = append(p.places, place{last, int32(len(g.nodes))})
		g.nodes = append(g.nodes, i)
	}
	for i := range p.groups {
		g := &p.groups[i]
		was, is := c.was[g.name], c.is[g.name]
		if g.same = value.Same(was, is) && is != nil; g.same {
			p.left += len(g.nodes)
			continue
		}
		if v, ok := c.is[g.name]; ok {
			g.is, g.array = listOf(v)
		}
		g.was, _ = listOf(was)
		g.pairs = e.pairer.Pair(g.was, g.is)
		if !value.InPlace(g.pairs, len(g.was)) {
			g.starts = starts(g.pairs, len(g.was))
			p.reshaped = true
		}
		p.left += len(g.is)
	}
	for _, k := range c.newChildren {
		p.left += count(c.is[k])
		p.reshaped = true
	}
	return p
}

// listOf is a member as the list of its elements, and whether it is an array.
func listOf(v codec.Value) ([]any, bool) {
	if a, ok := v.([]any); ok {
		return a, true
	}
	return []any{v}, false
}

// starts distributes elements over count places: the places of those that pair
// stay, and what is new goes behind the one before it. If none stays, all go to
// the first.
func starts(pairs []int, count int) []int {
	stays := make([]bool, count)
	some := false
	for _, j := range pairs {
		if j >= 0 {
			stays[j], some = true, true
		}
	}
	list := make([]int, 0, count+1)
	at := 0
	for i := range count {
		list = append(list, at)
		if some && !stays[i] {
			continue
		}
		// This place takes up to the one after the next that pairs, the first
		// also those before it.
		paired := 0
		for at < len(pairs) {
			if pairs[at] >= 0 {
				if paired == 1 {
					break
				}
				paired++
			}
			at++
		}
	}
	return append(list, at)
}

// at returns which elements of g.is come to place i.
func (g *group) at(i int32) (from, to int) {
	if g.starts == nil {
		return int(i), int(i) + 1
	}
	return g.starts[i], g.starts[i+1]
}

// place writes the elements that come to where a child was. In layout each has
// the white space before it that the child had, and goes with it.
func (e *editor) place(p *plan, at place, layout bool) error {
	g := &p.groups[at.group]
	if g.same {
		return nil
	}
	n := e.nodes[g.nodes[at.index]]
	lead := n.start
	if layout {
		lead = e.leadOf(n)
	}
	from, to := g.at(at.index)
	switch {
	case from == to:
		e.cut(int(lead), int(n.end))
		return nil
	case from+1 == to && g.pairs[from] == int(at.index):
		return e.paired(g, from)
	}
	e.cut(int(n.start), int(n.end))
	for i := from; i < to; i++ {
		if i > from {
			e.out = append(e.out, e.text[lead:n.start]...)
		}
		var err error
		if j := g.pairs[i]; j >= 0 {
			e.pos = int(e.nodes[g.nodes[j]].start)
			err = e.paired(g, i)
			e.keepTo(int(e.nodes[g.nodes[j]].end))
		} else {
			err = g.within(i, e.writer.element(g.name, g.is[i]))
		}
		if err != nil {
			return err
		}
	}
	e.pos = int(n.end)
	return nil
}

// paired brings the node that element i pairs with to it.
func (e *editor) paired(g *group, i int) error {
	j := g.pairs[i]
	return g.within(i, e.element(g.nodes[j], g.was[j], g.is[i]))
}

func (g *group) within(i int, err error) error {
	if err == nil {
		return nil
	}
	if !g.array {
		i = -1
	}
	return step{g.name, i}.within(err)
}

// leadOf is the start of the white space before n.
func (e *editor) leadOf(n node) int32 {
	at := n.start
	for isSpace(e.text[at-1]) { // the tag of the parent is before it
		at--
	}
	return at
}

// added writes the children of new names, each behind lead.
func (e *editor) added(c *change, lead string) error {
	for _, k := range c.newChildren {
		if err := e.children(k, c.is[k], []byte(lead)); err != nil {
			return err
		}
	}
	return nil
}

// layout writes the children of an element that has and had children and no
// text.
func (e *editor) layout(c *change, p *plan) error {
	for _, at := range p.places {
		if err := e.place(p, at, true); err != nil {
			return err
		}
	}
	if len(c.newChildren) == 0 {
		return nil
	}
	at := p.places[len(p.places)-1]
	last := e.nodes[p.groups[at.group].nodes[at.index]]
	e.cut(int(last.end), int(last.end))
	return e.added(c, e.text[e.leadOf(last):last.start])
}

// stays reports whether a child is where at was.
func (p *plan) stays(at place) bool {
	g := &p.groups[at.group]
	from, to := g.at(at.index)
	return g.same || from < to
}
